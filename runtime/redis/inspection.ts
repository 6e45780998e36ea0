/** What operators look at in Redis: the settings that durability depends on, and the groups of the streams. Reads only. */
import type { Log, StreamStatus, System } from '../ports.ts';
import { Unavailable } from '../protocol/errors.ts';
import type { Keyspace } from '../protocol/keys.ts';
import { Connection, type RedisSettings } from './connection.ts';
import { settled } from './shardstore.ts';

export interface InspectionOptions {
  redis: RedisSettings;
  space: Keyspace;
  system: System;
  log: Log;
}

/** One setting that is not as it should be, and how to mend it. */
export interface Finding {
  setting: string;
  value: string;
  consequence: string;
  remedy: string;
}

export class RedisInspection {
  readonly #space: Keyspace;
  readonly #connection: Connection;

  constructor({ redis, space, system, log }: InspectionOptions) {
    this.#space = space;
    this.#connection = new Connection({ ...redis, name: `${redis.name}-inspection` }, system, log, { failFast: true });
  }

  close(): void {
    this.#connection.close();
  }

  async up(deadlineMs = 1_000): Promise<boolean> {
    try {
      return (await this.#connection.run((client) => client.ping(), deadlineMs)) === 'PONG';
    } catch (error) {
      if (error instanceof Unavailable) return false;
      throw error;
    }
  }

  /** Groups of the command streams of the given shards. */
  async groups(shards: readonly number[]): Promise<{ shard: number; group: string; lag: number; pending: number }[]> {
    if (shards.length === 0) return [];
    const answers = await this.#connection.run((client) => {
      const pipeline = client.pipeline();
      for (const shard of shards) pipeline.xinfo('GROUPS', this.#space.shard(shard).commands);
      return settled(pipeline);
    });
    const found: { shard: number; group: string; lag: number; pending: number }[] = [];
    for (const [index, groups] of answers.entries())
      for (const flat of groups as unknown[][]) {
        const entry = new Map<unknown, unknown>();
        for (let at = 0; at + 1 < flat.length; at += 2) entry.set(flat[at], flat[at + 1]);
        found.push({
          shard: shards[index]!,
          group: String(entry.get('name')),
          lag: Number(entry.get('lag') ?? 0),
          pending: Number(entry.get('pending') ?? 0),
        });
      }
    return found;
  }

  /** Streams of the given shards with their lengths and, where they have one, their groups. */
  async streams(shards: readonly number[]): Promise<StreamStatus[]> {
    if (shards.length === 0) return [];
    const groups = await this.groups(shards);
    const names = ['commands', 'outbound', 'journal', 'setAside'] as const;
    const lengths = await this.#connection.run((client) => {
      const pipeline = client.pipeline();
      for (const shard of shards) for (const name of names) pipeline.xlen(this.#space.shard(shard)[name]);
      return settled(pipeline);
    });
    return shards.flatMap((shard, index) =>
      names.map((stream, at) => ({
        shard,
        stream,
        length: Number(lengths[index * names.length + at]),
        groups:
          stream === 'commands'
            ? groups.filter((one) => one.shard === shard).map(({ group, lag, pending }) => ({ group, lag, pending }))
            : [],
      })),
    );
  }

  /** Settings under which the promises of the README do not hold. Empty when all is well. */
  async findings(): Promise<Finding[]> {
    const read = async (setting: string): Promise<string> => {
      const [, value = ''] = (await this.#connection.run((client) => client.config('GET', setting))) as string[];
      return value;
    };
    const found: Finding[] = [];
    const [appendonly, appendfsync, policy] = await Promise.all(
      ['appendonly', 'appendfsync', 'maxmemory-policy'].map(read),
    );
    if (appendonly !== 'yes')
      found.push({
        setting: 'appendonly',
        value: appendonly ?? '',
        consequence: 'a restart of Redis loses what was accepted',
        remedy: 'CONFIG SET appendonly yes, and the same in redis.conf',
      });
    if (appendonly === 'yes' && appendfsync !== 'always')
      found.push({
        setting: 'appendfsync',
        value: appendfsync ?? '',
        consequence:
          'a power cut loses about the last second of what was accepted; a crash of Redis alone loses nothing',
        remedy: 'CONFIG SET appendfsync always (costs about a quarter of the throughput)',
      });
    if (policy !== 'noeviction')
      found.push({
        setting: 'maxmemory-policy',
        value: policy ?? '',
        consequence: 'Redis throws keys away when it is full',
        remedy: 'CONFIG SET maxmemory-policy noeviction',
      });
    return found;
  }
}
