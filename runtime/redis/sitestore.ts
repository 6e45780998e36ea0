/** The other way round: images of shards into Redis, and the identity of the site that they belong to. */
import { limits } from '../../config/limits.ts';
import type { Log, PeerGreeting, ShardImage, SiteIdentity, SiteStore, System } from '../ports.ts';
import type { Envelope } from '../protocol/envelope.ts';
import type { Address } from '../protocol/ids.ts';
import { positionStart, type Position } from '../protocol/journal.ts';
import { agentGroup, runtimeGroup, type Keyspace } from '../protocol/keys.ts';
import { serversOf, type RedisSettings } from './client.ts';
import { Connection } from './connection.ts';
import { functionName } from './library.ts';
import { settled } from './shardstore.ts';

export interface SiteStoreOptions {
  redis: RedisSettings;
  space: Keyspace;
  system: System;
  log: Log;
}

/** Epochs that a rebuilt shard leaves out: owners that were never heard of again may have had some of them. */
const epochsLeftOut = 1_000;

export class RedisSiteStore implements SiteStore {
  readonly #space: Keyspace;
  readonly #connection: Connection;

  constructor({ redis, space, system, log }: SiteStoreOptions) {
    this.#space = space;
    this.#connection = new Connection({ ...redis, name: `${redis.name}-restore` }, system, log);
  }

  close(): void {
    this.#connection.close();
  }

  async site(): Promise<SiteIdentity | undefined> {
    const [incarnation, shards] = await this.#connection.run((client) =>
      client.hmget(this.#space.site, 'incarnation', 'shards'),
    );
    return incarnation && shards ? { incarnation, shards: Number(shards) } : undefined;
  }

  async claimSite({ incarnation, shards }: SiteIdentity): Promise<SiteIdentity> {
    return this.#connection.run(async (client) => {
      const { site } = this.#space;
      await client.hsetnx(site, 'shards', String(shards));
      await client.hsetnx(site, 'birth', incarnation);
      const [birth, born] = await client.hmget(site, 'birth', 'shards');
      const identity = { incarnation: birth ?? incarnation, shards: Number(born) };
      await this.#each(identity.shards, (shard) =>
        client.hsetnx(this.#space.shard(shard).lease, 'incarnation', identity.incarnation),
      );
      // Last: a birth that was cut short is begun again, a lost shard of a born site is not made up.
      await client.hset(site, 'incarnation', identity.incarnation);
      return identity;
    });
  }

  async occupied(shards: number): Promise<number[]> {
    const sizes = await this.#connection.run((client) =>
      this.#each(shards, (shard) => {
        const { lease, snapshots } = this.#space.shard(shard);
        return Promise.all([client.hget(lease, 'epoch'), client.hlen(snapshots)]);
      }),
    );
    return sizes.flatMap(([epoch, actors], shard) => (epoch !== null || actors !== 0 ? [shard] : []));
  }

  async held(shards: number): Promise<{ shard: number; owner: string }[]> {
    const leases = await this.#connection.run((client) =>
      this.#each(shards, (shard) =>
        // Leases run out by the clock of the server that has them.
        settled(client.pipeline().hmget(this.#space.shard(shard).lease, 'owner', 'expires').time()),
      ),
    );
    return (leases as [[string | null, string | null], [string, string]][]).flatMap(
      ([[owner, expires], [seconds]], shard) =>
        owner && Number(expires) > Number(seconds) * 1000 ? [{ shard, owner }] : [],
    );
  }

  /** Asks for all shards at once: on a cluster a pipeline has one shard only. */
  #each<T>(shards: number, ask: (shard: number) => Promise<T>): Promise<T[]> {
    return Promise.all(Array.from({ length: shards }, (_, shard) => ask(shard)));
  }

  async journalEnds(shards: number): Promise<Position[]> {
    const ends: Position[] = [];
    for (let shard = 0; shard < shards; shard++) ends.push(await this.#journalEnd(shard));
    return ends;
  }

  /** A trimmed stream still knows the last id that it gave out. */
  async #journalEnd(shard: number): Promise<Position> {
    const { journal } = this.#space.shard(shard);
    const about = (await this.#connection.run((client) =>
      client.exists(journal).then((is) => (is ? client.xinfo('STREAM', journal) : [])),
    )) as unknown[];
    const end = about[about.indexOf('last-generated-id') + 1];
    return typeof end === 'string' ? end : positionStart;
  }

  async clear(): Promise<void> {
    await this.#connection.run(async (client) => {
      for (const server of serversOf(client, 'master'))
        for (const pattern of [`${this.#space.prefix}{s[0-9]*}:*`, this.#space.members, this.#space.site]) {
          let cursor = '0';
          do {
            const [next, keys] = await server.scan(cursor, 'MATCH', pattern, 'COUNT', limits.scanCount);
            const removing = server.pipeline();
            for (const key of keys) removing.unlink(key);
            await settled(removing);
            cursor = next;
          } while (cursor !== '0');
        }
    });
  }

  async read(shard: number): Promise<ShardImage | undefined> {
    const keys = this.#space.shard(shard);
    const position = await this.#journalEnd(shard);
    const [epoch, sequence] = await this.#connection.run((client) => client.hmget(keys.lease, 'epoch', 'sequence'));
    if (epoch === null || epoch === undefined) return undefined;
    const snapshots = new Map<Address, string>();
    let cursor = '0';
    do {
      const [next, some] = await this.#connection.run((client) =>
        client.hscan(keys.snapshots, cursor, 'COUNT', limits.scanCount),
      );
      for (let at = 0; at + 1 < some.length; at += 2) snapshots.set(some[at] as Address, some[at + 1]!);
      cursor = next;
    } while (cursor !== '0');
    const [mailboxes, relayed, sent] = await this.#connection.run((client) =>
      Promise.all([client.smembers(keys.mailboxes), client.hgetall(keys.relayed), client.hgetall(keys.sent)]),
    );
    const numbered = <Value>(members: Record<string, string>, value: (text: string) => Value): Map<number, Value> =>
      new Map(Object.entries(members).map(([other, text]) => [Number(other), value(text)]));
    return {
      ...{ shard, position, epoch: Number(epoch), sequence: Number(sequence ?? 0), at: Number(position.split('-')[0]) },
      ...{ snapshots, mailboxes },
      relayed: numbered(relayed, (text) => text),
      sent: numbered(sent, Number),
      outbound: (await this.#entries(keys.outbound)).map(({ shard: target, number, envelope }) => ({
        ...{ shard: Number(target), number: Number(number) },
        envelope: JSON.parse(envelope ?? '') as Envelope,
      })),
      deferred: (await this.#entries(keys.commands)).flatMap(({ derived }) =>
        derived === undefined ? [] : (JSON.parse(derived) as Envelope[]),
      ),
    };
  }

  /** All entries of a stream, as their fields. */
  async #entries(stream: string): Promise<Partial<Record<string, string>>[]> {
    const found: Partial<Record<string, string>>[] = [];
    let from = '-';
    for (;;) {
      const page = await this.#connection.run((client) => client.xrange(stream, from, '+', 'COUNT', limits.scanCount));
      for (const [, fields] of page) {
        const members: Partial<Record<string, string>> = {};
        for (let at = 0; at + 1 < fields.length; at += 2) members[fields[at]!] = fields[at + 1]!;
        found.push(members);
      }
      const last = page.at(-1);
      if (!last) return found;
      from = `(${last[0]}`;
    }
  }

  /**
   * Writes one shard. What clients and agents appended since it was lost stays, and is decided after it; the lease comes
   * last, so nobody takes a shard that is half there.
   * @param reader name under which the projection has everything up to the image's position
   */
  async write(image: ShardImage, incarnation: string, reader: string): Promise<void> {
    const { shard } = image;
    const keys = this.#space.shard(shard);
    for (const part of parts([...image.snapshots]))
      await this.#connection.run((client) => client.hset(keys.snapshots, ...part.flat()));
    await this.#connection.run(async (client) => {
      const groups = async (streams: string[], group: string): Promise<void> => {
        if (streams.length > 0) await client.fcall(functionName('groups'), streams.length, ...streams, group);
      };
      await groups(
        image.mailboxes.map((id) => this.#space.inbox(shard, id)),
        agentGroup,
      );
      await groups([keys.commands, ...image.mailboxes.map((id) => this.#space.outbox(shard, id))], runtimeGroup);
      const writing = client.pipeline();
      if (image.mailboxes.length > 0) writing.sadd(keys.mailboxes, ...image.mailboxes);
      for (const [target, number] of image.sent) writing.hset(keys.sent, target, number);
      for (const [source, taken] of image.relayed) writing.hset(keys.relayed, source, taken);
      for (const { shard: target, number, envelope } of image.outbound)
        writing.xadd(keys.outbound, '*', 'shard', target, 'number', number, 'envelope', JSON.stringify(envelope));
      for (const part of parts(image.deferred)) writing.xadd(keys.commands, '*', 'derived', JSON.stringify(part));
      if (image.epoch > 0) {
        // Readers go on behind the position they have: new entries must come after it, whatever the clock says.
        writing.xadd(keys.journal, image.position, 'entry', '{}').xtrim(keys.journal, 'MAXLEN', 0);
        writing.hset(keys.readers, reader, image.position);
      }
      writing.hset(keys.lease, {
        ...{ owner: '', expires: 0, sequence: 0, journal: '', incarnation },
        epoch: image.epoch + epochsLeftOut,
        // The links of what comes now do not follow those that are lost: the other site of a pair must see that.
        history: `${incarnation}.${image.position}`,
      });
      await settled(writing);
    });
  }

  /** Lets the control shard of a pair be taken. */
  async admitControl(shard: number, incarnation: string): Promise<void> {
    await this.#connection.run((client) => client.hset(this.#space.shard(shard).lease, { incarnation }));
  }

  async announce({ deployment, version, site, role, epoch }: PeerGreeting): Promise<void> {
    await this.#connection.run((client) =>
      client.hset(this.#space.site, { deployment, version, number: site, role, epoch }),
    );
  }

  async finish({ incarnation, shards }: SiteIdentity): Promise<void> {
    await this.#connection.run((client) => client.hset(this.#space.site, { shards, incarnation, birth: incarnation }));
  }
}

function* parts<Item>(items: readonly Item[]): Generator<Item[]> {
  for (let from = 0; from < items.length; from += limits.batchEnvelopesMax)
    yield items.slice(from, from + limits.batchEnvelopesMax);
}
