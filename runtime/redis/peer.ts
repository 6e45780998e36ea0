/**
 * The other site's Redis. The user that comes here needs to read the keys of shards and of the site, and to write one thing:
 * how far it has read, in the hash of the readers.
 */
import type { Begin, Whereabouts } from '../core/merge/course.ts';
import type { Taken } from '../core/taken.ts';
import type { Log, OutboundEntry, PeerGreeting, PeerSite, System } from '../ports.ts';
import { limits } from '../../config/limits.ts';
import { headOf, type Link } from '../protocol/chain.ts';
import type { Envelope } from '../protocol/envelope.ts';
import type { Address } from '../protocol/ids.ts';
import { positionStart, type Position } from '../protocol/journal.ts';
import { peerReader, type Keyspace } from '../protocol/keys.ts';
import { Unavailable } from '../protocol/errors.ts';
import type { Client, RedisSettings } from './client.ts';
import { Connection } from './connection.ts';
import type { RawEntry } from './following.ts';
import { linkIn, lostAfter, sampleOf } from './mirrorstore.ts';

export interface PeerOptions {
  redis: RedisSettings;
  space: Keyspace;
  system: System;
  log: Log;
}

export class RedisPeer implements PeerSite {
  readonly #options: PeerOptions;
  readonly #space: Keyspace;
  readonly #shared: Connection;
  /** One for each shard that is followed: its reads block. */
  readonly #followers = new Map<number, Connection>();

  /** What the last greeting told of the link. */
  #known: 'unknown' | 'here' | 'away' = 'unknown';

  constructor(options: PeerOptions) {
    this.#options = options;
    this.#space = options.space;
    this.#shared = this.#connect('peer');
  }

  close(): void {
    this.#shared.close();
    for (const connection of this.#followers.values()) connection.close();
    this.#followers.clear();
  }

  /**
   * An account that is refused is a peer that does not answer: nothing here is wrong, and this site goes on with its own work.
   * @throws Unavailable
   */
  async #ask<T>(connection: Connection, call: (client: Client) => Promise<T>, deadlineMs?: number): Promise<T> {
    try {
      return await connection.run(call, deadlineMs);
    } catch (error) {
      if (error instanceof Error && /^(?:NOAUTH|WRONGPASS|NOPERM)\b/.test(error.message))
        throw new Unavailable('peer', error.message, { cause: error });
      throw error;
    }
  }

  /** Never keeps the caller for long: whoever looks after a role has leases to prolong meanwhile. */
  async greet(): Promise<PeerGreeting | undefined> {
    const linkMs = { unknown: limits.callDeadlineMs, here: limits.greetMs, away: limits.greetAwayMs }[this.#known];
    this.#known = 'away';
    await this.#shared.ready(linkMs);
    const names = ['deployment', 'version', 'shards', 'incarnation', 'number', 'role', 'epoch'] as const;
    const [deployment, version, shards, incarnation, site, role, epoch] = await this.#ask(
      this.#shared,
      (client) => client.hmget(this.#space.site, ...names),
      limits.greetMs,
    );
    this.#known = 'here';
    if (!incarnation || !site) return undefined;
    return {
      deployment: deployment ?? '',
      version: Number(version ?? 0),
      shards: Number(shards),
      incarnation,
      site: Number(site),
      role: role ?? '',
      epoch: Number(epoch ?? 0),
    };
  }

  async whereabouts(shard: number): Promise<Whereabouts> {
    const keys = this.#space.shard(shard);
    const [[incarnation, history, head, begins], [first]] = (await this.#ask(
      this.#shared,
      (client) =>
        Promise.all([
          client.hmget(keys.lease, 'incarnation', 'history', 'head', 'begins'),
          client.xrange(keys.journal, '-', '+', 'COUNT', 1),
        ]),
      limits.greetMs,
    )) as [(string | null)[], RawEntry[]];
    const place = headOf(history ?? incarnation ?? '', head);
    return {
      head: place,
      begins: JSON.parse(begins ?? '[]') as Begin[],
      oldest: (first && linkIn('', first)?.sequence) ?? place.sequence + 1,
    };
  }

  async links(
    shard: number,
    after: Position,
    count: number,
    blockMs: number,
  ): Promise<{ position: Position; link: Link }[]> {
    let follower = this.#followers.get(shard);
    if (!follower) this.#followers.set(shard, (follower = this.#connect(`peer-${shard}`)));
    const keys = this.#space.shard(shard);
    const answer = await this.#ask(
      follower,
      async (client) =>
        [
          await client.hmget(keys.lease, 'incarnation', 'history'),
          await client.xread('COUNT', count, 'BLOCK', Math.max(1, blockMs), 'STREAMS', keys.journal, after),
        ] as const,
      blockMs + limits.readWatchdogMarginMs,
    );
    const [[incarnation, history], streams] = answer as [(string | null)[], [string, RawEntry[]][] | null];
    return (streams?.[0]?.[1] ?? []).flatMap((entry) => {
      const link = linkIn(history ?? incarnation ?? '', entry);
      return link ? [{ position: entry[0], link }] : [];
    });
  }

  async beside(shard: number): ReturnType<PeerSite['beside']> {
    const keys = this.#space.shard(shard);
    const [mailboxes, relayed, sent, outbound, commands] = await this.#ask(this.#shared, (client) =>
      Promise.all([
        client.smembers(keys.mailboxes),
        client.hgetall(keys.relayed),
        client.hgetall(keys.sent),
        client.xrange(keys.outbound, '-', '+') as Promise<RawEntry[]>,
        client.xrange(keys.commands, '-', '+') as Promise<RawEntry[]>,
      ]),
    );
    return {
      mailboxes,
      relayed: new Map(Object.entries(relayed).map(([source, taken]) => [Number(source), taken])),
      sent: new Map(Object.entries(sent).map(([target, number]) => [Number(target), Number(number)])),
      outbound: outbound.map(([id, fields]): OutboundEntry => {
        const [, target = '', , number = '', , envelope = ''] = fields;
        return { id, shard: Number(target), number: Number(number), envelope };
      }),
      delivered: commands.flatMap(([id, fields]): OutboundEntry[] => {
        const [kind, envelope = '', , source = '', , number = ''] = fields;
        return kind === 'relayed' ? [{ id, shard: Number(source), number: Number(number), envelope }] : [];
      }),
      putOff: commands.flatMap(([, [kind, text = '[]']]) =>
        kind === 'derived' ? (JSON.parse(text) as Envelope[]) : [],
      ),
    };
  }

  async scan(
    shard: number,
    cursor: string,
  ): Promise<{ cursor: string; done: boolean; snapshots: [Address, string][] }> {
    const { snapshots } = this.#space.shard(shard);
    const [next, flat] = await this.#ask(this.#shared, (client) =>
      client.hscan(snapshots, cursor, 'COUNT', limits.scanCount),
    );
    const page: [Address, string][] = [];
    for (let index = 0; index + 1 < flat.length; index += 2) page.push([flat[index] as Address, flat[index + 1]!]);
    return { cursor: next, done: next === '0', snapshots: page };
  }

  async load(shard: number, addresses: readonly Address[]): Promise<Map<Address, string>> {
    const { snapshots } = this.#space.shard(shard);
    const loaded = new Map<Address, string>();
    for (let from = 0; from < addresses.length; from += limits.scanCount) {
      const part = addresses.slice(from, from + limits.scanCount);
      const texts = await this.#ask(this.#shared, (client) => client.hmget(snapshots, ...part));
      for (const [index, text] of texts.entries()) if (text !== null) loaded.set(part[index]!, text);
    }
    return loaded;
  }

  sample(shard: number, count: number): Promise<Address[]> {
    return sampleOf(this.#shared, this.#space, shard, count);
  }

  lost(shard: number, afterNumber: number, count: number): Promise<{ number: number; text: string }[]> {
    return lostAfter(this.#shared, this.#space, shard, afterNumber, count);
  }

  async taken(shard: number, site: number): Promise<Taken | undefined> {
    const { relayed } = this.#space.shard(shard);
    return (await this.#ask(this.#shared, (client) => client.hget(relayed, String(-site)))) ?? undefined;
  }

  async acknowledge(shard: number, position: Position): Promise<void> {
    if (position === positionStart) return;
    await this.#ask(this.#shared, (client) => client.hset(this.#space.shard(shard).readers, peerReader, position));
  }

  #connect(name: string): Connection {
    const { redis, system, log } = this.#options;
    return new Connection({ ...redis, name: `${redis.name}-${name}` }, system, log);
  }
}
