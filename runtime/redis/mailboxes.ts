/** The mailboxes of shards on Redis, looked at beside the loop: `MailboxStore`. */
import { limits } from '../../config/limits.ts';
import type { Log, MailboxState, MailboxStore, System } from '../ports.ts';
import type { Envelope } from '../protocol/envelope.ts';
import type { Address } from '../protocol/ids.ts';
import { runtimeGroup, type Keyspace } from '../protocol/keys.ts';
import type { RedisSettings } from './client.ts';
import { Connection } from './connection.ts';

export interface MailboxesOptions {
  redis: RedisSettings;
  space: Keyspace;
  system: System;
  log: Log;
}

/** Mailboxes that one call asks about. */
const pageMax = 200;

export class RedisMailboxes implements MailboxStore {
  readonly #space: Keyspace;
  readonly #connection: Connection;

  constructor({ redis, space, system, log }: MailboxesOptions) {
    this.#space = space;
    this.#connection = new Connection({ ...redis, name: `${redis.name}-mailboxes` }, system, log);
  }

  close(): void {
    this.#connection.close();
  }

  mailboxes(shard: number): Promise<string[]> {
    return this.#connection.run((client) => client.smembers(this.#space.shard(shard).mailboxes));
  }

  async inspect(shard: number, mailboxes: readonly string[]): Promise<(MailboxState | undefined)[]> {
    const found: (MailboxState | undefined)[] = [];
    for (let from = 0; from < mailboxes.length; from += pageMax)
      for (const mailbox of mailboxes.slice(from, from + pageMax)) found.push(await this.#look(shard, mailbox));
    return found;
  }

  /** In one transaction, because the numbers are compared. */
  async #look(shard: number, mailbox: string): Promise<MailboxState | undefined> {
    const outbox = this.#space.outbox(shard, mailbox);
    const answers = await this.#connection.run((client) =>
      client
        .multi()
        .call('XINFO', 'STREAM', outbox)
        .call('XINFO', 'GROUPS', outbox)
        .call('XLEN', this.#space.inbox(shard, mailbox))
        .time()
        .exec(),
    );
    const [[noStream, stream], [noGroups, groups], [noInbox, inbox], [, time]] = answers as [
      error: unknown,
      answer: unknown,
    ][] as [[unknown, unknown[]], [unknown, unknown[][]], [unknown, number], [unknown, [string, string]]];
    const group = noGroups ? undefined : groups.map(pairs).find((entry) => entry['name'] === runtimeGroup);
    if (noStream || !group) return undefined;
    const { length, ...about } = pairs(stream) as { length: number } & Record<string, unknown>;
    const added = Number(about['entries-added'] ?? 0);
    const pending = Number(group['pending']);
    const read = group['entries-read'];
    return {
      lastMs: Number(String(about['last-generated-id']).split('-')[0]),
      nowMs: Number(time[0]) * 1000 + Math.floor(Number(time[1]) / 1000),
      added,
      vanished: typeof read === 'number' ? Math.max(0, pending + (added - read) - length) : undefined,
      unread: Math.max(0, length - pending),
      inbox: noInbox ? 0 : inbox,
    };
  }

  async snapshots(shard: number, addresses: readonly Address[]): Promise<Map<Address, string>> {
    const found = new Map<Address, string>();
    for (let from = 0; from < addresses.length; from += limits.scanCount) {
      const page = addresses.slice(from, from + limits.scanCount);
      const texts = await this.#connection.run((client) => client.hmget(this.#space.shard(shard).snapshots, ...page));
      for (const [index, text] of texts.entries()) if (text !== null) found.set(page[index]!, text);
    }
    return found;
  }

  async tell(shard: number, envelope: Envelope): Promise<void> {
    const { commands } = this.#space.shard(shard);
    await this.#connection.run((client) => client.xadd(commands, '*', 'derived', JSON.stringify([envelope])));
  }
}

function pairs(flat: readonly unknown[]): Record<string, unknown> {
  const entry: Record<string, unknown> = {};
  for (let index = 0; index + 1 < flat.length; index += 2) entry[String(flat[index])] = flat[index + 1];
  return entry;
}
