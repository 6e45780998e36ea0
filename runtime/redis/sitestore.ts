/** The other way round: images of shards into Redis, and the identity of the site that they belong to. */
import { limits } from '../../config/limits.ts';
import type { Log, ShardImage, SiteIdentity, SiteStore, System } from '../ports.ts';
import { positionStart, type Position } from '../protocol/journal.ts';
import { agentGroup, runtimeGroup, type Keyspace } from '../protocol/keys.ts';
import { Connection, type RedisSettings } from './connection.ts';
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
      const stamps = client.pipeline();
      for (let shard = 0; shard < identity.shards; shard++)
        stamps.hsetnx(this.#space.shard(shard).lease, 'incarnation', identity.incarnation);
      await settled(stamps);
      // Last: a birth that was cut short is begun again, a lost shard of a born site is not made up.
      await client.hset(site, 'incarnation', identity.incarnation);
      return identity;
    });
  }

  async occupied(shards: number): Promise<number[]> {
    const answers = await this.#connection.run((client) => {
      const asked = client.pipeline();
      for (let shard = 0; shard < shards; shard++) {
        const keys = this.#space.shard(shard);
        asked.hget(keys.lease, 'epoch').hlen(keys.snapshots);
      }
      return settled(asked);
    });
    const found: number[] = [];
    for (let shard = 0; shard < shards; shard++)
      if (answers[2 * shard] !== null || answers[2 * shard + 1] !== 0) found.push(shard);
    return found;
  }

  async held(shards: number): Promise<{ shard: number; owner: string }[]> {
    return this.#connection.run(async (client) => {
      const [seconds] = await client.time();
      const asked = client.pipeline();
      for (let shard = 0; shard < shards; shard++) asked.hmget(this.#space.shard(shard).lease, 'owner', 'expires');
      const leases = (await settled(asked)) as (string | null)[][];
      return leases.flatMap(([owner, expires], shard) =>
        owner && Number(expires) > Number(seconds) * 1000 ? [{ shard, owner }] : [],
      );
    });
  }

  async journalEnds(shards: number): Promise<Position[]> {
    const ends: Position[] = [];
    for (let shard = 0; shard < shards; shard++) {
      const { journal } = this.#space.shard(shard);
      // A trimmed stream still knows the last id that it gave out.
      const about = (await this.#connection.run((client) =>
        client.exists(journal).then((is) => (is ? client.xinfo('STREAM', journal) : [])),
      )) as unknown[];
      const end = about[about.indexOf('last-generated-id') + 1];
      ends.push(typeof end === 'string' ? end : positionStart);
    }
    return ends;
  }

  async clear(): Promise<void> {
    await this.#connection.run(async (client) => {
      for (const pattern of [`${this.#space.prefix}{s[0-9]*}:*`, this.#space.members, this.#space.site]) {
        let cursor = '0';
        do {
          const [next, keys] = await client.scan(cursor, 'MATCH', pattern, 'COUNT', limits.scanCount);
          if (keys.length > 0) await client.unlink(...keys);
          cursor = next;
        } while (cursor !== '0');
      }
    });
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
      });
      await settled(writing);
    });
  }

  async finish({ incarnation, shards }: SiteIdentity): Promise<void> {
    await this.#connection.run((client) => client.hset(this.#space.site, { shards, incarnation, birth: incarnation }));
  }
}

function* parts<Item>(items: readonly Item[]): Generator<Item[]> {
  for (let from = 0; from < items.length; from += limits.batchEnvelopesMax)
    yield items.slice(from, from + limits.batchEnvelopesMax);
}
