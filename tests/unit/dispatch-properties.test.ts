import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LaneDispatcher } from '../../actors/dispatch/dispatcher.ts';
import { match } from '../../actors/dispatch/match.ts';
import { ageingMsPerPriorityStep, rankOf, ReadyQueue } from '../../actors/dispatch/ready.ts';
import type { ActorView } from '../../runtime/protocol/snapshot.ts';
import type { Address } from '../../runtime/protocol/ids.ts';

const rooms = fc.uniqueArray(
  fc.record({
    agent: fc.string({ minLength: 1, maxLength: 6 }),
    freeSlots: fc.integer({ min: 0, max: 5 }),
    usedAt: fc.nat(100),
  }),
  { selector: (room) => room.agent, maxLength: 12 },
);

describe('match', () => {
  test('never gives an agent more than its free slots, and leaves no fitting slot empty while a task waits', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 40 }), rooms, (ready, list) => {
        const assignments = match(ready, list);
        const free = list.reduce((sum, room) => sum + room.freeSlots, 0);
        expect(assignments).toHaveLength(Math.min(ready.length, free));
        for (const { agent, freeSlots } of list)
          expect(assignments.filter((assignment) => assignment.agent === agent).length).toBeLessThanOrEqual(freeSlots);
        expect(assignments.map(({ task }) => task)).toEqual(ready.slice(0, assignments.length));
      }),
    );
  });

  test('is the same whatever the order in which agents are given', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 20 }), rooms, (ready, list) => {
        expect(match(ready, [...list].reverse())).toEqual(match(ready, list));
      }),
    );
  });

  test('agents take turns, the longest unused first', () => {
    const list = [
      { agent: 'b', freeSlots: 2, usedAt: 5 },
      { agent: 'a', freeSlots: 2, usedAt: 9 },
    ];
    expect(match([1, 2, 3], list).map(({ agent }) => agent)).toEqual(['b', 'a', 'b']);
  });
});

describe('ready queue', () => {
  test('gives the best tasks in order, whatever was added and removed before', () => {
    const steps = fc.array(
      fc.oneof(
        fc.record({ kind: fc.constant('add' as const), id: fc.nat(30), rank: fc.nat(50) }),
        fc.record({ kind: fc.constant('remove' as const), id: fc.nat(30) }),
        fc.record({ kind: fc.constant('best' as const), count: fc.nat(20) }),
      ),
      { maxLength: 120 },
    );
    fc.assert(
      fc.property(steps, (list) => {
        const queue = new ReadyQueue();
        const model = new Map<Address, number>();
        for (const step of list) {
          if (step.kind === 'add') {
            queue.add(`task/${step.id}`, step.rank, step.rank, 1);
            model.set(`task/${step.id}`, step.rank);
          } else if (step.kind === 'remove') {
            queue.remove(`task/${step.id}`);
            model.delete(`task/${step.id}`);
          } else {
            const wanted = [...model]
              .sort(([one, left], [two, right]) => left - right || (one < two ? -1 : 1))
              .slice(0, step.count)
              .map(([address]) => address);
            expect(queue.best(step.count).map(({ address }) => address)).toEqual(wanted);
          }
        }
        expect(queue.size).toBe(model.size);
      }),
    );
  });

  test('tasks that come and go where nobody looks are swept out, and those that stay keep their order', () => {
    const queue = new ReadyQueue();
    for (let round = 0; round < 20_000; round++) {
      queue.add(`task/${round}`, (round * 7_919) % 10_007, 0, 1);
      if (round % 100 !== 0) queue.remove(`task/${round}`);
      if (round % 1_000 === 0) queue.best(5);
    }
    expect(queue.size).toBe(200);
    const ranks = queue.best(1_000).map(({ rank }) => rank);
    expect(ranks).toHaveLength(200);
    expect(ranks).toEqual([...ranks].sort((left, right) => left - right));
    // Every tenth of them again, at another place.
    for (let round = 0; round < 20_000; round += 1_000) queue.add(`task/${round}`, -round, 0, 1);
    expect(queue.best(20).map(({ address }) => address)).toEqual(
      Array.from({ length: 20 }, (_, index) => `task/${(19 - index) * 1_000}`),
    );
    expect(queue.best(1_000)).toHaveLength(200);
  });

  test('a step of priority is a head start: after it has waited that long, an old task goes before every newer one', () => {
    const old = rankOf(0, 0);
    expect(rankOf(ageingMsPerPriorityStep - 1, 1)).toBeLessThan(old);
    expect(rankOf(ageingMsPerPriorityStep + 1, 1)).toBeGreaterThan(old);
    expect(rankOf(0, 5)).toBeLessThan(rankOf(0, 4));
  });
});

const taskView = (id: string, state: ActorView['state'], agent?: string, queuedAt = 0, priority = 0): ActorView => ({
  id,
  revision: 1,
  since: 0,
  state,
  status: typeof state === 'string' ? 'done' : 'active',
  context: { type: 'echo', priority, queuedAt, attempt: 0, ...(agent !== undefined && { agent }) },
});
const agentView = (id: string, slots: number, tasks: string[]): ActorView => ({
  id,
  revision: 1,
  since: 0,
  state: { present: { availability: 'idle', health: 'healthy' } },
  status: 'active',
  context: { type: 'echo', slots, usedAt: 0, holding: Object.fromEntries(tasks.map((task) => [task, 0])) },
});

describe('dispatcher', () => {
  test('R11: folded over any history it says what a rebuild from the last state says', () => {
    const states: ActorView['state'][] = [
      { open: 'queued' },
      { open: { held: 'running' } },
      { open: 'retrying' },
      'succeeded',
    ];
    const change = fc.record({ task: fc.nat(8), state: fc.nat(3), queuedAt: fc.nat(1_000), holding: fc.nat(3) });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
        const folded = new LaneDispatcher();
        const last = new Map<Address, ActorView>();
        for (const { task, state, queuedAt, holding } of changes) {
          const view = taskView(`t-0-${task}`, states[state]!, undefined, queuedAt);
          last.set(`task/t-0-${task}`, view);
          folded.observe(`task/t-0-${task}`, view);
          const agent = agentView(
            'a-0-x',
            4,
            Array.from({ length: holding }, (_, index) => `t-0-${index}`),
          );
          last.set('agent/a-0-x', agent);
          folded.observe('agent/a-0-x', agent);
        }
        const rebuilt = new LaneDispatcher();
        for (const [address, view] of last) rebuilt.observe(address, view);
        expect(folded.lanes(5_000)).toEqual(rebuilt.lanes(5_000));
        const mint = (): string => 'token';
        expect(folded.decide(0, () => true, mint)).toEqual(rebuilt.decide(0, () => true, mint));
      }),
    );
  });

  test('R11: the auditor names a slot without a holder and a holder without a slot', () => {
    const dispatcher = new LaneDispatcher();
    const actors: [Address, ActorView][] = [
      ['agent/a-0-x', agentView('a-0-x', 2, ['t-0-ghost'])],
      ['task/t-0-real', taskView('t-0-real', { open: { held: 'running' } }, 'a-0-x')],
    ];
    for (const [address, view] of actors) dispatcher.observe(address, view);
    const drift = dispatcher.audit(actors);
    expect(drift).toHaveLength(2);
    expect(drift.join()).toMatch(/t-0-real names a-0-x.*a-0-x has a slot for t-0-ghost/s);
  });

  test('a task that is not in memory is waited for, and nothing passes it', () => {
    const dispatcher = new LaneDispatcher();
    dispatcher.observe('agent/a-0-x', agentView('a-0-x', 2, []));
    dispatcher.observe('task/t-0-1', taskView('t-0-1', { open: 'queued' }, undefined, 1));
    dispatcher.observe('task/t-0-2', taskView('t-0-2', { open: 'queued' }, undefined, 2));
    expect(
      dispatcher.decide(
        0,
        (address) => address !== 'task/t-0-1',
        () => 'token',
      ),
    ).toEqual([]);
    expect(dispatcher.more()).toBe(true);
    expect(dispatcher.candidates(0)).toEqual(['task/t-0-1', 'task/t-0-2']);
    expect(
      dispatcher
        .decide(
          0,
          () => true,
          () => 'token',
        )
        .map(({ to }) => to),
    ).toEqual(['task/t-0-1', 'task/t-0-2']);
    expect(dispatcher.more()).toBe(false);
  });

  test('no starvation: under a stream of more urgent tasks an old one still gets its turn', () => {
    const dispatcher = new LaneDispatcher();
    dispatcher.observe('agent/a-0-x', agentView('a-0-x', 1, []));
    dispatcher.observe('task/t-0-old', taskView('t-0-old', { open: 'queued' }, undefined, 0, 0));
    for (let second = 0; second <= 60; second++) {
      const id = `t-0-new${second}`;
      dispatcher.observe(`task/${id}`, taskView(id, { open: 'queued' }, undefined, second * 1_000, 3));
      const [first] = dispatcher.decide(
        second * 1_000,
        () => true,
        () => 'token',
      );
      if (first!.to === 'task/t-0-old') {
        expect(second * 1_000).toBeLessThanOrEqual(3 * ageingMsPerPriorityStep + 1_000);
        return;
      }
      dispatcher.observe(first!.to, undefined);
    }
    expect.unreachable('the old task never got its turn');
  });
});
