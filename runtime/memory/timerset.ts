/** Timers of one shard, ordered by the time they are due, then by key. */
interface Timer {
  readonly key: string;
  readonly dueMs: number;
}

export class TimerSet {
  readonly #due = new Map<string, number>();
  readonly #order: Timer[] = [];

  set(key: string, dueMs: number): void {
    this.clear(key);
    const timer = { key, dueMs };
    this.#due.set(key, dueMs);
    this.#order.splice(this.#place(timer), 0, timer);
  }

  clear(key: string): void {
    const dueMs = this.#due.get(key);
    if (dueMs === undefined) return;
    this.#due.delete(key);
    this.#order.splice(this.#place({ key, dueMs }), 1);
  }

  /** The earliest timers. */
  first(count: number): Timer[] {
    return this.#order.slice(0, count);
  }

  toJSON(): unknown {
    return this.#order;
  }

  /** Index of the first timer that is not before the given one. */
  #place({ key, dueMs }: Timer): number {
    let low = 0;
    let high = this.#order.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = this.#order[middle]!;
      if (other.dueMs < dueMs || (other.dueMs === dueMs && other.key < key)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
