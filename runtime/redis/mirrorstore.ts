/** A standby's own shard on Redis, and what a site lost: `MirrorStore` over the keys that the commit function writes. */
import { limits } from '../../config/limits.ts';
import type { Taken } from '../core/taken.ts';
import type { Entry, MirrorPlace, MirrorStore } from '../ports.ts';
import { headOf, linkOf, type Cursor, type Link } from '../protocol/chain.ts';
import type { Envelope } from '../protocol/envelope.ts';
import type { Address } from '../protocol/ids.ts';
import { positionStart, type Position } from '../protocol/journal.ts';
import { peerReader, type Keyspace } from '../protocol/keys.ts';
import type { Connection } from './connection.ts';
import type { RawEntry } from './following.ts';
import { settled } from './shardstore.ts';

export class RedisMirrorStore implements MirrorStore {
  readonly #space: Keyspace;
  readonly #connection: Connection;

  constructor(space: Keyspace, connection: Connection) {
    this.#space = space;
    this.#connection = connection;
  }

  async place(shard: number): Promise<MirrorPlace> {
    const keys = this.#space.shard(shard);
    const [[cursor, copying], deferred] = await this.#connection.run((client) =>
      Promise.all([client.hmget(keys.lease, 'cursor', 'copying'), client.hgetall(keys.deferred)]),
    );
    return {
      cursor: cursor ?? undefined,
      copying: copying === '1',
      putOff: new Map(Object.entries(deferred).map(([name, text]) => [name, JSON.parse(text) as Envelope])),
    };
  }

  async tail(shard: number, fromSequence: number): Promise<Link[]> {
    const keys = this.#space.shard(shard);
    const incarnation = await historyOf(this.#connection, keys.lease);
    const found: Link[] = [];
    let before = '+';
    for (;;) {
      const page = await this.#connection.run(
        (client) => client.xrevrange(keys.journal, before, '-', 'COUNT', limits.mirrorLinksMax) as Promise<RawEntry[]>,
      );
      for (const entry of page) {
        const link = linkIn(incarnation, entry);
        if (!link || link.sequence < fromSequence) return found.reverse();
        // Older branches may stand further back; what leads to the head is dense and named by hash.
        if (found.length > 0 && found.at(-1)!.previous !== link.hash) return found.reverse();
        found.push(link);
      }
      const last = page.at(-1);
      if (!last || page.length < limits.mirrorLinksMax) return found.reverse();
      before = `(${last[0]}`;
    }
  }

  async oldest(shard: number): Promise<number | undefined> {
    return oldestOf(this.#connection, this.#space, shard);
  }

  async waiting(shard: number, count: number): Promise<Entry[]> {
    const { commands } = this.#space.shard(shard);
    const entries = (await this.#connection.run((client) =>
      client.xrange(commands, '-', '+', 'COUNT', count),
    )) as RawEntry[];
    return entries.map(([id, fields]) => ({ source: 'commands', id, fields }));
  }

  async lostNumber(shard: number): Promise<number> {
    const { lost } = this.#space.shard(shard);
    const [last] = (await this.#connection.run((client) => client.xrevrange(lost, '+', '-', 'COUNT', 1))) as RawEntry[];
    return last ? packageOf(last).number : 0;
  }

  lost(shard: number, afterNumber: number, count: number): Promise<{ number: number; text: string }[]> {
    return lostAfter(this.#connection, this.#space, shard, afterNumber, count);
  }

  async taken(shard: number, source: number): Promise<Taken | undefined> {
    const { relayed } = this.#space.shard(shard);
    return (await this.#connection.run((client) => client.hget(relayed, String(source)))) ?? undefined;
  }

  async head(shard: number): Promise<Cursor> {
    const { lease } = this.#space.shard(shard);
    const [incarnation, head] = await this.#connection.run((client) => client.hmget(lease, 'incarnation', 'head'));
    return headOf(incarnation ?? '', head);
  }

  sample(shard: number, count: number): Promise<Address[]> {
    return sampleOf(this.#connection, this.#space, shard, count);
  }

  async reports(shard: number, mailboxes: readonly string[], count: number): Promise<Entry[]> {
    const found = await this.#connection.run((client) =>
      Promise.all(
        mailboxes.map(async (mailbox) => {
          const outbox = this.#space.outbox(shard, mailbox);
          const entries = (await client.xrange(outbox, '-', '+', 'COUNT', count)) as RawEntry[];
          return entries.map(([id, fields]): Entry => ({ source: { outbox: mailbox }, id, fields }));
        }),
      ),
    );
    return found.flat().slice(0, count);
  }

  async tip(shard: number): Promise<Position> {
    const { journal } = this.#space.shard(shard);
    const [last] = (await this.#connection.run((client) =>
      client.xrevrange(journal, '+', '-', 'COUNT', 1),
    )) as RawEntry[];
    return last?.[0] ?? positionStart;
  }

  async followed(shard: number): Promise<Position> {
    const { readers } = this.#space.shard(shard);
    return (await this.#connection.run((client) => client.hget(readers, peerReader))) ?? positionStart;
  }

  async unfollowed(shard: number): Promise<void> {
    await this.#connection.run((client) => client.hdel(this.#space.shard(shard).readers, peerReader));
  }

  async bring(shard: number, site: number, packages: readonly { number: number; text: string }[]): Promise<void> {
    const { commands } = this.#space.shard(shard);
    await this.#connection.run((client) => {
      const writing = client.pipeline();
      for (const { number, text } of packages)
        writing.xadd(commands, '*', 'lost', text, 'source', -site, 'number', number);
      return settled(writing);
    });
  }
}

/** Name of the history that a shard belongs to: that of its site, until it is rebuilt or copied from another. */
export async function historyOf(connection: Connection, lease: string): Promise<string> {
  const [incarnation, history] = await connection.run((client) => client.hmget(lease, 'incarnation', 'history'));
  return history ?? incarnation ?? '';
}

export function linkIn(incarnation: string, [, fields]: RawEntry): Link | undefined {
  const [, text = '', , link] = fields;
  return linkOf(incarnation, link, text);
}

export async function oldestOf(connection: Connection, space: Keyspace, shard: number): Promise<number | undefined> {
  const { journal } = space.shard(shard);
  const [first] = (await connection.run((client) => client.xrange(journal, '-', '+', 'COUNT', 1))) as RawEntry[];
  return first && linkIn('', first)?.sequence;
}

export async function sampleOf(
  connection: Connection,
  space: Keyspace,
  shard: number,
  count: number,
): Promise<Address[]> {
  const { snapshots } = space.shard(shard);
  return (await connection.run((client) => client.hrandfield(snapshots, count))) as Address[];
}

/** Packages stand in the order of their numbers, and there are few: what a site lost in its life. */
export async function lostAfter(
  connection: Connection,
  space: Keyspace,
  shard: number,
  afterNumber: number,
  count: number,
): Promise<{ number: number; text: string }[]> {
  const { lost } = space.shard(shard);
  const found: { number: number; text: string }[] = [];
  let after = '-';
  while (found.length < count) {
    const page = (await connection.run((client) => client.xrange(lost, after, '+', 'COUNT', count))) as RawEntry[];
    for (const entry of page) {
      const one = packageOf(entry);
      if (one.number > afterNumber && found.length < count) found.push(one);
    }
    const last = page.at(-1);
    if (!last || page.length < count) break;
    after = `(${last[0]}`;
  }
  return found;
}

function packageOf([, [, number = '0', , text = '']]: RawEntry): { number: number; text: string } {
  return { number: Number(number), text };
}
