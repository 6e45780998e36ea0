/** The gates of a site's shards on Redis. */
import type { GateKeeper, GateOutcome } from '../ports.ts';
import type { Keyspace } from '../protocol/keys.ts';
import type { Connection } from './connection.ts';
import { functionName } from './library.ts';

export class RedisGates implements GateKeeper {
  readonly #space: Keyspace;
  readonly #connection: Connection;

  constructor(space: Keyspace, connection: Connection) {
    this.#space = space;
    this.#connection = connection;
  }

  async shut(shards: readonly number[]): Promise<void> {
    for (const shard of shards) await this.#call(shard, 0, -1);
  }

  async open(shards: readonly number[], epoch: number, forMs: number): Promise<GateOutcome> {
    const answers = await Promise.all(shards.map((shard) => this.#call(shard, epoch, forMs)));
    for (const [index, [outcome, why]] of answers.entries())
      if (outcome === 'refused') return { outcome: 'refused', shard: shards[index]!, why: String(why) };
    return { outcome: 'opened' };
  }

  async close(shards: readonly number[], epoch: number): Promise<void> {
    await Promise.all(shards.map((shard) => this.#call(shard, epoch, 0)));
  }

  #call(shard: number, epoch: number, forMs: number): Promise<[string, string?]> {
    return this.#connection.run((client) =>
      client.fcall(functionName('gate'), 1, this.#space.shard(shard).lease, epoch, forMs),
    ) as Promise<[string, string?]>;
  }
}
