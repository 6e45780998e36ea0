/** An actor that was stored and read back goes on exactly as the one that stayed in memory. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRegistry } from '../../actors/application.ts';
import { freeze, thaw, viewOf, type Actor } from '../../runtime/core/actor.ts';
import { loadDefinition, type LoadedDefinition } from '../../runtime/core/definition.ts';
import { step, type Decision } from '../../runtime/core/step.ts';
import type { Envelope, MachineEvent, Origin } from '../../runtime/protocol/envelope.ts';
import type { Address } from '../../runtime/protocol/ids.ts';
import type { JsonObject } from '../../runtime/protocol/json.ts';
import { viewOfStored, type StoredActor } from '../../runtime/protocol/snapshot.ts';
import { oven, ovenAddress, ovenDefinition } from '../support/oven.ts';

/** What comes next: an event, or the clock that rings first (when there is one), after a while. */
type Next = { waitMs: number; id: number } & ({ event: MachineEvent; origin: Origin } | { clock: number });

function reread(definition: LoadedDefinition, actor: Actor): Actor {
  const back = thaw(definition, actor.address, freeze(actor));
  if (!back.ok) throw new Error(back.detail);
  return back.actor;
}

/** A decision as text: outcome, effects and the stored actor. */
function bytes(decision: Decision): string {
  if (decision.outcome !== 'applied') return JSON.stringify(decision);
  return JSON.stringify({ effects: decision.effects }) + freeze(decision.actor);
}

function expectSameLife(
  definition: LoadedDefinition,
  to: Address,
  create: Omit<Envelope, 'id' | 'to'>,
  list: readonly Next[],
): void {
  let now = 10_000;
  const first = step(definition, undefined, { id: 'first', to, ...create }, now);
  if (first.outcome !== 'applied') throw new Error(JSON.stringify(first));
  let kept = first.actor;
  for (const next of list) {
    const stored = freeze(kept);
    const other = reread(definition, kept);
    expect(freeze(other)).toBe(stored);
    expect(viewOfStored(other.id, stored)).toEqual(JSON.parse(JSON.stringify(viewOf(kept))));
    now += next.waitMs;
    let envelope: Envelope;
    if ('clock' in next) {
      const timers = Object.entries(kept.timers);
      const [timer, value] = timers[next.clock % Math.max(1, timers.length)] ?? ['none', now];
      now = Math.max(now, typeof value === 'number' ? value : value[0]);
      envelope = { id: timer, to, origin: 'timer', event: { type: timer } };
    } else envelope = { id: `e${next.id}`, to, origin: next.origin, event: next.event };
    const one = step(definition, kept, envelope, now);
    const two = step(definition, other, envelope, now);
    expect(bytes(two)).toBe(bytes(one));
    if (one.outcome === 'retired') return;
    if (one.outcome === 'applied') {
      expect(one.actor.revision).toBe(kept.revision + 1);
      kept = one.actor;
    } else expect(freeze(kept)).toBe(stored);
  }
}

const lives = (told: fc.Arbitrary<{ event: MachineEvent; origin: Origin }>): fc.Arbitrary<Next[]> => {
  const wait = { waitMs: fc.constantFrom(0, 1, 300, 6_000), id: fc.nat(40) };
  const event = fc.tuple(fc.record(wait), told).map(([more, which]): Next => ({ ...more, ...which }));
  const clock = fc.record({ ...wait, clock: fc.nat(5) });
  return fc.array(fc.oneof({ weight: 4, arbitrary: event }, { weight: 1, arbitrary: clock }), { maxLength: 30 });
};
const ofType = (origin: Origin, types: readonly string[], fields: JsonObject = {}) =>
  fc.constantFrom(...types).map((type) => ({ origin, event: { type, ...fields } as MachineEvent }));

const registry = createRegistry();
const named = { agent: 'a-0-a' };
const token = fc.constantFrom('tok', 'stale');

describe('R2, R9: thaw(freeze(x)) goes on with the same bytes as x', () => {
  test('a task', () => {
    const reports = fc
      .tuple(fc.constantFrom('start', 'progress', 'complete', 'fail', 'release', 'cancelled'), token, fc.boolean())
      .map(([type, given, retryable]) => ({
        origin: 'report' as const,
        event: {
          ...{ type, token: given, ...named },
          ...(type === 'complete' && { result: { words: [1, null] } }),
          ...(type === 'fail' && { error: { message: 'no', more: { deep: [] } }, retryable }),
        } as MachineEvent,
      }));
    const assign = fc.integer({ min: 1, max: 6 }).map((attempt) => ({
      origin: 'dispatch' as const,
      event: { type: 'assign', token: 'tok', ...named, attempt } as MachineEvent,
    }));
    const others = fc.oneof(
      ofType('command', ['cancel', 'redrive']),
      ofType('actor', ['revoke'], { ...named, reason: 'agent_lost' }),
      ofType('actor', ['beat'], { token: 'tok' }),
    );
    const told = fc.oneof({ weight: 3, arbitrary: assign }, { weight: 4, arbitrary: reports }, others);
    const input = { type: 'echo', timeouts: { heartbeat_ms: 2_000, schedule_to_close_ms: 90_000 } };
    fc.assert(
      fc.property(lives(told), (list) =>
        expectSameLife(registry.get('task')!, 'task/t-0-x', { origin: 'command', input }, list),
      ),
      { numRuns: 150 },
    );
  });

  test('an agent', () => {
    const tasks = fc.subarray(['t-0-1', 't-1-2', 't-0-3'], { minLength: 1 });
    const told = fc.oneof(
      ofType('command', ['drain', 'pause', 'resume', 'retire']),
      ofType('actor', ['admitted']),
      ofType('actor', ['rejected'], { reason: 'full' }),
      ofType('report', ['seen', 'goodbye'], { generation: 1 }),
      ofType('report', ['heartbeat'], { attempts: [{ task: 't-0-1', token: 'tok' }] }),
      tasks.map((list) => ({
        origin: 'actor' as const,
        event: { type: 'occupy', tasks: list.map((id) => [id, 1]) } as MachineEvent,
      })),
      tasks.map((list) => ({ origin: 'actor' as const, event: { type: 'release', tasks: list } as MachineEvent })),
    );
    const input = { type: 'echo', slots: 2, labels: { gpu: 1 }, max_agents: 3 };
    fc.assert(
      fc.property(lives(told), (list) =>
        expectSameLife(registry.get('agent')!, 'agent/a-0-a', { origin: 'command', input }, list),
      ),
      { numRuns: 150 },
    );
  });

  test('a machine with regions, history and clocks that carry their event', () => {
    const told = fc.oneof(
      ofType('command', ['bake', 'stop', 'open', 'shut', 'remind', 'forget', 'note', 'slam', 'spoil']),
      ofType('report', ['ring'], { loud: true }),
      ofType('command', ['note'], { text: 'x' }),
    );
    fc.assert(
      fc.property(lives(told), fc.option(fc.nat(900)), (list, bakeMs) => {
        const input = bakeMs === null ? {} : { bake_ms: bakeMs };
        expectSameLife(oven, ovenAddress, { origin: 'command', input }, list);
      }),
      { numRuns: 150 },
    );
  });
});

describe('what cannot be read is reported, never guessed', () => {
  const text = (): string => {
    const born = step(oven, undefined, { id: 'c', to: ovenAddress, origin: 'command', input: {} }, 1_000);
    return born.outcome === 'applied' ? freeze(born.actor) : '';
  };

  test.each(['', 'null', '7', '{', '{"version":1}'])('%j is unreadable', (stored) => {
    expect(thaw(oven, ovenAddress, stored)).toMatchObject({ ok: false });
  });

  test('a state that the machine does not have is unreadable', () => {
    const stored = { ...(JSON.parse(text()) as StoredActor), state: 'melted' };
    expect(thaw(oven, ovenAddress, JSON.stringify(stored))).toMatchObject({ ok: false, reason: 'unreadable' });
    const task = createRegistry().get('task')!;
    const other = { version: task.versionTag, revision: 1, since: 0, state: { open: 'melted' }, context: {} };
    expect(thaw(task, 'task/t-0-x', JSON.stringify(other))).toMatchObject({ ok: false, reason: 'unreadable' });
  });

  test('another version is lifted by the migrations, step by step, or names what is missing', () => {
    const lift = (to: string) => (stored: StoredActor) => ({
      ...stored,
      version: to,
      context: { ...stored.context, bells: Number(stored.context['bells']) + 1 },
    });
    const [, hash = ''] = oven.versionTag.split('-');
    const third = { ...ovenDefinition, version: 3 };
    const steps = loadDefinition({ ...third, migrations: { 1: lift('2-former'), 2: lift(`3-${hash}`) } });
    const lifted = thaw(steps, ovenAddress, text());
    expect(lifted.ok && viewOf(lifted.actor).context['bells']).toBe(2);
    const gap = loadDefinition({ ...third, migrations: { 2: lift(`3-${hash}`) } });
    expect(thaw(gap, ovenAddress, text())).toMatchObject({ ok: false, reason: 'unknown-version' });
    const newer = JSON.stringify({ ...(JSON.parse(text()) as StoredActor), version: '9-future' });
    expect(thaw(oven, ovenAddress, newer)).toMatchObject({ ok: false, reason: 'unknown-version' });
  });
});
