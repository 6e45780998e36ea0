/** Journals on Redis, as their readers see them. */
import type { JournalReader, Log, PositionedEntry, System } from '../ports.ts';
import { positionStart, type JournalEntry, type Position } from '../protocol/journal.ts';
import type { Keyspace } from '../protocol/keys.ts';
import type { RedisSettings } from './client.ts';
import { Connection } from './connection.ts';
import { Following, type RawEntry } from './following.ts';

export interface JournalOptions {
  redis: RedisSettings;
  space: Keyspace;
  system: System;
  log: Log;
}

export class RedisJournalReader implements JournalReader {
  readonly #space: Keyspace;
  readonly #shared: Connection;
  readonly #following: Following;

  constructor({ redis, space, system, log }: JournalOptions) {
    this.#space = space;
    this.#shared = new Connection({ ...redis, name: `${redis.name}-journal` }, system, log);
    this.#following = new Following({ redis: { ...redis, name: `${redis.name}-follower` }, system, log });
  }

  close(): void {
    this.#shared.close();
    this.#following.close();
  }

  async read(after: ReadonlyMap<number, Position>, count: number, blockMs: number): Promise<PositionedEntry[]> {
    const streams = new Map([...after].map(([shard, position]) => [this.#space.shard(shard).journal, position]));
    const answer = await this.#following.read(streams, count, blockMs);
    return answer.flatMap(([, entries]) => entries.map(positioned));
  }

  async range(shard: number, after: Position, count: number): Promise<PositionedEntry[]> {
    const { journal } = this.#space.shard(shard);
    const entries = (await this.#shared.run((client) =>
      client.xrange(journal, after === positionStart ? '-' : `(${after}`, '+', 'COUNT', count),
    )) as RawEntry[];
    return entries.map(positioned);
  }

  async last(shard: number): Promise<Position> {
    const { journal } = this.#space.shard(shard);
    const [entry] = (await this.#shared.run((client) => client.xrevrange(journal, '+', '-', 'COUNT', 1))) as RawEntry[];
    return entry?.[0] ?? positionStart;
  }

  async acknowledge(shard: number, reader: string, position: Position): Promise<void> {
    await this.#shared.run((client) => client.hset(this.#space.shard(shard).readers, reader, position));
  }
}

function positioned([position, [, text = '{}']]: RawEntry): PositionedEntry {
  return { position, entry: JSON.parse(text) as JournalEntry };
}
