/** What holds for an agent wherever it is: every state is reached by what it is told. */
import { describe, expect, test } from 'vitest';
import { agentStatus, agentStatuses } from '../../actors/agent/status.ts';
import { createRegistry } from '../../actors/application.ts';
import { freeze, stateOf, stateTextOf, viewOf, type Actor } from '../../runtime/core/actor.ts';
import type { Effect } from '../../runtime/core/effect.ts';
import { legalEvents, step, type Decision } from '../../runtime/core/step.ts';
import type { Envelope, MachineEvent, Origin } from '../../runtime/protocol/envelope.ts';

const definition = createRegistry().get('agent')!;
const to = 'agent/a-0-x' as const;
const input = { type: 'echo', slots: 1, max_agents: 3 };

let ids = 0;
const decide = (actor: Actor | undefined, what: Partial<Envelope>, now: number): Decision =>
  step(definition, actor, { id: `e${++ids}`, to, origin: 'command', ...what }, now);
const tell = (actor: Actor, origin: Origin, event: object, now = 2_000): Decision =>
  decide(actor, { origin, event: event as MachineEvent }, now);
const effectsOf = (decision: Decision): Effect[] => (decision.outcome === 'applied' ? decision.effects : []);
const sentBy = (decision: Decision): string[] =>
  effectsOf(decision).flatMap((effect) => (effect.kind === 'send' ? [`${effect.to} ${effect.event.type}`] : []));
const statusAfter = (decision: Decision): string =>
  decision.outcome === 'applied' ? agentStatus(stateOf(decision.actor)) : decision.outcome;

/** One agent in each state, with and without work, by the shortest way. */
function reached(): Map<string, Actor> {
  const found = new Map<string, Actor>();
  const first = decide(undefined, { input }, 1_000);
  const queue = first.outcome === 'applied' ? [first.actor] : [];
  for (let actor = queue.shift(); actor; actor = queue.shift()) {
    const works = Object.keys(viewOf(actor).context['holding'] as object).length > 0;
    const name = `${stateTextOf(actor)}${works ? ' with work' : ''}`;
    if (found.has(name)) continue;
    found.set(name, actor);
    const decisions = [
      ...['drain', 'pause', 'resume', 'retire'].map((type) => tell(actor, 'command', { type })),
      ...['seen', 'goodbye'].map((type) => tell(actor, 'report', { type, generation: 1 })),
      tell(actor, 'actor', { type: 'admitted' }),
      tell(actor, 'actor', { type: 'rejected', reason: 'full' }),
      tell(actor, 'actor', { type: 'occupy', tasks: [['t-0-1', 0]] }),
      tell(actor, 'actor', { type: 'release', tasks: ['t-0-1'] }),
      tell(actor, 'actor', { type: 'release', tasks: ['t-0-1', 't-0-2', 't-0-3'], stalled: 3 }),
      tell(actor, 'actor', { type: 'quarantine', reason: 'flood' }),
      ...Object.entries(actor.timers).map(([timer, value]) =>
        decide(actor, { id: timer, origin: 'timer', event: { type: timer } }, Number(value)),
      ),
    ];
    for (const decision of decisions) if (decision.outcome === 'applied') queue.push(decision.actor);
  }
  return found;
}
const agents = reached();
const names = [...agents.keys()];

test('every state of the machine is reached, and every status', () => {
  const keys = new Set(names.flatMap((name) => name.replace(' with work', '').split(/[.,]/)));
  const leaves = [...definition.stateNodes.values()].filter(({ type }) => type === 'atomic' || type === 'final');
  expect(leaves.map(({ key }) => key).filter((key) => !keys.has(key))).toEqual([]);
  expect(new Set([...agents.values()].map((actor) => agentStatus(stateOf(actor))))).toEqual(new Set(agentStatuses));
});

describe('R4: a report of another generation changes nothing', () => {
  test.each(names)('%s', (name) => {
    const actor = agents.get(name)!;
    const before = freeze(actor);
    for (const type of ['heartbeat', 'seen', 'goodbye'])
      for (const generation of [2, 9]) {
        const decision = tell(actor, 'report', { type, generation });
        const reason = name === 'quarantined' ? 'quarantined' : 'old-generation';
        expect(decision).toMatchObject({ outcome: 'refused', reason });
      }
    expect(freeze(actor)).toBe(before);
  });
});

describe('a registration', () => {
  test.each(names.filter((name) => name !== 'forgotten' && name !== 'quarantined'))(
    'begins a new generation of what is %s',
    (name) => {
      const actor = agents.get(name)!;
      const decision = decide(actor, { id: 'again', input: { ...input, slots: 7 } }, 3_000);
      expect(statusAfter(decision)).toBe('REGISTERING');
      if (decision.outcome !== 'applied') return;
      expect(viewOf(decision.actor).context).toMatchObject({ generation: 2, slots: 7, holding: {} });
      expect(sentBy(decision)).toEqual([
        ...(name.includes('with work') ? ['task/t-0-1 revoke'] : []),
        'fleet/f-0-site admit',
      ]);
      // The same registration delivered once more is no third one.
      expect(decide(decision.actor, { id: 'again', input }, 3_001).outcome).toBe('duplicate');
    },
  );
});

test('a registration of what is quarantined is refused, with the way out', () => {
  const decision = decide(agents.get('quarantined')!, { id: 'again', input }, 3_000);
  expect(decision).toMatchObject({ outcome: 'refused', reason: 'quarantined', legal: ['resume'] });
});

describe('whoever goes gives everything back', () => {
  const present = names.filter((name) => name.startsWith('present'));
  test.each(present)('%s: retire, goodbye and silence', (name) => {
    const actor = agents.get(name)!;
    const revoke = name.includes('with work') ? ['task/t-0-1 revoke'] : [];
    for (const decision of [
      tell(actor, 'command', { type: 'retire' }),
      tell(actor, 'report', { type: 'goodbye', generation: 1 }),
    ]) {
      expect(statusAfter(decision)).toBe('RETIRED');
      expect(sentBy(decision)).toEqual([...revoke, 'fleet/f-0-site leave']);
      if (decision.outcome === 'applied') expect(viewOf(decision.actor).context['holding']).toEqual({});
    }
    let quiet: Actor = actor;
    for (let rings = 0; rings < 3 && agentStatus(stateOf(quiet)) !== 'LOST'; rings++) {
      const [timer = '', value] = Object.entries(quiet.timers)[0] ?? [];
      const rung = decide(quiet, { id: timer, origin: 'timer', event: { type: timer } }, Number(value));
      if (rung.outcome !== 'applied') throw new Error(JSON.stringify(rung));
      quiet = rung.actor;
      if (agentStatus(stateOf(quiet)) === 'LOST') expect(sentBy(rung)).toEqual([...revoke, 'fleet/f-0-site leave']);
    }
    expect(agentStatus(stateOf(quiet))).toBe('LOST');
    expect(viewOf(quiet).context['holding']).toEqual({});
  });
});

test('work is taken only where it may be given', () => {
  for (const [name, actor] of agents) {
    const decision = tell(actor, 'actor', { type: 'occupy', tasks: [['t-0-9', 0]] });
    expect([name, decision.outcome]).toEqual([name, /idle|busy/.test(name) ? 'applied' : 'refused']);
  }
});

test('what may be commanded where', () => {
  const legal = (name: string): string[] => legalEvents(agents.get(name)!);
  expect(legal('registering')).toEqual(['retire']);
  expect(legal('present.availability.idle,health.healthy')).toEqual(['drain', 'pause', 'retire']);
  expect(legal('present.availability.busy,health.suspect with work')).toEqual(['drain', 'pause', 'retire']);
  expect(legal('present.availability.paused,health.healthy')).toEqual(['drain', 'resume', 'retire']);
  expect(legal('present.availability.draining,health.healthy with work')).toEqual(['retire']);
  expect(legal('present.availability.idle,health.sick.heard')).toEqual(['drain', 'pause', 'retire']);
  expect(legal('lost')).toEqual(['retire']);
  expect(legal('quarantined')).toEqual(['resume']);
  expect([...legal('retired'), ...legal('forgotten')]).toEqual([]);
});
