/** The index over the timers of all actors: the next one of each, in the order of time. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Alarms } from '../../runtime/core/alarms.ts';
import type { Timers } from '../../runtime/core/actor.ts';
import type { Address } from '../../runtime/protocol/ids.ts';

const a: Address = 'task/t-0-a';
const b: Address = 'task/t-0-b';
const names = (alarms: Alarms, nowMs: number, count = 10): string[] =>
  alarms.due(nowMs, count).map(({ actor, timer, dueMs }) => `${actor} ${timer} ${dueMs}`);

describe('alarms', () => {
  test('give the earliest timer of each actor, once it is due, until the actor goes on', () => {
    const alarms = new Alarms();
    alarms.watch(a, { late: 300, early: 100 });
    alarms.watch(b, { named: [200, { type: 'ring' }] });
    expect(names(alarms, 99)).toEqual([]);
    expect([alarms.size, alarms.nextMs]).toEqual([2, 100]);
    expect(names(alarms, 100)).toEqual([`${a} early 100`]);
    expect(names(alarms, 300)).toEqual([`${a} early 100`, `${b} named 200`]);
    expect(names(alarms, 300, 1)).toEqual([`${a} early 100`]);
    alarms.watch(a, { late: 300 });
    expect(names(alarms, 300)).toEqual([`${b} named 200`, `${a} late 300`]);
    alarms.watch(b, {});
    alarms.forget(a);
    expect([alarms.size, alarms.nextMs, names(alarms, Infinity)]).toEqual([0, Infinity, []]);
  });

  test('of one time come in the order of their names', () => {
    const alarms = new Alarms();
    alarms.watch(b, { y: 5, x: 5 });
    alarms.watch(a, { z: 5 });
    expect(names(alarms, 5)).toEqual([`${a} z 5`, `${b} x 5`]);
  });

  test('R10: one that was silenced rings no more, the next one of its actor does, and so does it when it is set anew', () => {
    const alarms = new Alarms();
    const timers = { bad: 100, good: 200 };
    alarms.watch(a, timers);
    alarms.silence(a, 'bad', timers);
    expect(names(alarms, 300)).toEqual([`${a} good 200`]);
    alarms.watch(a, { ...timers, good: 250 });
    expect(names(alarms, 300)).toEqual([`${a} good 250`]);
    alarms.watch(a, { bad: 150 });
    expect(names(alarms, 300)).toEqual([`${a} bad 150`]);
    // Also where the actor is not in memory.
    alarms.silence(a, 'bad', undefined);
    expect(names(alarms, 300)).toEqual([]);
  });

  test('keep what a list of all actors would, however they change', () => {
    const actors = ['a', 'b', 'c', 'd'].map((id): Address => `task/t-0-${id}`);
    const timers = fc.dictionary(
      fc.constantFrom('x', 'y', 'z'),
      fc.nat(50).map((n) => n * 1_500),
      { noNullPrototype: true },
    );
    const change = fc.record({ actor: fc.nat(3), timers: fc.option(timers, { nil: undefined }) });
    fc.assert(
      fc.property(
        fc.array(change, { maxLength: 3_000, size: 'max' }),
        fc.nat(60).map((n) => n * 1_500),
        (changes, now) => {
          const alarms = new Alarms();
          const model = new Map<Address, Timers>();
          for (const { actor: index, timers: set } of changes) {
            const actor = actors[index]!;
            if (set) {
              alarms.watch(actor, set);
              model.set(actor, set);
            } else {
              alarms.forget(actor);
              model.delete(actor);
            }
          }
          const first = [...model].flatMap(([actor, set]) => {
            const dues = Object.entries(set).map(([timer, due]) => ({ actor, timer, due: due as number }));
            return dues.sort((left, right) => left.due - right.due || (left.timer < right.timer ? -1 : 1)).slice(0, 1);
          });
          const due = first.filter((one) => one.due <= now);
          due.sort((left, right) => left.due - right.due || (left.actor < right.actor ? -1 : 1));
          expect(names(alarms, now)).toEqual(due.map((one) => `${one.actor} ${one.timer} ${one.due}`));
          expect(alarms.nextMs).toBeLessThanOrEqual(Math.min(Infinity, ...first.map((one) => one.due)));
        },
      ),
      { numRuns: 60 },
    );
  });
});
