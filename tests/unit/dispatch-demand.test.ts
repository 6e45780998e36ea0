/** Who gets what and why not, row by row: tenants, keys, limits, labels, claims, pause. The machines are the real ones. */
import { expect, describe, test } from 'vitest';
import { limits } from '../../config/limits.ts';
import { DispatchBed } from '../support/dispatchbed.ts';

const tenantOf = (bed: DispatchBed) => (id: string) => bed.task(id).tenant;

describe('tenants', () => {
  test('with 100,000 queued tasks, one delays the single task of another by no more than one dispatch', () => {
    const bed = new DispatchBed();
    for (let thousand = 0; thousand < 100; thousand++) bed.submitMany(1_000, { tenant: 'large' });
    bed.agent('x');
    bed.pass(60_000);
    const single = bed.submit({ tenant: 'small' });
    const before = bed.assigned.length;
    bed.complete(bed.assigned.at(-1)!);
    bed.complete(bed.assigned.at(-1)!);
    expect(bed.assigned.slice(before, before + 2)).toContain(single);
    expect(bed.drift()).toEqual([]);
  }, 120_000);

  test('of equal weight get equal shares within 5 %, whoever has a hundred times the load', () => {
    const bed = new DispatchBed();
    bed.submitMany(5_000, { tenant: 'large' });
    bed.submitMany(50, { tenant: 'small' });
    bed.submitMany(500);
    bed.agent('x', { slots: 7 });
    while (bed.assigned.length < 150) {
      bed.now += 100;
      bed.complete(bed.tasks('assigned')[0]!.id);
    }
    const shares = new Map<string, number>();
    // While all of them have something waiting: 50 of the small one are 150 of all.
    for (const id of bed.assigned.slice(0, 149)) {
      const name = tenantOf(bed)(id) ?? 'none';
      shares.set(name, (shares.get(name) ?? 0) + 1);
    }
    for (const share of shares.values()) expect(Math.abs(share / (149 / 3) - 1)).toBeLessThan(0.05);
    expect(shares.size).toBe(3);
  });

  test('priority goes before turns, and nobody starves under more urgent tasks of another', () => {
    const bed = new DispatchBed();
    const low = bed.submit({ tenant: 'low' });
    bed.submitMany(200, { tenant: 'high', priority: 3 });
    bed.agent('x');
    for (let second = 0; second < 60 && bed.status(low) === 'queued'; second++) {
      bed.now += 1_000;
      bed.complete(bed.tasks('assigned')[0]!.id);
    }
    expect(bed.status(low)).toBe('assigned');
    expect(bed.assigned.length).toBeGreaterThan(20);
  });

  test('one that comes back has saved no turns up', () => {
    const bed = new DispatchBed();
    bed.submitMany(100, { tenant: 'steady' });
    bed.agent('x');
    for (let turn = 0; turn < 50; turn++) bed.complete(bed.tasks('assigned')[0]!.id);
    bed.submitMany(20, { tenant: 'returning' });
    const before = bed.assigned.length;
    for (let turn = 0; turn < 10; turn++) bed.complete(bed.tasks('assigned')[0]!.id);
    const returning = bed.assigned.slice(before).filter((id) => tenantOf(bed)(id) === 'returning').length;
    expect(returning).toBe(5);
  });
});

describe('concurrency keys', () => {
  const key = (strategy: string, limit = 1) => ({ concurrency: { key: 'k', limit, strategy } });

  test('queue: never more attempts than the limit, and others are not slowed', () => {
    const bed = new DispatchBed();
    bed.submitMany(95, key('queue', 2));
    bed.submitMany(5);
    bed.agent('x', { slots: 10 });
    const held = bed.tasks('assigned');
    expect(held.filter(({ context }) => context.demand)).toHaveLength(2);
    expect(held).toHaveLength(7);
    const waiting = bed.tasks('queued')[0]!.id;
    expect(bed.codes(waiting)).toEqual(['concurrency_key']);
    bed.complete(held.find(({ context }) => context.demand)!.id);
    expect(bed.tasks('assigned').filter(({ context }) => context.demand)).toHaveLength(2);
    expect(bed.drift()).toEqual([]);
  });

  test('count within their tenant', () => {
    const bed = new DispatchBed();
    bed.agent('x', { slots: 10 });
    bed.submitMany(3, { ...key('queue'), tenant: 'a' });
    bed.submitMany(3, { ...key('queue'), tenant: 'b' });
    expect(bed.tasks('assigned').map(({ context }) => context.tenant)).toEqual(['a', 'b']);
  });

  test('a retry leaves its place to another meanwhile, and the more urgent one goes first', () => {
    const bed = new DispatchBed();
    bed.submitMany(2, key('queue'));
    const urgent = bed.submit({ ...key('queue'), priority: 9 });
    bed.agent('x', { slots: 4 });
    expect(bed.assigned).toEqual([urgent]);
  });

  test('cancel_newest: what comes beyond the limit is cancelled, with its reason', () => {
    const bed = new DispatchBed();
    bed.agent('x', { slots: 5 });
    const first = bed.submit(key('cancel_newest'));
    const second = bed.submit(key('cancel_newest'));
    expect([bed.status(first), bed.status(second)]).toEqual(['assigned', 'cancelled']);
    expect(bed.task(second).reason).toBe('concurrency');
    bed.complete(first);
    expect(bed.status(bed.submit(key('cancel_newest')))).toBe('assigned');
  });

  test('cancel_in_progress: the newest waits until the one before has stopped, and then runs', () => {
    const bed = new DispatchBed();
    bed.agent('x', { slots: 5 });
    const first = bed.submit(key('cancel_in_progress'));
    const second = bed.submit(key('cancel_in_progress'));
    const third = bed.submit(key('cancel_in_progress'));
    expect([first, second, third].map((id) => bed.status(id))).toEqual(['cancelling', 'cancelled', 'queued']);
    bed.pass(30_000);
    expect([bed.status(first), bed.status(third)]).toEqual(['cancelled', 'assigned']);
    expect(bed.drift()).toEqual([]);
  });
});

describe('limits', () => {
  const window = 10_000;
  const tokens = (cost: number) => ({ limits: { tokens: cost } });

  test('a task beyond a whole window does not keep a cheaper one from the units of the next window', () => {
    const bed = new DispatchBed();
    bed.setLimit('tokens', 20, window);
    bed.agent('x', { slots: 5 });
    bed.submit(tokens(8));
    const dear = bed.submit({ ...tokens(21), tenant: 'a' });
    const cheap = bed.submit({ ...tokens(13), tenant: 'b' });
    expect(bed.codes(dear)).toEqual(['limit_too_small']);
    expect(bed.codes(cheap)).toEqual(['limit_spent']);
    bed.pass(window);
    expect([bed.status(dear), bed.status(cheap)]).toEqual(['queued', 'assigned']);
  });

  test('no more units start in a window than it has; the rest waits for the next one and is not dropped', () => {
    const bed = new DispatchBed();
    bed.setLimit('tokens', 100, window);
    bed.agent('x', { slots: 50 });
    bed.submitMany(25, tokens(10));
    expect(bed.tasks('assigned')).toHaveLength(10);
    expect(bed.codes(bed.tasks('queued')[0]!.id)).toEqual(['limit_spent']);
    bed.pass(window);
    expect(bed.tasks('assigned')).toHaveLength(20);
    bed.pass(window);
    expect(bed.tasks('assigned')).toHaveLength(25);
  });

  test('tasks without a limit pass those that wait for one', () => {
    const bed = new DispatchBed();
    bed.setLimit('tokens', 10, window);
    bed.agent('x', { slots: 5 });
    bed.submitMany(3, tokens(10));
    const free = bed.submit();
    expect(bed.status(free)).toBe('assigned');
  });

  test('are corrected by what an attempt really cost: what it did not use starts others at once', () => {
    const bed = new DispatchBed();
    bed.setLimit('tokens', 100, window);
    bed.agent('x', { slots: 9 });
    bed.submitMany(3, tokens(50));
    expect(bed.tasks('assigned')).toHaveLength(2);
    bed.complete(bed.assigned[0]!, { cost: '{"tokens": 0}' });
    expect(bed.tasks('queued')).toHaveLength(0);
    bed.complete(bed.assigned[1]!, { cost: '{"tokens": 250, "not-named": 7}' });
    expect(bed.limit('tokens').used).toBe(300);
    bed.submitMany(1, tokens(1));
    bed.pass(2 * window);
    expect(bed.tasks('queued')).toHaveLength(1);
    bed.pass(window);
    expect(bed.tasks('queued')).toHaveLength(0);
  });

  test('that nobody set, or that are too small, hold a task back until somebody sets them', () => {
    const bed = new DispatchBed();
    bed.agent('x', { slots: 9 });
    const task = bed.submit(tokens(10));
    expect(bed.codes(task)).toEqual(['limit_unknown']);
    bed.setLimit('tokens', 5, window);
    expect(bed.codes(task)).toEqual(['limit_too_small']);
    bed.setLimit('tokens', 50, window);
    expect(bed.status(task)).toBe('assigned');
  });
});

describe('requirements and claims', () => {
  test('only an agent that has what is required gets the task, and a plain task does not wait for it', () => {
    const bed = new DispatchBed();
    bed.agent('plain', { slots: 3 });
    const picky = bed.submit({
      requires: { capabilities: ['ocr'], labels: [{ label: 'memory', op: '>=', value: 8 }] },
    });
    expect(bed.codes(picky)).toEqual(['no_matching_agent']);
    expect(bed.status(bed.submit())).toBe('assigned');
    const able = bed.agent('able', { capabilities: ['ocr'], labels: { memory: 16 } });
    expect(bed.task(picky).agent).toBe(able);
  });

  test('the preferred agent by weight gets it, and another one where that has no room', () => {
    const bed = new DispatchBed();
    bed.agent('a', { labels: { zone: 'north' }, slots: 2 });
    const south = bed.agent('b', { labels: { zone: 'south' } });
    const prefers = [{ label: 'zone', op: '=', value: 'south', weight: 5 }];
    expect(bed.task(bed.submit({ prefers })).agent).toBe(south);
    expect(bed.task(bed.submit({ prefers })).agent).toBe('a-0-a');
  });

  test('a claim goes where the least stays unused, and never beyond what is free', () => {
    const bed = new DispatchBed();
    bed.agent('large', { resources: { gpu: 8 }, slots: 8 });
    const small = bed.agent('small', { resources: { gpu: 2 }, slots: 8 });
    const first = bed.submit({ resources: { gpu: 2 } });
    expect(bed.task(first).agent).toBe(small);
    expect(bed.task(bed.submit({ resources: { gpu: 5 } })).agent).toBe('a-0-large');
    const waits = bed.submit({ resources: { gpu: 4 } });
    expect(bed.codes(waits)).toEqual(['no_free_slot']);
    expect(bed.codes(bed.submit({ resources: { gpu: 9 } }))).toEqual(['claim_too_large']);
    expect(bed.codes(bed.submit({ slots: 9 }))).toEqual(['claim_too_large']);
    bed.complete(first);
    expect(bed.status(waits)).toBe('queued');
    bed.complete(bed.assigned[1]!);
    expect(bed.status(waits)).toBe('assigned');
    expect(bed.drift()).toEqual([]);
  });

  test('a task of several slots counts as several', () => {
    const bed = new DispatchBed();
    bed.agent('x', { slots: 4 });
    const wide = bed.submit({ slots: 3 });
    bed.submitMany(3);
    expect(bed.tasks('assigned')).toHaveLength(2);
    bed.complete(wide);
    expect(bed.tasks('assigned')).toHaveLength(3);
  });

  test('a large claim does not starve among small tasks: after a while an agent is kept free for it', () => {
    const bed = new DispatchBed();
    bed.agent('x', { slots: 4 });
    bed.submitMany(4);
    const wide = bed.submit({ slots: 4 });
    for (let second = 0; second < 200 && bed.status(wide) === 'queued'; second++) {
      bed.submitMany(2);
      bed.now += 1_000;
      bed.complete(bed.tasks('assigned')[0]!.id);
      if (second * 1_000 < limits.claimReserveAfterMs - 2_000) expect(bed.tasks('assigned')).toHaveLength(4);
    }
    expect(bed.status(wide)).toBe('assigned');
  });
});

test('a paused queue gives nothing out, says so, and goes on where it was', () => {
  const bed = new DispatchBed();
  bed.agent('x', { slots: 5 });
  bed.pause('pause');
  const task = bed.submit();
  expect(bed.codes(task)).toEqual(['queue_paused']);
  const tenant = bed.submit({ tenant: 't' });
  expect([bed.status(task), bed.status(tenant)]).toEqual(['queued', 'queued']);
  bed.pause('resume');
  expect([bed.status(task), bed.status(tenant)]).toEqual(['assigned', 'assigned']);
});
