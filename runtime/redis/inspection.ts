/** What operators look at in Redis: the settings that durability depends on, and the groups of the streams. Reads only. */
import type { Log, StreamStatus, System } from '../ports.ts';
import { Unavailable } from '../protocol/errors.ts';
import type { Keyspace } from '../protocol/keys.ts';
import { serversOf, type RedisSettings } from './client.ts';
import { Connection } from './connection.ts';

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

  /** Whether the server, or every master of the cluster, answers. */
  async up(deadlineMs = 1_000): Promise<boolean> {
    try {
      const answers = await this.#connection.run(
        (client) => Promise.all(serversOf(client, 'master').map((server) => server.ping())),
        deadlineMs,
      );
      return answers.length > 0 && answers.every((answer) => answer === 'PONG');
    } catch (error) {
      if (error instanceof Unavailable) return false;
      throw error;
    }
  }

  /** Groups of the command streams of the given shards. */
  async groups(shards: readonly number[]): Promise<{ shard: number; group: string; lag: number; pending: number }[]> {
    if (shards.length === 0) return [];
    const answers = await this.#connection.run((client) =>
      Promise.all(shards.map((shard) => client.xinfo('GROUPS', this.#space.shard(shard).commands))),
    );
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
    const lengths = await this.#connection.run((client) =>
      Promise.all(shards.flatMap((shard) => names.map((name) => client.xlen(this.#space.shard(shard)[name])))),
    );
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
    const servers = await this.#connection.run((client) =>
      Promise.all(
        serversOf(client, 'all').map(async (server) => {
          const values = await Promise.all(
            ['appendonly', 'appendfsync', 'maxmemory-policy'].map((setting) => server.config('GET', setting)),
          );
          return values.map((value) => (value as string[])[1] ?? '');
        }),
      ),
    );
    // Of a cluster, what one server has wrong is wrong.
    const worst = (index: number, wanted: string): string =>
      servers.map((values) => values[index] ?? '').find((value) => value !== wanted) ?? wanted;
    const found: Finding[] = [];
    const appendonly = worst(0, 'yes');
    const appendfsync = worst(1, 'always');
    const policy = worst(2, 'noeviction');
    if (appendonly !== 'yes')
      found.push({
        setting: 'appendonly',
        value: appendonly,
        consequence: 'a restart of Redis loses what was accepted',
        remedy: 'CONFIG SET appendonly yes, and the same in redis.conf',
      });
    if (appendonly === 'yes' && appendfsync !== 'always')
      found.push({
        setting: 'appendfsync',
        value: appendfsync,
        consequence:
          'a power cut loses about the last second of what was accepted; a crash of Redis alone loses nothing',
        remedy: 'CONFIG SET appendfsync always (costs about a quarter of the throughput)',
      });
    if (policy !== 'noeviction')
      found.push({
        setting: 'maxmemory-policy',
        value: policy,
        consequence: 'Redis throws keys away when it is full',
        remedy: 'CONFIG SET maxmemory-policy noeviction',
      });
    return found;
  }
}
