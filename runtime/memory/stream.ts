/** A stream with consumer groups, as Redis has them: entries in order of their ids, and per group what was given to whom. */
import { comparePositions, positionStart, type Position } from '../protocol/journal.ts';

export interface StreamEntry {
  readonly id: Position;
  /** Names and values alternate. */
  readonly fields: readonly string[];
}

interface Group {
  /** The newest entry that was given to a consumer. */
  delivered: Position;
  /** Given and not acknowledged, in order of their ids: entry -> consumer. */
  pending: Map<Position, string>;
}

export class Stream {
  readonly #entries: StreamEntry[] = [];
  readonly #groups = new Map<string, Group>();
  #last: Position = positionStart;
  /** Wall clock after which the stream is gone, in milliseconds since 1970. */
  expiresMs = Infinity;

  get length(): number {
    return this.#entries.length;
  }

  /** The newest entry that is still there; `0-0` when there is none. */
  get last(): Position {
    return this.#entries.at(-1)?.id ?? positionStart;
  }

  /** Ids never go back, even where the clock does or the newest entry was deleted. */
  append(now: number, fields: readonly string[]): Position {
    const [lastMs = '0', lastNumber = '0'] = this.#last.split('-');
    const ms = Math.max(now, Number(lastMs));
    this.#last = `${ms}-${ms === Number(lastMs) ? Number(lastNumber) + 1 : 0}`;
    // A server stores bytes: a lone surrogate does not survive the way there.
    this.#entries.push({ id: this.#last, fields: fields.map((text) => text.toWellFormed()) });
    return this.#last;
  }

  after(position: Position, count: number): StreamEntry[] {
    const from = this.#firstAfter(position);
    return this.#entries.slice(from, from + count);
  }

  find(id: Position): StreamEntry | undefined {
    const entry = this.#entries[this.#firstAfter(id) - 1];
    return entry && comparePositions(entry.id, id) === 0 ? entry : undefined;
  }

  /** What is deleted stays pending until a claim passes by. */
  delete(ids: readonly Position[]): void {
    for (const id of ids) if (this.find(id)) this.#entries.splice(this.#firstAfter(id) - 1, 1);
  }

  /** Deletes everything before the position; returns how many entries that were. */
  trimBelow(position: Position): number {
    const from = this.#firstAfter(position);
    const kept = this.#entries[from - 1]?.id === position ? from - 1 : from;
    return this.#entries.splice(0, kept).length;
  }

  trimTo(length: number): void {
    this.#entries.splice(0, Math.max(0, this.#entries.length - length));
  }

  /** The group begins before the first entry. One that is there stays as it is. */
  createGroup(name: string): void {
    if (!this.#groups.has(name)) this.#groups.set(name, { delivered: positionStart, pending: new Map() });
  }

  hasGroup(name: string): boolean {
    return this.#groups.has(name);
  }

  /** Entries that no consumer of the group was given; they are pending for this one from here on. */
  readNew(name: string, consumer: string, count: number): StreamEntry[] {
    const group = this.#group(name);
    const entries = this.after(group.delivered, count);
    for (const { id } of entries) {
      group.pending.set(id, consumer);
      group.delivered = id;
    }
    return entries;
  }

  /** The oldest pending entries become this consumer's; what was deleted meanwhile is not pending any more. */
  claim(name: string, consumer: string, count: number): StreamEntry[] {
    const { pending } = this.#group(name);
    const claimed: StreamEntry[] = [];
    for (const id of [...pending.keys()]) {
      if (claimed.length === count) break;
      const entry = this.find(id);
      if (!entry) {
        pending.delete(id);
        continue;
      }
      pending.set(id, consumer);
      claimed.push(entry);
    }
    return claimed;
  }

  acknowledge(name: string, ids: readonly Position[]): void {
    const pending = this.#groups.get(name)?.pending;
    for (const id of ids) pending?.delete(id);
  }

  /** Everything before this is delivered and acknowledged. */
  wantedFrom(name: string): Position {
    const { delivered, pending } = this.#group(name);
    const [oldest] = pending.keys();
    if (oldest !== undefined) return oldest;
    const [ms = '0', number = '0'] = delivered.split('-');
    return `${ms}-${Number(number) + 1}`;
  }

  toJSON(): unknown {
    return { entries: this.#entries, groups: this.#groups, last: this.#last };
  }

  #group(name: string): Group {
    const group = this.#groups.get(name);
    if (!group)
      throw new Error(`the stream has no group ${name}; it has ${[...this.#groups.keys()].join(', ') || 'none'}`);
    return group;
  }

  #firstAfter(position: Position): number {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (comparePositions(this.#entries[middle]!.id, position) <= 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
