/** Which processes are alive: a sorted set scored by the end of each membership, on the clock of Redis. */
import type { Log, Membership, System } from '../ports.ts';
import type { Keyspace } from '../protocol/keys.ts';
import type { RedisSettings } from './client.ts';
import { Connection } from './connection.ts';
import { settled } from './shardstore.ts';

export interface MembershipOptions {
  redis: RedisSettings;
  space: Keyspace;
  system: System;
  log: Log;
}

export class RedisMembership implements Membership {
  readonly #key: string;
  readonly #connection: Connection;

  constructor({ redis, space, system, log }: MembershipOptions) {
    this.#key = space.members;
    this.#connection = new Connection({ ...redis, name: `${redis.name}-members` }, system, log);
  }

  close(): void {
    this.#connection.close();
  }

  async join(member: string, ttlMs: number): Promise<string[]> {
    return this.#connection.run(async (client) => {
      // By the clock of the server that has the key.
      const [, time] = await settled(client.pipeline().exists(this.#key).time());
      const [seconds, micros] = time as [string, string];
      const now = Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
      const answers = await settled(
        client
          .pipeline()
          .zadd(this.#key, String(now + ttlMs), member)
          .zremrangebyscore(this.#key, '-inf', String(now))
          .zrange(this.#key, '0', '-1'),
      );
      return (answers[2] as string[]).sort();
    });
  }

  async leave(member: string): Promise<void> {
    await this.#connection.run((client) => client.zrem(this.#key, member));
  }
}
