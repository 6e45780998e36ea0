/** An agent's side of its streams, for agents that come over HTTP: `MailboxGateway` on Redis. */
import type { Log, MailboxGateway, MailboxMessage, System } from '../ports.ts';
import type { Position } from '../protocol/journal.ts';
import { agentGroup, type Keyspace } from '../protocol/keys.ts';
import type { RedisSettings } from './client.ts';
import { Connection } from './connection.ts';

export interface MailboxGatewayOptions {
  redis: RedisSettings;
  space: Keyspace;
  system: System;
  log: Log;
}

type Reply = [stream: string, entries: [id: Position, fields: string[] | null][]][] | null;

export class RedisMailboxGateway implements MailboxGateway {
  readonly #space: Keyspace;
  readonly #connection: Connection;

  constructor({ redis, space, system, log }: MailboxGatewayOptions) {
    this.#space = space;
    this.#connection = new Connection({ ...redis, name: `${redis.name}-mailbox-gateway` }, system, log);
  }

  close(): void {
    this.#connection.close();
  }

  async receive(shard: number, mailbox: string, from: 'pending' | 'new', count: number): Promise<MailboxMessage[]> {
    const inbox = this.#space.inbox(shard, mailbox);
    // The name of the consumer is the agent's: it has one inbox, whatever it comes by.
    const position = from === 'new' ? '>' : '0';
    const reply = (await this.#connection.run((client) =>
      client.xreadgroup('GROUP', agentGroup, mailbox, 'COUNT', count, 'STREAMS', inbox, position),
    )) as Reply;
    return (reply?.[0]?.[1] ?? []).map(([id, fields]) => ({ id, fields: fields ?? [] }));
  }

  acknowledge(shard: number, mailbox: string, ids: readonly Position[]): Promise<number> {
    const inbox = this.#space.inbox(shard, mailbox);
    return this.#connection.run((client) => client.xack(inbox, agentGroup, ...ids));
  }

  async report(shard: number, mailbox: string, fields: readonly string[]): Promise<boolean> {
    const outbox = this.#space.outbox(shard, mailbox);
    const id = await this.#connection.run((client) => client.call('XADD', outbox, 'NOMKSTREAM', '*', ...fields));
    return id !== null;
  }
}
