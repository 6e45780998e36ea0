import { describe, expect, test } from 'vitest';
import { limits } from '../../config/limits.ts';
import { freeze, isDone, thaw, viewOf, type Actor } from '../../runtime/core/actor.ts';
import { loadDefinition } from '../../runtime/core/definition.ts';
import { legalEvents, retireTimer, step, type Decision } from '../../runtime/core/step.ts';
import type { Envelope, MachineEvent } from '../../runtime/protocol/envelope.ts';
import type { JsonObject } from '../../runtime/protocol/json.ts';
import { oven, ovenAddress as to, ovenDefinition } from '../support/oven.ts';

let ids = 0;
const told = (type: string, fields: JsonObject = {}, more: Partial<Envelope> = {}): Envelope => ({
  id: `e${++ids}`,
  to,
  origin: 'command',
  event: { type, ...fields } as MachineEvent,
  ...more,
});

function applied(decision: Decision): Actor {
  if (decision.outcome !== 'applied') throw new Error(JSON.stringify(decision));
  return decision.actor;
}
const born = (input: JsonObject = {}, now = 1_000): Actor =>
  applied(step(oven, undefined, { id: 'create', to, origin: 'command', input }, now));
const after = (actor: Actor, now: number, ...types: string[]): Actor =>
  types.reduce((before, type) => applied(step(oven, before, told(type), now)), actor);
const timer = (id: string): Envelope => ({ id, to, origin: 'timer', event: { type: id } });
const bake = 'xstate.after.bake.oven.hot';
const light = 'xstate.after.200.oven.hot.light.dim';

describe('creation', () => {
  test('is revision 1, and not yet known by the id of its command', () => {
    const actor = born({ bake_ms: 10 });
    expect(actor).toMatchObject({ revision: 1, since: 1_000, recent: [], address: to, id: 'o-0-kitchen' });
    expect(viewOf(actor).context).toEqual({ bakeMs: 10, bells: 0 });
  });

  test('refuses an input that its schema does not take, and says where', () => {
    const decision = step(oven, undefined, { id: 'c', to, origin: 'command', input: { bake_ms: -1 } }, 0);
    expect(decision).toMatchObject({ outcome: 'refused', reason: 'invalid-input', legal: [] });
    expect(decision.outcome === 'refused' && decision.detail).toContain('bake_ms');
  });

  test('of what exists is a duplicate', () => {
    const again = step(oven, born(), { id: 'other', to, origin: 'command', input: {} }, 2_000);
    expect(again.outcome).toBe('duplicate');
  });

  test('an event for nobody is refused', () => {
    expect(step(oven, undefined, told('bake'), 0)).toMatchObject({ outcome: 'refused', reason: 'unknown-actor' });
  });

  test('with a genesis, birth and first event are one revision', () => {
    const definition = loadDefinition({ ...ovenDefinition, genesis: () => ({}) });
    const decision = step(definition, undefined, told('bake'), 5_000);
    expect(applied(decision)).toMatchObject({ revision: 1, since: 5_000 });
    expect(step(definition, undefined, told('stop'), 5_000)).toMatchObject({ outcome: 'refused' });
  });
});

describe('refusals list the events that are legal now', () => {
  test('commands only, sorted', () => {
    expect(legalEvents(after(born(), 0, 'bake'))).toEqual(['note', 'open', 'slam', 'stop']);
    expect(legalEvents(after(born(), 0, 'bake', 'open'))).toEqual(['note', 'shut', 'slam', 'stop']);
  });

  const cases: [what: string, envelope: Envelope, reason: string][] = [
    ['an event of another state', told('shut'), 'not-legal-now'],
    ['an unknown event', told('explode'), 'unknown-event'],
    ['a name of every object', told('constructor'), 'unknown-event'],
    ['a report that comes as a command', told('ring', { loud: true }), 'unknown-event'],
    ['a command that comes as a report', told('bake', {}, { origin: 'report' }), 'unknown-event'],
    ['a member too many', told('bake', { extra: 1 }), 'invalid-event'],
    ['a reserved event', told('xstate.init'), 'unknown-event'],
    ['an event of a clock, as a command', told(bake), 'unknown-event'],
    ['the end of retention, as a command', told(retireTimer), 'unknown-event'],
  ];
  test.each(cases)('%s', (_what, envelope, reason) => {
    const actor = born();
    const before = freeze(actor);
    const decision = step(oven, actor, envelope, 2_000);
    expect(decision).toMatchObject({ outcome: 'refused', reason });
    expect(decision.outcome === 'refused' && decision.legal).toContain('bake');
    expect(freeze(actor)).toBe(before);
  });

  test('none is legal for what is finished', () => {
    const done = applied(step(oven, after(born({ bake_ms: 9 }), 0, 'bake'), timer(bake), 9));
    expect(isDone(done)).toBe(true);
    expect(step(oven, done, told('bake'), 10)).toMatchObject({ outcome: 'refused', reason: 'finished', legal: [] });
  });

  test('a sentence of an author does not grow the answer', () => {
    const definition = loadDefinition({
      ...ovenDefinition,
      recreate: () => ({ kind: 'conflict', detail: 'x'.repeat(50_000) }),
    });
    const decision = step(definition, born(), { id: 'c2', to, origin: 'command', input: {} }, 0);
    expect(decision.outcome === 'refused' && decision.detail.length).toBe(limits.reasonLengthMax);
  });
});

describe('repeated commands', () => {
  test('are duplicates by their id', () => {
    const envelope = told('bake');
    const actor = applied(step(oven, born(), envelope, 0));
    expect(step(oven, actor, { ...envelope, event: { type: 'stop' } }, 1).outcome).toBe('duplicate');
  });

  test(`are known among the last ${limits.recentCommandsMax}`, () => {
    let actor = born();
    const sent = Array.from({ length: limits.recentCommandsMax + 1 }, (_, n) => told('note', { text: String(n) }));
    for (const envelope of sent) actor = applied(step(oven, actor, envelope, 0));
    expect(actor.recent).toHaveLength(limits.recentCommandsMax);
    expect(step(oven, actor, sent[1]!, 0).outcome).toBe('duplicate');
    expect(step(oven, actor, sent[0]!, 0).outcome).toBe('applied');
  });

  test('reports and derived events are not remembered', () => {
    const report = told('ring', { loud: true }, { origin: 'report' });
    const actor = applied(step(oven, born(), report, 0));
    expect(actor.recent).toEqual([]);
    expect(step(oven, actor, report, 0).outcome).toBe('applied');
  });
});

describe('clocks', () => {
  test('are set in absolute time, and Infinity is none', () => {
    expect(after(born({ bake_ms: 700 }), 5_000, 'bake').timers).toEqual({ [bake]: 5_700, [light]: 5_200 });
    expect(after(born(), 5_000, 'bake').timers).toEqual({ [light]: 5_200 });
  });

  test('ring when they are due, not before, and once', () => {
    const actor = after(born({ bake_ms: 700 }), 5_000, 'bake');
    expect(step(oven, actor, timer(bake), 5_699).outcome).toBe('duplicate');
    const done = step(oven, actor, timer(bake), 5_700);
    expect(viewOf(applied(done)).state).toBe('done');
    expect(step(oven, applied(done), timer(bake), 5_701).outcome).toBe('duplicate');
  });

  test('go with their state', () => {
    const decision = step(oven, after(born({ bake_ms: 700 }), 5_000, 'bake'), told('stop'), 5_001);
    expect(applied(decision).timers).toEqual({});
    expect(step(oven, applied(decision), timer(bake), 9_000).outcome).toBe('duplicate');
  });

  test('of an actor that is gone or was never there are nothing', () => {
    expect(step(oven, undefined, timer(bake), 0).outcome).toBe('duplicate');
    expect(step(oven, born(), timer('constructor'), 0).outcome).toBe('duplicate');
    expect(step(oven, born(), timer('xstate.after.nonsense'), 0).outcome).toBe('duplicate');
  });

  test('with a name of their own carry their event, start anew and can be taken back', () => {
    const actor = after(born(), 1_000, 'remind');
    expect(actor.timers).toEqual({ reminder: [1_500, { type: 'ring', loud: true }] });
    const later = after(actor, 1_300, 'remind');
    expect(step(oven, later, timer('reminder'), 1_500).outcome).toBe('duplicate');
    expect(viewOf(applied(step(oven, later, timer('reminder'), 1_800))).context['bells']).toBe(1);
    expect(after(later, 1_400, 'forget').timers).toEqual({});
  });

  test('what is finished is kept for its retention, then it goes', () => {
    const done = applied(step(oven, after(born({ bake_ms: 9 }), 0, 'bake'), timer(bake), 9));
    expect(done.timers).toEqual({ [retireTimer]: 3_009 });
    expect(step(oven, done, timer(retireTimer), 3_008).outcome).toBe('duplicate');
    expect(step(oven, done, timer(retireTimer), 3_009)).toEqual({ outcome: 'retired' });
    const kept = loadDefinition({ ...ovenDefinition, retentionMs: Infinity });
    const whole = thaw(kept, to, freeze(after(born({ bake_ms: 9 }), 0, 'bake')));
    expect(whole.ok && applied(step(kept, whole.actor, timer(bake), 9)).timers).toEqual({});
  });
});

describe('R10: what a machine does wrong is a fault of one entry and no end of the process', () => {
  const cases: [what: string, type: string, reason: string, detail: RegExp][] = [
    ['a guard that throws', 'break', 'machine-threw', /the guard fell over/],
    ['a loop without end', 'spin', 'machine-threw', /./],
    ['an effect that is none', 'odd', 'unknown-effect', /"odd"/],
    ['more effects than one step may have', 'flood', 'too-many-effects', /10001/],
    ['a context that JSON cannot keep', 'spoil', 'context-not-json', /a Date at note/],
  ];
  test.each(cases)('%s', (_what, type, reason, detail) => {
    const actor = born();
    const before = freeze(actor);
    const next = told('bake');
    const undisturbed = freeze(applied(step(oven, actor, next, 2_000)));
    const decision = step(oven, actor, told(type), 2_000);
    expect(decision).toMatchObject({ outcome: 'faulted', reason });
    expect(decision.outcome === 'faulted' && decision.detail).toMatch(detail);
    expect(freeze(actor)).toBe(before);
    // The next event is taken as if nothing had been.
    expect(freeze(applied(step(oven, actor, next, 2_000)))).toBe(undisturbed);
  });
});

test('the time of the state stays while the state does', () => {
  const actor = after(born({}, 1_000), 2_000, 'note');
  expect([actor.revision, actor.since]).toEqual([2, 1_000]);
  expect(after(actor, 3_000, 'bake').since).toBe(3_000);
  expect(after(actor, 3_000, 'bake', 'open').since).toBe(3_000);
});
