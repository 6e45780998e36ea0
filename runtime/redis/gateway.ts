/** The API's side of Redis: commands in, outcomes and snapshots out. It writes nothing but commands (R7). */
import { limits } from '../../config/limits.ts';
import type { CommandGateway, Log, ReplyReader, SetAside, System } from '../ports.ts';
import type { Command, Outcome } from '../protocol/envelope.ts';
import { IngressStopped } from '../protocol/errors.ts';
import type { JsonObject } from '../protocol/json.ts';
import { parseAddress, type Address } from '../protocol/ids.ts';
import { positionStart, type Position } from '../protocol/journal.ts';
import type { Keyspace } from '../protocol/keys.ts';
import type { RedisSettings } from './client.ts';
import { Connection } from './connection.ts';
import { Following, type RawEntry } from './following.ts';
import { setAsideOf, settled } from './shardstore.ts';

export interface GatewayOptions {
  redis: RedisSettings;
  space: Keyspace;
  system: System;
  log: Log;
}

export class RedisGateway implements CommandGateway, ReplyReader {
  readonly #space: Keyspace;
  readonly #system: System;
  readonly #connection: Connection;
  readonly #replies: Following;
  /** Shard -> when it was last looked at, and why it takes nothing in, if so. */
  readonly #pressure = new Map<number, { checkedAtMs: number; reason: string | undefined }>();

  constructor({ redis, space, system, log }: GatewayOptions) {
    this.#space = space;
    this.#system = system;
    this.#connection = new Connection({ ...redis, name: `${redis.name}-gateway` }, system, log, { failFast: true });
    this.#replies = new Following({ redis: { ...redis, name: `${redis.name}-replies` }, system, log });
  }

  /** Resolves when commands can be taken. @throws Unavailable when Redis does not answer in time */
  ready(): Promise<void> {
    return this.#connection.ready();
  }

  close(): void {
    this.#connection.close();
    this.#replies.close();
  }

  /** @throws IngressStopped when the site is full; Unavailable when Redis is away */
  async publish(
    shard: number,
    commands: readonly Command[],
    reply?: { recipient: string; request: string },
  ): Promise<void> {
    await this.#checkPressure(shard);
    const fields =
      commands.length === 1 ? ['command', JSON.stringify(commands[0])] : ['batch', JSON.stringify(commands)];
    if (reply) fields.push('reply', reply.recipient, 'request', reply.request);
    await this.#connection.run((client) => client.xadd(this.#space.shard(shard).commands, '*', ...fields));
  }

  async redrive(
    shard: number,
    ids: readonly Position[],
    reply?: { recipient: string; request: string },
  ): Promise<void> {
    const fields = ['redrive', JSON.stringify(ids)];
    if (reply) fields.push('reply', reply.recipient, 'request', reply.request);
    await this.#connection.run((client) => client.xadd(this.#space.shard(shard).commands, '*', ...fields));
  }

  async ask(shard: number, question: JsonObject, reply: { recipient: string; request: string }): Promise<void> {
    const fields = ['question', JSON.stringify(question), 'reply', reply.recipient, 'request', reply.request];
    await this.#connection.run((client) => client.xadd(this.#space.shard(shard).commands, '*', ...fields));
  }

  async snapshot(address: Address): Promise<string | undefined> {
    const parts = parseAddress(address);
    if (!parts) return undefined;
    const { snapshots } = this.#space.shard(parts.shard);
    return (await this.#connection.run((client) => client.hget(snapshots, address))) ?? undefined;
  }

  async setAside(shard: number, after: Position, count: number): Promise<({ id: Position } & SetAside)[]> {
    const { setAside } = this.#space.shard(shard);
    const entries = (await this.#connection.run((client) =>
      client.xrange(setAside, after === positionStart ? '-' : `(${after}`, '+', 'COUNT', count),
    )) as RawEntry[];
    return entries.map(([id, fields]) => ({ id, ...setAsideOf(fields) }));
  }

  async read(
    recipient: string,
    after: ReadonlyMap<number, Position>,
    blockMs: number,
  ): Promise<{ shard: number; position: Position; request: string; outcomes: Outcome[] }[]> {
    const shards = new Map([...after.keys()].map((shard) => [this.#space.replies(shard, recipient), shard]));
    const positions = new Map([...shards].map(([stream, shard]) => [stream, after.get(shard)!]));
    const answer = await this.#replies.read(positions, 1_000, blockMs);
    const replies: { shard: number; position: Position; request: string; outcomes: Outcome[] }[] = [];
    for (const [stream, entries] of answer) {
      const shard = shards.get(stream)!;
      for (const [position, [, request = '', , outcomes = '[]']] of entries)
        replies.push({ shard, position, request, outcomes: JSON.parse(outcomes) as Outcome[] });
    }
    return replies;
  }

  /** Stops ingress before Redis is full or a journal is longer than it may be; looked at once a second. */
  async #checkPressure(shard: number): Promise<void> {
    const now = this.#system.monotonicMs();
    let known = this.#pressure.get(shard);
    if (!known || now - known.checkedAtMs > 1_000) {
      known = { checkedAtMs: now, reason: known?.reason };
      this.#pressure.set(shard, known);
      known.reason = await this.#pressureOf(shard);
    }
    if (known.reason !== undefined) throw new IngressStopped(known.reason, 5_000);
  }

  async #pressureOf(shard: number): Promise<string | undefined> {
    return this.#connection.run(async (client) => {
      // In one pipeline: both from the server that has the shard.
      const asked = client.pipeline().xlen(this.#space.shard(shard).journal).info('memory');
      const [length, memory] = (await settled(asked)) as [number, string];
      const number = (field: string) => Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(memory)?.[1] ?? 0);
      const used = number('used_memory');
      const max = number('maxmemory');
      if (max > 0 && used > max * limits.memoryIngressStopRatio)
        return `Redis uses ${used} of ${max} bytes; ingress stops at ${limits.memoryIngressStopRatio * 100} %`;
      if (length > limits.journalEntriesMax)
        return `the journal of shard ${shard} has ${length} entries that PostgreSQL does not have yet`;
      return undefined;
    });
  }
}
