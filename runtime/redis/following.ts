/**
 * Blocking reads of streams in several shards. On one Redis that is one call; on a cluster a call has the streams of one
 * shard only, so each stream has a read and a connection of its own, and a read that nothing ended goes on under the next.
 */
import { limits } from '../../config/limits.ts';
import type { Log, System } from '../ports.ts';
import type { Position } from '../protocol/journal.ts';
import type { RedisSettings } from './client.ts';
import { Connection } from './connection.ts';

export type RawEntry = [id: string, fields: string[]];
type RawStream = [stream: string, entries: RawEntry[]];

/** One read, under way or landed. */
interface Read {
  after: Position;
  landed: { streams: RawStream[] } | { error: unknown } | undefined;
  /** Never rejects. */
  done: Promise<void>;
  /** Resolves only when there are entries. */
  brings: Promise<void>;
}

export interface FollowingOptions {
  redis: RedisSettings;
  system: System;
  log: Log;
}

export class Following {
  readonly #options: FollowingOptions;
  readonly #connections = new Map<string, Connection>();
  readonly #reads = new Map<string, Read>();

  constructor(options: FollowingOptions) {
    this.#options = options;
  }

  close(): void {
    for (const connection of this.#connections.values()) connection.close();
    this.#connections.clear();
  }

  /** Entries after the given positions; waits up to `blockMs` when there are none. @throws Unavailable */
  read(after: ReadonlyMap<string, Position>, count: number, blockMs: number): Promise<RawStream[]> {
    return this.#options.redis.cluster
      ? this.#readEach(after, count, blockMs)
      : this.#call(this.#connection(''), after, count, blockMs);
  }

  async #readEach(after: ReadonlyMap<string, Position>, count: number, blockMs: number): Promise<RawStream[]> {
    const reads = [...after].map(([stream, position]) => this.#begin(stream, position, count, blockMs));
    // The first that brings something, or all that there is: each ends by its own BLOCK, or by its deadline.
    await Promise.race([Promise.all(reads.map(({ done }) => done)), ...reads.map(({ brings }) => brings)]);
    const streams: RawStream[] = [];
    const failures: unknown[] = [];
    for (const [index, stream] of [...after.keys()].entries()) {
      const { landed } = reads[index]!;
      if (!landed) continue;
      this.#reads.delete(stream);
      if ('error' in landed) failures.push(landed.error);
      else streams.push(...landed.streams);
    }
    // A master that is away keeps nobody from what the others have.
    if (streams.length === 0 && failures.length > 0) throw failures[0];
    return streams;
  }

  /** The read at this position if there is one, or a new one. */
  #begin(stream: string, after: Position, count: number, blockMs: number): Read {
    const present = this.#reads.get(stream);
    if (present?.after === after) return present;
    const reading = this.#call(this.#connection(stream), new Map([[stream, after]]), count, blockMs);
    const read: Read = { after, landed: undefined, done: Promise.resolve(), brings: Promise.resolve() };
    read.done = reading.then(
      (streams) => {
        read.landed = { streams };
      },
      (error: unknown) => {
        read.landed = { error };
      },
    );
    read.brings = read.done.then(() =>
      read.landed && 'streams' in read.landed && read.landed.streams.length > 0
        ? undefined
        : new Promise<never>(() => undefined),
    );
    this.#reads.set(stream, read);
    return read;
  }

  #connection(stream: string): Connection {
    let connection = this.#connections.get(stream);
    if (!connection) {
      const { redis, system, log } = this.#options;
      connection = new Connection(redis, system, log);
      this.#connections.set(stream, connection);
    }
    return connection;
  }

  async #call(
    connection: Connection,
    after: ReadonlyMap<string, Position>,
    count: number,
    blockMs: number,
  ): Promise<RawStream[]> {
    const answer = await connection.run(
      (client) =>
        client.xread('COUNT', count, 'BLOCK', Math.max(1, blockMs), 'STREAMS', ...after.keys(), ...after.values()),
      blockMs + limits.readWatchdogMarginMs,
    );
    return (answer as RawStream[] | null) ?? [];
  }
}
