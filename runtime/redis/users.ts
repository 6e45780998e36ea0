/**
 * A Redis user for each mailbox: `MailboxUsers` by ACL selectors. The flat form of an ACL would let an agent write into its
 * own inbox, because every command that it has would work on every key that it has; a selector binds commands to keys.
 */
import type { Log, MailboxUsers, System } from '../ports.ts';
import { hashOf, passwordFor, userOf } from '../protocol/credential.ts';
import { shardOfId } from '../protocol/ids.ts';
import type { Keyspace } from '../protocol/keys.ts';
import { Connection, type RedisSettings } from './connection.ts';

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

  async list(shard: number): Promise<string[]> {
    const names = await this.#connection.run((client) => client.call('ACL', 'USERS') as Promise<string[]>);
    const before = userOf(this.#space.prefix, '');
    return names.flatMap((name) => {
      const mailbox = name.startsWith(before) ? name.slice(before.length) : '';
      return shardOfId(mailbox) === shard ? [mailbox] : [];
    });
  }

  async stands(_shard: number, mailbox: string, grant: string): Promise<boolean> {
    return (await this.#passwords(mailbox))?.includes(this.#hash(mailbox, grant)) ?? false;
  }

  async grant(shard: number, mailbox: string, grant: string): Promise<void> {
    const present = await this.#passwords(mailbox);
    const hash = this.#hash(mailbox, grant);
    if (present?.length === 1 && present[0] === hash) return;
    const user = userOf(this.#space.prefix, mailbox);
    await this.#connection.run((client) => client.call('ACL', 'SETUSER', user, ...this.#rules(shard, mailbox, hash)));
    if (present) await this.#cut(user);
  }

  async revoke(_shard: number, mailbox: string): Promise<void> {
    if ((await this.#passwords(mailbox)) === undefined) return;
    const user = userOf(this.#space.prefix, mailbox);
    // Off first: nobody comes back while the connections are cut.
    await this.#connection.run((client) => client.call('ACL', 'SETUSER', user, 'reset'));
    await this.#cut(user);
    await this.#connection.run((client) => client.call('ACL', 'DELUSER', user));
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

  /** Hashes of the user's passwords; undefined where there is no such user. */
  async #passwords(mailbox: string): Promise<string[] | undefined> {
    const user = userOf(this.#space.prefix, mailbox);
    const answer = await this.#connection.run(
      (client) => client.call('ACL', 'GETUSER', user) as Promise<unknown[] | null>,
    );
    const place = answer?.indexOf('passwords') ?? -1;
    return answer === null || place < 0 ? undefined : (answer[place + 1] as string[]);
  }

  async #cut(user: string): Promise<void> {
    await this.#connection.run((client) => client.call('CLIENT', 'KILL', 'USER', user));
  }
}
