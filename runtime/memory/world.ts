/**
 * What a Redis holds for a site, in the memory of one process. Several stores, gateways and readers on one world behave
 * like several processes on one server: whoever is late finds another epoch, whoever waits is woken by what is appended.
 */
import type { Begin } from '../core/merge/course.ts';
import type { Gate } from '../core/merge/gate.ts';
import type { System } from '../ports.ts';
import type { Cursor } from '../protocol/chain.ts';
import type { Address } from '../protocol/ids.ts';
import type { Position } from '../protocol/journal.ts';
import { keyspace, type Keyspace } from '../protocol/keys.ts';
import { Stream } from './stream.ts';

export interface LeaseRecord {
  owner: string;
  expiresMs: number;
  epoch: number;
  /** The last commit under this epoch, and its journal entry: the answer to a repeat (R5). */
  sequence: number;
  journal: Position | undefined;
}

/** The rest of what Redis keeps beside the lease of a shard. */
export interface Standing {
  incarnation: string;
  head: Cursor | undefined;
  begins: readonly Begin[];
  /** At a site of a pair. */
  gate: Gate | undefined;
  /** At a standby. */
  cursor: Position | undefined;
  copying: boolean;
  deferred: Map<string, string>;
}

/** Everything of one shard that is no stream. */
export interface ShardRecord {
  lease: LeaseRecord | undefined;
  readonly standing: Standing;
  readonly snapshots: Map<Address, string>;
  readonly relayed: Map<number, string>;
  readonly sent: Map<number, number>;
  readonly mailboxes: Set<string>;
  /** Reader of the journal -> last entry that it has stored. */
  readonly readers: Map<string, Position>;
}

interface Waiting {
  readonly keys: ReadonlySet<string>;
  readonly woken: AbortController;
}

export class MemoryWorld {
  readonly system: System;
  /** Names of the streams, those that Redis has. */
  readonly space: Keyspace = keyspace();
  /** Member -> end of its membership, in milliseconds since 1970. */
  readonly members = new Map<string, number>();
  readonly #streams = new Map<string, Stream>();
  readonly #shards = new Map<number, ShardRecord>();
  readonly #waiting = new Set<Waiting>();

  constructor(system: System) {
    this.system = system;
  }

  shard(shard: number): ShardRecord {
    let record = this.#shards.get(shard);
    if (!record) {
      record = {
        lease: undefined,
        standing: {
          incarnation: '',
          head: undefined,
          begins: [],
          gate: undefined,
          cursor: undefined,
          copying: false,
          deferred: new Map(),
        },
        snapshots: new Map(),
        relayed: new Map(),
        sent: new Map(),
        mailboxes: new Set(),
        readers: new Map(),
      };
      this.#shards.set(shard, record);
    }
    return record;
  }

  find(key: string): Stream | undefined {
    const stream = this.#streams.get(key);
    if (!stream || stream.expiresMs > this.system.now()) return stream;
    this.#streams.delete(key);
    return undefined;
  }

  /** The stream, made where there is none. */
  stream(key: string): Stream {
    let stream = this.find(key);
    if (!stream) this.#streams.set(key, (stream = new Stream()));
    return stream;
  }

  remove(key: string): void {
    this.#streams.delete(key);
  }

  append(key: string, fields: readonly string[]): Position {
    const position = this.stream(key).append(this.system.now(), fields);
    for (const { keys, woken } of this.#waiting) if (keys.has(key)) woken.abort();
    return position;
  }

  /** Everything that is kept, as text by key: equal worlds give equal texts. */
  contents(): Map<string, string> {
    const contents = new Map<string, string>();
    for (const [shard, record] of this.#shards)
      for (const [part, value] of Object.entries(record)) contents.set(`${part} of shard ${shard}`, textOf(value));
    for (const key of this.#streams.keys()) contents.set(key, textOf(this.find(key)));
    contents.set('members', textOf(this.members));
    return contents;
  }

  /** Looks until it finds something, or until `blockMs` have passed; looks again whenever one of the streams grows. */
  async look<T>(keys: readonly string[], blockMs: number, find: () => T[]): Promise<T[]> {
    const endMs = this.system.monotonicMs() + blockMs;
    for (;;) {
      const found = find();
      const leftMs = endMs - this.system.monotonicMs();
      if (found.length > 0 || leftMs <= 0) return found;
      const waiting: Waiting = { keys: new Set(keys), woken: new AbortController() };
      this.#waiting.add(waiting);
      await this.system.sleep(leftMs, waiting.woken.signal);
      this.#waiting.delete(waiting);
    }
  }
}

function textOf(value: unknown): string {
  return (
    JSON.stringify(value, (_key, part: unknown) => (part instanceof Map || part instanceof Set ? [...part] : part)) ??
    ''
  );
}
