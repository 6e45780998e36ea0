/**
 * The tasks of one type that wait for an agent, best first. A backlog costs one small item per task, and the best few are
 * kept sorted at the front, so looking at the next k costs nothing that grows with the backlog.
 *
 * Rank is a time: when the task came into the queue, less a head start per step of priority. So a task that has waited
 * long enough passes every later one of higher priority, and nothing starves, without anything being re-sorted.
 */
import type { Address } from '../../runtime/protocol/ids.ts';
import type { Demand } from '../task/demand.ts';

export interface ReadyTask {
  readonly address: Address;
  /** Milliseconds; smaller goes first. */
  readonly rank: number;
  readonly queuedAt: number;
  /** Number of the attempt that the next assignment will be. */
  readonly attempt: number;
  readonly demand: Demand | undefined;
  gone: boolean;
}

/** One step of priority is worth this much waiting. */
export const ageingMsPerPriorityStep = 10_000;

export function rankOf(queuedAt: number, priority: number): number {
  return queuedAt - priority * ageingMsPerPriorityStep;
}

export function before(left: ReadyTask, right: ReadyTask): boolean {
  return left.rank !== right.rank ? left.rank < right.rank : left.address < right.address;
}

export class ReadyQueue {
  /** Sorted from `#head`; nothing in the heap goes before anything in it. */
  #front: ReadyTask[] = [];
  #head = 0;
  #heap: ReadyTask[] = [];
  /** Tasks that are gone and still have an item here. */
  #gone = 0;
  readonly #byAddress = new Map<Address, ReadyTask>();

  get size(): number {
    return this.#byAddress.size;
  }

  add(address: Address, rank: number, queuedAt: number, attempt: number, demand?: Demand): void {
    const known = this.#byAddress.get(address);
    if (known) {
      if (known.rank === rank && known.attempt === attempt) return;
      this.#leave(known);
    }
    const task: ReadyTask = { address, rank, queuedAt, attempt, demand, gone: false };
    this.#byAddress.set(address, task);
    const last = this.#front[this.#front.length - 1];
    if (this.#head < this.#front.length && last && before(task, last)) this.#insert(task);
    else this.#push(task);
  }

  remove(address: Address): void {
    const task = this.#byAddress.get(address);
    if (!task) return;
    this.#byAddress.delete(address);
    this.#leave(task);
  }

  /** Where no agent ever looks for work, tasks that come and go would fill the memory: at times the gone are swept out. */
  #leave(task: ReadyTask): void {
    task.gone = true;
    if (++this.#gone <= this.#byAddress.size + 1_024) return;
    const items = [...this.#front.slice(this.#head), ...this.#heap].filter((item) => !item.gone);
    // A sorted list is a heap.
    this.#heap = items.sort((left, right) => (before(left, right) ? -1 : 1));
    this.#front = [];
    this.#head = 0;
    this.#gone = 0;
  }

  /** The best `count` tasks, best first; fewer when there are fewer. */
  best(count: number): ReadyTask[] {
    const found: ReadyTask[] = [];
    for (let index = this.#head; found.length < count; index++) {
      if (index >= this.#front.length && !this.#refill()) break;
      const task = this.#front[index]!;
      if (!task.gone) found.push(task);
      else if (index === this.#head) {
        this.#head++;
        this.#gone--;
      }
    }
    if (this.#head > 1_024) {
      this.#front = this.#front.slice(this.#head);
      this.#head = 0;
    }
    return found;
  }

  get(address: Address): ReadyTask | undefined {
    return this.#byAddress.get(address);
  }

  has(address: Address): boolean {
    return this.#byAddress.has(address);
  }

  /** The tasks one after the other, best first, as they stand now: nothing may be added or removed meanwhile. */
  reader(): () => ReadyTask | undefined {
    let index = this.#head;
    return () => {
      for (;;) {
        if (index >= this.#front.length && !this.#refill()) return undefined;
        const task = this.#front[index++]!;
        if (!task.gone) return task;
      }
    };
  }

  /** When the task that waits longest came into the queue; a full look, for a page and not for the hot path. */
  oldestQueuedAt(): number | undefined {
    let oldest: number | undefined;
    for (const task of this.#byAddress.values())
      if (oldest === undefined || task.queuedAt < oldest) oldest = task.queuedAt;
    return oldest;
  }

  #insert(task: ReadyTask): void {
    let low = this.#head;
    let high = this.#front.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (before(this.#front[middle]!, task)) low = middle + 1;
      else high = middle;
    }
    this.#front.splice(low, 0, task);
    // A long front would make inserting slow: its tail goes back to the heap.
    while (this.#front.length - this.#head > 4_096) this.#push(this.#front.pop()!);
  }

  #refill(): boolean {
    for (let task = this.#pop(); task; task = this.#pop()) {
      if (task.gone) {
        this.#gone--;
        continue;
      }
      this.#front.push(task);
      return true;
    }
    return false;
  }

  #push(task: ReadyTask): void {
    const heap = this.#heap;
    let index = heap.push(task) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!before(task, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = task;
  }

  #pop(): ReadyTask | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) return top;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
    return top;
  }
}
