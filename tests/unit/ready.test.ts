/** The queue of waiting tasks when it is long: its shortcuts must not show. */
import { describe, expect, test } from 'vitest';
import { ReadyQueue } from '../../actors/dispatch/ready.ts';
import type { Address } from '../../runtime/protocol/ids.ts';
import { Chance, newSeed } from '../support/chance.ts';

/** The same by sorting everything every time. */
class Naive {
  readonly tasks = new Map<Address, { rank: number; queuedAt: number; attempt: number }>();
  best(count: number): Address[] {
    return [...this.tasks]
      .sort(([one, left], [two, right]) => left.rank - right.rank || (one < two ? -1 : 1))
      .slice(0, count)
      .map(([address]) => address);
  }
}

const addresses = (queue: ReadyQueue, count: number): Address[] => queue.best(count).map(({ address }) => address);

describe('a long queue', () => {
  const seed = newSeed();
  test(`gives what sorting gives, through a hundred thousand changes (TEST_SEED=${seed})`, () => {
    const chance = new Chance(seed);
    const queue = new ReadyQueue();
    const model = new Naive();
    for (let change = 1; change <= 100_000; change++) {
      const address: Address = `task/t-0-${chance.below(9_000)}`;
      if (chance.happens(0.6)) {
        const rank = chance.below(5_000);
        queue.add(address, rank, rank, 1);
        model.tasks.set(address, { rank, queuedAt: rank, attempt: 1 });
      } else {
        queue.remove(address);
        model.tasks.delete(address);
      }
      if (change % 8_000 === 0) {
        const count = [1, 50, 5_000, 20_000][chance.below(4)]!;
        expect(addresses(queue, count)).toEqual(model.best(count));
        expect(queue.size).toBe(model.tasks.size);
      }
    }
    const oldest = Math.min(...[...model.tasks.values()].map(({ queuedAt }) => queuedAt));
    expect(queue.oldestQueuedAt()).toBe(oldest);
  });

  test('is emptied in order by somebody who takes a few at a time while others come', () => {
    const chance = new Chance(seed + 1);
    const queue = new ReadyQueue();
    const model = new Naive();
    let came = 0;
    const come = (count: number): void => {
      for (let more = 0; more < count; more++, came++) {
        const rank = chance.below(1_000_000);
        queue.add(`task/t-0-${came}`, rank, rank, 1);
        model.tasks.set(`task/t-0-${came}`, { rank, queuedAt: rank, attempt: 1 });
      }
    };
    come(6_000);
    // Looked at as a whole, all of it is at the front: what comes now has to find its place there.
    expect(queue.best(6_000)).toHaveLength(6_000);
    for (let round = 0; queue.size > 0; round++) {
      if (round < 60) come(chance.below(40));
      const taken = queue.best(100);
      // The model sorts everything: it is asked now and then.
      if (round % 10 === 0) expect(taken.map(({ address }) => address)).toEqual(model.best(100));
      for (const { address } of taken) {
        queue.remove(address);
        model.tasks.delete(address);
      }
    }
    expect(model.tasks.size).toBe(0);
    expect(queue.best(1)).toEqual([]);
  });

  test('of what is gone is empty, though nobody looked in between', () => {
    const queue = new ReadyQueue();
    for (let task = 0; task < 50_000; task++) {
      queue.add(`task/t-0-${task}`, task, task, 1);
      queue.remove(`task/t-0-${task}`);
    }
    const kept = JSON.stringify(queue.best(10));
    expect([kept, queue.size, queue.oldestQueuedAt()]).toEqual(['[]', 0, undefined]);
  });
});

describe('a task that comes again', () => {
  test('takes its new place and its new attempt, and stands there once', () => {
    const queue = new ReadyQueue();
    queue.add('task/a', 5, 5, 1);
    queue.add('task/b', 6, 6, 1);
    expect(addresses(queue, 9)).toEqual(['task/a', 'task/b']);
    queue.add('task/a', 7, 7, 2);
    expect(queue.best(9)).toMatchObject([{ address: 'task/b' }, { address: 'task/a', attempt: 2 }]);
    expect(queue.size).toBe(2);
  });

  test('with the same rank and attempt keeps its place', () => {
    const queue = new ReadyQueue();
    queue.add('task/a', 5, 5, 1);
    const [before] = queue.best(1);
    queue.add('task/a', 5, 5, 1);
    expect(queue.best(1)[0]).toBe(before);
  });

  test('equals go by their address, so that the order never depends on arrival', () => {
    const queue = new ReadyQueue();
    for (const name of ['c', 'a', 'b'] as const) queue.add(`task/${name}`, 1, 1, 1);
    expect(addresses(queue, 3)).toEqual(['task/a', 'task/b', 'task/c']);
  });
});

test('none is asked for, none is given; what was never there can be removed', () => {
  const queue = new ReadyQueue();
  queue.remove('task/never');
  queue.add('task/a', 1, 1, 1);
  expect([queue.best(0), queue.size]).toEqual([[], 1]);
});
