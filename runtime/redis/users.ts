/**
 * A Redis user for each mailbox: `MailboxUsers` by ACL selectors. The flat form of an ACL would let an agent write into its
 * own inbox, because every command that it has would work on every key that it has; a selector binds commands to keys.
 */
import type { Log, MailboxUsers, System } from '../ports.ts';
import { hashOf, passwordFor, userOf } from '../protocol/credential.ts';
import { shardOfId } from '../protocol/ids.ts';
import type { Keyspace } from '../protocol/keys.ts';
import type { Redis } from 'ioredis';
import { serversOf, type RedisSettings } from './client.ts';
import { Connection } from './connection.ts';

export interface UsersOptions {
  redis: RedisSettings;
  space: Keyspace;
  system: System;
  log: Log;
  /** Secret of the site from which passwords follow. */
  secret: string;
}

export class RedisUsers implements MailboxUsers {
  readonly #space: Keyspace;
  readonly #secret: string;
  readonly #connection: Connection;

  constructor({ redis, space, system, log, secret }: UsersOptions) {
    this.#space = space;
    this.#secret = secret;
    this.#connection = new Connection({ ...redis, name: `${redis.name}-users` }, system, log);
  }

  close(): void {
    this.#connection.close();
  }

  async list(shard: number): Promise<Map<string, boolean>> {
    const lists = await this.#everywhere(async (server) => new Set((await server.call('ACL', 'USERS')) as string[]));
    const before = userOf(this.#space.prefix, '');
    const found = new Map<string, boolean>();
    for (const name of new Set(lists.flatMap((names) => [...names]))) {
      const mailbox = name.startsWith(before) ? name.slice(before.length) : '';
      if (shardOfId(mailbox) === shard)
        found.set(
          mailbox,
          lists.every((names) => names.has(name)),
        );
    }
    return found;
  }

  async stands(_shard: number, mailbox: string, grant: string): Promise<boolean> {
    const hash = this.#hash(mailbox, grant);
    const found = await this.#everywhere((server) => passwordsOf(server, this.#user(mailbox)));
    return found.every((passwords) => passwords?.includes(hash) ?? false);
  }

  async grant(shard: number, mailbox: string, grant: string): Promise<void> {
    const user = this.#user(mailbox);
    const hash = this.#hash(mailbox, grant);
    await this.#everywhere(async (server) => {
      const present = await passwordsOf(server, user);
      if (present?.length === 1 && present[0] === hash) return;
      await server.call('ACL', 'SETUSER', user, ...this.#rules(shard, mailbox, hash));
      if (present) await cut(server, user);
    });
  }

  async revoke(_shard: number, mailbox: string): Promise<void> {
    const user = this.#user(mailbox);
    await this.#everywhere(async (server) => {
      if ((await passwordsOf(server, user)) === undefined) return;
      // Off first: nobody comes back while the connections are cut.
      await server.call('ACL', 'SETUSER', user, 'reset');
      await cut(server, user);
      await server.call('ACL', 'DELUSER', user);
    });
  }

  /** Users are per server: no replica gets them from its master, and any may be the master in a moment. */
  #everywhere<T>(call: (server: Redis) => Promise<T>): Promise<T[]> {
    return this.#connection.run((client) => Promise.all(serversOf(client, 'all').map(call)));
  }

  #user(mailbox: string): string {
    return userOf(this.#space.prefix, mailbox);
  }

  #hash(mailbox: string, grant: string): string {
    return hashOf(passwordFor(this.#secret, 'redis', mailbox, grant));
  }

  #rules(shard: number, mailbox: string, hash: string): string[] {
    const inbox = this.#space.inbox(shard, mailbox);
    const outbox = this.#space.outbox(shard, mailbox);
    return [
      ...['reset', 'on', `#${hash}`, 'resetchannels', '-@all'],
      `(+xreadgroup +xack +xautoclaim ~${inbox})`,
      `(+xadd %W~${outbox})`,
      '(+ping +hello +client|setname)',
    ];
  }
}

/** Hashes of the user's passwords; undefined where there is no such user. */
async function passwordsOf(server: Redis, user: string): Promise<string[] | undefined> {
  const answer = (await server.call('ACL', 'GETUSER', user)) as unknown[] | null;
  const place = answer?.indexOf('passwords') ?? -1;
  return answer === null || place < 0 ? undefined : (answer[place + 1] as string[]);
}

async function cut(server: Redis, user: string): Promise<void> {
  await server.call('CLIENT', 'KILL', 'USER', user);
}
