/** Journals on Redis, as their readers see them. */
import { limits } from '../../config/limits.ts';
import type { JournalReader, Log, PositionedEntry, System } from '../ports.ts';
import { positionStart, type JournalEntry, type Position } from '../protocol/journal.ts';
import type { Keyspace } from '../protocol/keys.ts';
import { Connection, type RedisSettings } from './connection.ts';

type RawEntry = [id: string, fields: string[]];

export interface JournalOptions {
  redis: RedisSettings;
  space: Keyspace;
  system: System;
  log: Log;
}

export class RedisJournalReader implements JournalReader {
  readonly #space: Keyspace;
  readonly #shared: Connection;
  readonly #blocking: Connection;

  constructor({ redis, space, system, log }: JournalOptions) {
    this.#space = space;
    this.#shared = new Connection({ ...redis, name: `${redis.name}-journal` }, system, log);
    this.#blocking = new Connection({ ...redis, name: `${redis.name}-follower` }, system, log);
  }

  close(): void {
    this.#shared.close();
    this.#blocking.close();
  }

  async read(after: ReadonlyMap<number, Position>, count: number, blockMs: number): Promise<PositionedEntry[]> {
    const streams = [...after.keys()].map((shard) => this.#space.shard(shard).journal);
    const answer = (await this.#blocking.run(
      (client) => client.xread('COUNT', count, 'BLOCK', Math.max(1, blockMs), 'STREAMS', ...streams, ...after.values()),
      blockMs + limits.readWatchdogMarginMs,
    )) as [string, RawEntry[]][] | null;
    return (answer ?? []).flatMap(([, entries]) => entries.map(positioned));
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
