/** Due timers in `decide`: what they do, and that none is left or lost. */
import { describe, expect, test } from 'vitest';
import { stateOf } from '../../runtime/core/actor.ts';
import { retireTimer } from '../../runtime/core/step.ts';
import { commandEntry, createBench, type Bench } from '../support/decisions.ts';
import { ovenAddress as to, ovenDefinition } from '../support/oven.ts';

describe('R1: a timer', () => {
  const baking = (): Bench => {
    const bench = createBench([ovenDefinition]);
    bench.run([commandEntry({ to, input: { bake_ms: 500 } }), commandEntry({ to, event: { type: 'bake' } })], 1_000);
    return bench;
  };
  const key = `${to} xstate.after.bake.oven.hot`;
  const light = 'xstate.after.200.oven.hot.light.dim';

  test('that is set and taken back in one batch is only taken back', () => {
    const bench = createBench([ovenDefinition]);
    const events = ['bake', 'stop'].map((type) => commandEntry({ to, event: { type } }));
    bench.run([commandEntry({ to, input: { bake_ms: 500 } }), ...events], 1_000);
    expect(bench.alarms()).toEqual([]);
  });

  test('that rings is followed by the next one of its actor', () => {
    const bench = baking();
    expect(bench.alarms()).toEqual([`${to} ${light}`]);
    bench.run([], 1_200, [`${to} ${light}`]);
    expect(bench.alarms()).toEqual([key]);
    bench.run([], 1_500, [key]);
    expect(bench.alarms()).toEqual([`${to} ${retireTimer}`]);
  });

  test('that its actor does not have is nothing, and the one it has stays', () => {
    const bench = baking();
    expect(bench.run([], 1_100, [`${to} none`]).records).toBe(0);
    expect(bench.alarms()).toEqual([`${to} ${light}`]);
  });

  test('that is early stays and is no record', () => {
    const bench = baking();
    expect(bench.run([], 1_499, [key]).records).toBe(0);
    expect(bench.alarms()).toEqual([`${to} ${light}`]);
  });

  test('that an entry of the same batch took back does nothing', () => {
    const bench = baking();
    const decided = bench.run([commandEntry({ to, event: { type: 'stop' } })], 1_500, [key]);
    expect(stateOf(bench.world.actors.get(to)!)).toBe('aside');
    expect(decided.records).toBe(1);
    expect(bench.alarms()).toEqual([]);
  });

  test('what is finished leaves the store when its retention ends, and the census', () => {
    const bench = baking();
    expect(bench.run([], 1_500, [key]).settled).toEqual([to]);
    expect(bench.world.census.get('oven done')).toBe(1);
    const gone = bench.run([], 4_500, [`${to} ${retireTimer}`]);
    expect(gone.commit.snapshots.get(to)).toBeNull();
    expect(bench.records(gone)).toMatchObject([{ outcome: 'retired', state: 'done' }]);
    expect(bench.world.census.get('oven done')).toBe(0);
    expect(bench.world.actors.get(to)).toBeNull();
  });
});
