/**
 * When which actor wants to be woken: an index over the timers in the snapshots, which alone are durable. It is built when
 * a shard is opened and follows every decision, so a timer costs nothing in the store.
 */
import type { Address } from '../protocol/ids.ts';
import type { Timers } from './actor.ts';
import { Heap } from './heap.ts';

export interface Alarm {
  readonly actor: Address;
  readonly timer: string;
  /** Milliseconds since 1970. */
  readonly dueMs: number;
}

interface Item extends Alarm {
  gone: boolean;
}

/** Most timers are taken back long before they are due: those of a later slice of time are kept unordered. */
const sliceMs = 16_384;
const sliceOf = (dueMs: number): number => Math.floor(dueMs / sliceMs);

export class Alarms {
  /** The earliest timer of each actor; items that are gone stay until they come up, or are too many. */
  readonly #heap = new Heap<Item>(before);
  /** Slice of time -> its items. All of them are later than the last slice that was ordered. */
  readonly #later = new Map<number, Item[]>();
  #ordered = -Infinity;
  #nextSlice = Infinity;
  #gone = 0;
  readonly #byActor = new Map<Address, Item>();
  /** Firings that were set aside: they ring no more, and stay in the snapshot for a redrive or the next opening. */
  readonly #silent = new Map<Address, Map<string, number>>();

  get size(): number {
    return this.#byActor.size;
  }

  /** When the next one may be due: never too late, and exact for what is near. Infinity when there is none. */
  get nextMs(): number {
    this.#clean();
    return this.#heap.first?.dueMs ?? this.#nextSlice * sliceMs;
  }

  watch(actor: Address, timers: Timers): void {
    const known = this.#byActor.get(actor);
    let timer: string | undefined;
    let dueMs = Infinity;
    const silent = this.#silent.get(actor);
    for (const id in timers) {
      const value = timers[id]!;
      const at = typeof value === 'number' ? value : value[0];
      if (at > dueMs || (at === dueMs && timer !== undefined && id > timer) || silent?.get(id) === at) continue;
      timer = id;
      dueMs = at;
    }
    if (known?.timer === timer && known?.dueMs === dueMs) return;
    if (known) this.#drop(known);
    if (timer === undefined) return;
    const item: Item = { actor, timer, dueMs, gone: false };
    this.#byActor.set(actor, item);
    this.#add(item);
  }

  /** The actor left the store. */
  forget(actor: Address): void {
    this.#silent.delete(actor);
    const known = this.#byActor.get(actor);
    if (known) this.#drop(known);
  }

  /** The firing that is due rings no more. */
  silence(actor: Address, timer: string, timers: Timers | undefined): void {
    const known = this.#byActor.get(actor);
    const value = timers?.[timer];
    const dueMs = typeof value === 'object' ? value[0] : (value ?? (known?.timer === timer ? known.dueMs : undefined));
    if (dueMs !== undefined) {
      let silent = this.#silent.get(actor);
      if (!silent) this.#silent.set(actor, (silent = new Map()));
      silent.set(timer, dueMs);
    }
    if (known?.timer === timer) this.#drop(known);
    if (timers) this.watch(actor, timers);
  }

  /** What is due, earliest first and one of each actor. It stays until the actor goes on, or is silenced. */
  due(nowMs: number, count: number): Alarm[] {
    const found: Item[] = [];
    while (this.#nextSlice < Infinity && this.#nextSlice * sliceMs <= nowMs) this.#order(this.#nextSlice);
    while (found.length < count) {
      this.#clean();
      const next = this.#heap.first;
      if (!next || next.dueMs > nowMs) break;
      this.#heap.pop();
      found.push(next);
    }
    for (const item of found) this.#heap.push(item);
    return found;
  }

  #drop(item: Item): void {
    item.gone = true;
    this.#byActor.delete(item.actor);
    if (++this.#gone <= this.#byActor.size + 1_024) return;
    this.#heap.keep((one) => !one.gone);
    for (const [slice, items] of this.#later) {
      const live = items.filter((one) => !one.gone);
      if (live.length > 0) this.#later.set(slice, live);
      else this.#later.delete(slice);
    }
    this.#nextSlice = Math.min(Infinity, ...this.#later.keys());
    this.#gone = 0;
  }

  #add(item: Item): void {
    const slice = sliceOf(item.dueMs);
    if (slice <= this.#ordered) return this.#heap.push(item);
    const items = this.#later.get(slice);
    if (items) items.push(item);
    else this.#later.set(slice, [item]);
    if (slice < this.#nextSlice) this.#nextSlice = slice;
  }

  #order(slice: number): void {
    for (const item of this.#later.get(slice)!)
      if (item.gone) this.#gone--;
      else this.#heap.push(item);
    this.#later.delete(slice);
    this.#ordered = slice;
    this.#nextSlice = Math.min(Infinity, ...this.#later.keys());
  }

  #clean(): void {
    while (this.#heap.first?.gone) {
      this.#heap.pop();
      this.#gone--;
    }
  }
}

function before(left: Alarm, right: Alarm): boolean {
  return left.dueMs !== right.dueMs ? left.dueMs < right.dueMs : left.actor < right.actor;
}
