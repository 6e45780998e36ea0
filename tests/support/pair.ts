/** Two sites on Redis servers of their own, as far as the data goes: who is active is said by the test. */
import { setTimeout as pause } from 'node:timers/promises';
import { application, createRegistry } from '../../actors/application.ts';
import { compareSites, Repairs, type Comparison } from '../../runtime/host/comparison.ts';
import type { Definition } from '../../runtime/core/definition.ts';
import { LostCollector } from '../../runtime/host/lostcollector.ts';
import { MirrorShard, type MirrorStatus } from '../../runtime/host/mirror.ts';
import { prepare } from '../../runtime/host/promotion.ts';
import { Supervisor } from '../../runtime/host/supervisor.ts';
import { createSystem } from '../../runtime/host/system.ts';
import type { PeerGreeting } from '../../runtime/ports.ts';
import { mirrorVersion } from '../../runtime/protocol/chain.ts';
import type { Address } from '../../runtime/protocol/ids.ts';
import { dataShards, parseAddress } from '../../runtime/protocol/ids.ts';
import type { Command } from '../../runtime/protocol/envelope.ts';
import { keyspace, type Keyspace } from '../../runtime/protocol/keys.ts';
import { openClient, type Client } from '../../runtime/redis/client.ts';
import { Connection } from '../../runtime/redis/connection.ts';
import { RedisGates } from '../../runtime/redis/gates.ts';
import { RedisGateway } from '../../runtime/redis/gateway.ts';
import { RedisJournalReader } from '../../runtime/redis/journal.ts';
import { RedisMembership } from '../../runtime/redis/membership.ts';
import { RedisMirrorStore } from '../../runtime/redis/mirrorstore.ts';
import { RedisPeer } from '../../runtime/redis/peer.ts';
import { RedisShardStore } from '../../runtime/redis/shardstore.ts';
import { RedisSiteStore } from '../../runtime/redis/sitestore.ts';
import { MemoryLog, silentTelemetry } from './site.ts';

export interface PairSiteOptions {
  number: 1 | 2;
  url: string;
  peerUrl: string;
  shards: number;
  incarnation: string;
  /** Of its keys. */
  prefix?: string;
  /** Hears what a standby says of its shards. */
  told?: (status: MirrorStatus) => void;
  greeting?: Partial<PeerGreeting>;
  definitions?: readonly Definition[];
  /** For a peer behind TLS: what its certificate must be signed by. */
  peerAuthority?: string;
}

export class PairSite {
  readonly space: Keyspace;
  readonly system = createSystem();
  readonly log = new MemoryLog();
  readonly redis: Client;
  readonly gateway: RedisGateway;
  readonly statuses = new Map<number, MirrorStatus>();
  readonly repairs = new Repairs();
  readonly #options: PairSiteOptions;
  readonly #shards: readonly number[];
  readonly #store: RedisShardStore;
  readonly #mirrors: RedisMirrorStore;
  readonly #gates: RedisGates;
  readonly #peer: RedisPeer;
  readonly #sites: RedisSiteStore;
  readonly #membership: RedisMembership;
  readonly #closed: { close(): void }[];
  #supervisor: Supervisor | undefined;
  #epoch = 0;

  constructor(options: PairSiteOptions) {
    const { url, peerUrl, number, shards, incarnation } = options;
    this.space = keyspace(options.prefix);
    const { space, system, log } = this;
    this.#options = options;
    this.#shards = dataShards(shards);
    const common = { redis: { url, name: `site-${number}` }, space, system, log };
    const connection = new Connection(common.redis, system, log);
    this.redis = openClient(common.redis, { offlineQueue: true, sendOnce: false });
    this.gateway = new RedisGateway(common);
    const journals = new RedisJournalReader(common);
    this.#store = new RedisShardStore({ ...common, journalReaders: [], incarnation });
    this.#mirrors = new RedisMirrorStore(space, connection);
    this.#gates = new RedisGates(space, connection);
    this.#sites = new RedisSiteStore(common);
    this.#membership = new RedisMembership(common);
    const ca = options.peerAuthority;
    const peer = { url: peerUrl, name: `peer-of-${number}`, ...(ca !== undefined && { tls: { ca } }) };
    this.#peer = new RedisPeer({ redis: peer, space, system, log });
    this.#closed = [this.#store, this.gateway, journals, this.#sites, this.#membership, this.#peer, connection];
  }

  get greeting(): PeerGreeting {
    const { number: site, shards, incarnation, greeting } = this.#options;
    const own = { deployment: 'test', version: mirrorVersion, shards, incarnation, site, role: 'standby', epoch: 0 };
    return { ...own, ...greeting };
  }

  async begin(): Promise<void> {
    const { shards, incarnation } = this.#options;
    await this.gateway.ready();
    await this.#sites.claimSite({ incarnation, shards });
    await this.#sites.announce(this.greeting);
    await this.#gates.shut(this.#shards);
  }

  /** Its shards may be written under this epoch from here on, by whoever runs them. */
  async open(epoch: number): Promise<void> {
    this.#epoch = epoch;
    await prepare({ store: this.#store, mirrors: this.#mirrors, shards: this.#shards, owner: `promoter-${epoch}` });
    const opened = await this.#gates.open(this.#shards, epoch, 3_600_000);
    if (opened.outcome !== 'opened') throw new Error(JSON.stringify(opened));
  }

  /** As the active site, under an epoch of its own. */
  async activate(epoch: number): Promise<void> {
    await this.halt();
    await this.open(epoch);
    const { number } = this.#options;
    await this.#run({
      siteEpoch: epoch,
      passage: `${epoch}`,
      attach: (shard) => [
        new LostCollector({
          ...{ shard, site: number, other: 3 - number, mirrors: this.#mirrors, peer: this.#peer },
          ...{ system: this.system, log: this.log },
        }),
      ],
    });
  }

  async standby(): Promise<void> {
    await this.halt();
    await this.#gates.close(this.#shards, this.#epoch);
    const { greeting } = this;
    await this.#run({
      siteEpoch: 0,
      attach: () => [],
      runner: (settings, tenure) =>
        new MirrorShard(
          settings,
          {
            ...{ mirrors: this.#mirrors, peer: this.#peer, greeting, site: this.#options.number },
            repairs: this.repairs,
            told: (status) => {
              this.statuses.set(status.shard, status);
              this.#options.told?.(status);
            },
          },
          tenure,
        ),
    });
  }

  /** The standby's look at both sites. */
  compare(full = false): Promise<Comparison> {
    return compareSites(
      {
        ...{ shards: this.#shards, store: this.#store, mirrors: this.#mirrors, peer: this.#peer },
        system: this.system,
      },
      full,
    );
  }

  async #run(
    settings: Pick<ConstructorParameters<typeof Supervisor>[0], 'siteEpoch' | 'passage' | 'attach' | 'runner'>,
  ): Promise<void> {
    this.#supervisor = new Supervisor({
      store: this.#store,
      membership: this.#membership,
      registry: createRegistry(this.#options.definitions ?? []),
      application,
      system: this.system,
      telemetry: silentTelemetry,
      log: this.log,
      shards: this.#shards,
      owner: `site-${this.#options.number}-${this.system.ulid()}`,
      balanceEveryMs: 100,
      ...settings,
    });
    await this.#supervisor.start();
  }

  /** Stops what runs; the gates stay as they are. */
  async halt(): Promise<void> {
    await this.#supervisor?.stop();
    this.#supervisor = undefined;
  }

  async send(...commands: Command[]): Promise<void> {
    for (const command of commands) await this.gateway.publish(parseAddress(command.to)!.shard, [command]);
  }

  async state(address: Address): Promise<string | undefined> {
    const text = await this.gateway.snapshot(address);
    return text === undefined ? undefined : JSON.stringify((JSON.parse(text) as { state: unknown }).state);
  }

  /** What both sites must have alike, by key. */
  async contents(): Promise<Record<string, unknown>> {
    const contents: Record<string, unknown> = {};
    for (const shard of this.#shards) {
      const keys = this.space.shard(shard);
      contents[keys.snapshots] = sorted(await this.redis.hgetall(keys.snapshots));
      contents[keys.relayed] = sorted(await this.redis.hgetall(keys.relayed));
      contents[keys.sent] = sorted(await this.redis.hgetall(keys.sent));
      contents[keys.mailboxes] = (await this.redis.smembers(keys.mailboxes)).sort();
      contents[keys.lease] = await this.redis.hmget(keys.lease, 'head', 'begins');
    }
    return contents;
  }

  async heads(): Promise<(string | null)[]> {
    return Promise.all(this.#shards.map((shard) => this.redis.hget(this.space.shard(shard).lease, 'head')));
  }

  async close(): Promise<void> {
    await this.halt();
    for (const closing of this.#closed) closing.close();
    this.redis.disconnect();
  }
}

function sorted(hash: Record<string, string>): [string, string][] {
  return Object.entries(hash).sort(([left], [right]) => (left < right ? -1 : 1));
}

/** Waits until both sites stand at the same links. */
export async function untilEqual(left: PairSite, right: PairSite, deadlineMs = 30_000): Promise<void> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const [mine, theirs] = await Promise.all([left.heads(), right.heads()]);
    if (JSON.stringify(mine) === JSON.stringify(theirs)) return;
    if (performance.now() > end)
      throw new Error(
        `not equal after ${deadlineMs} ms: ${JSON.stringify({ mine, theirs, left: [...left.statuses.values()], right: [...right.statuses.values()], log: [...left.log.lines, ...right.log.lines].slice(-6) })}`,
      );
    await pause(50);
  }
}
