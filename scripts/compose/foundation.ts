/** What every process of a site stands on, whatever its roles: the stores, who this site is, and the machines. */
import { hostname } from 'node:os';
import { agentProjection } from '../../actors/agent/projection.ts';
import { createRegistry } from '../../actors/application.ts';
import { scheduleProjection } from '../../actors/schedule/projection.ts';
import { taskProjection } from '../../actors/task/projection.ts';
import { peerOf, type PeerConfig } from '../../config/pair.ts';
import type { Config } from '../../config/schema.ts';
import type { Registry } from '../../runtime/core/definition.ts';
import { establish } from '../../runtime/host/establish.ts';
import { createSystem } from '../../runtime/host/system.ts';
import type { Log, System } from '../../runtime/ports.ts';
import { PostgresArchive } from '../../runtime/postgres/archive.ts';
import { migrate } from '../../runtime/postgres/migrate.ts';
import { Pool } from '../../runtime/postgres/pool.ts';
import { PostgresProjectionStore } from '../../runtime/postgres/projector.ts';
import { PostgresReadModel } from '../../runtime/postgres/readmodel.ts';
import { PostgresSiteRegister } from '../../runtime/postgres/site.ts';
import { keyspace, type Keyspace } from '../../runtime/protocol/keys.ts';
import type { RedisSettings } from '../../runtime/redis/client.ts';
import { RedisInspection, type Finding } from '../../runtime/redis/inspection.ts';
import { RedisJournalReader } from '../../runtime/redis/journal.ts';
import { RedisMailboxes } from '../../runtime/redis/mailboxes.ts';
import { RedisPeer, type PeerOptions } from '../../runtime/redis/peer.ts';
import { RedisSiteStore } from '../../runtime/redis/sitestore.ts';
import { RedisUsers } from '../../runtime/redis/users.ts';
import { birthOf } from '../pair/birth.ts';
import { isRedisEmbedded, redisSettings, type Servers } from '../servers.ts';
import { Transport } from '../transport.ts';
import { upCheck } from './health.ts';
import type { Lifecycle } from './lifecycle.ts';

export interface FoundationSettings {
  config: Config;
  servers: Servers;
  /** What the passwords of agents follow from. */
  agentSecret: string;
  log: Log;
}

/** What every adapter of Redis is made with. */
export interface Adapters {
  redis: RedisSettings;
  space: Keyspace;
  system: System;
  log: Log;
}

export interface Foundation extends FoundationSettings {
  system: System;
  /** Name of this process, as leases have it. */
  owner: string;
  transport: Transport;
  adapters: Adapters;
  pool: Pool;
  projection: PostgresProjectionStore;
  readModel: PostgresReadModel;
  inspection: RedisInspection;
  registry: Registry;
  siteStore: RedisSiteStore;
  journals: RedisJournalReader;
  /** Undefined where the site runs alone. */
  peer: { config: PeerConfig; own: RedisPeer; other: RedisPeer } | undefined;
  incarnation: string;
  /** Settings of Redis that weaken what is promised. */
  findings: readonly Finding[];
  mailboxes: RedisMailboxes;
  /** Undefined where all agents share one account. */
  users: RedisUsers | undefined;
  postgresUp(): Promise<boolean>;
}

/** @throws Error where the stores belong to another site, or do not fit each other */
export async function lay(settings: FoundationSettings, lifecycle: Lifecycle): Promise<Foundation> {
  const { config, servers, agentSecret, log } = settings;
  const { shards, site } = config.orchestrator;
  const system = createSystem();
  const transport = new Transport(config);
  const redis = redisSettings(config, servers, 'orchestrator', transport);
  const adapters = { redis, space: keyspace(config.redis.prefix), system, log };
  lifecycle.onReload((next) => transport.reload(next));

  const pool = new Pool({ url: servers.postgresUrl, tls: transport.postgres, log });
  lifecycle.onStop(() => pool.close());
  await migrate(pool, log);
  const projection = new PostgresProjectionStore(pool, [taskProjection, agentProjection, scheduleProjection]);

  const inspection = new RedisInspection(adapters);
  const siteStore = new RedisSiteStore(adapters);
  const journals = new RedisJournalReader(adapters);
  lifecycle.onStop(
    () => inspection.close(),
    () => siteStore.close(),
    () => journals.close(),
  );
  const peerConfig = peerOf(config);
  const peer = peerConfig && { config: peerConfig, ...peerSites(peerConfig, adapters, transport) };
  if (peer)
    lifecycle.onStop(
      () => peer.own.close(),
      () => peer.other.close(),
    );
  const registry = createRegistry();
  const { incarnation } = await establish({
    ...{ journals, store: siteStore, projection, registry, system, log, shards },
    register: new PostgresSiteRegister(pool, system),
    archive: new PostgresArchive(pool),
    ...(peer && {
      birth: () => birthOf({ name: site, deployment: peer.config.deployment, shards, peer: peer.other, system, log }),
    }),
  });
  const findings = await inspection.findings();
  for (const { setting, value, consequence, remedy } of findings)
    log.warn({ setting, value, consequence, remedy }, 'a Redis setting weakens what is promised');

  const mailboxes = new RedisMailboxes(adapters);
  const users =
    (config.redis.manage_acl ?? isRedisEmbedded(config))
      ? new RedisUsers({ ...adapters, secret: agentSecret })
      : undefined;
  lifecycle.onStop(
    () => mailboxes.close(),
    () => users?.close(),
  );
  return {
    ...settings,
    ...{ system, transport, adapters, pool, projection, inspection, registry, siteStore, journals, peer, incarnation },
    ...{ findings, mailboxes, users },
    owner: `${hostname()}:${process.pid}:${system.ulid()}`,
    readModel: new PostgresReadModel(pool),
    postgresUp: upCheck(
      () => pool.query('SELECT 1'),
      () => system.monotonicMs(),
    ),
  };
}

/** This site and the other one, both as the other one sees them. */
function peerSites(
  { redis, prefix }: PeerConfig,
  own: PeerOptions,
  transport: Transport,
): { own: RedisPeer; other: RedisPeer } {
  const name = `${own.redis.name}-peer`;
  return {
    own: new RedisPeer({ ...own, redis: { ...own.redis, name: `${own.redis.name}-self` } }),
    other: new RedisPeer({
      ...own,
      space: prefix === undefined ? own.space : keyspace(prefix),
      redis: { url: redis, name, ...(transport.peer && { tls: transport.peer }) },
    }),
  };
}
