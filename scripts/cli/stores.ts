/** The stores of a site for a command that works on them directly: the configured ones, or the embedded ones at rest. */
import { createRegistry } from '../../actors/application.ts';
import { agentProjection } from '../../actors/agent/projection.ts';
import { scheduleProjection } from '../../actors/schedule/projection.ts';
import { taskProjection } from '../../actors/task/projection.ts';
import type { Config } from '../../config/schema.ts';
import type { Registry } from '../../runtime/core/definition.ts';
import { createSystem } from '../../runtime/host/system.ts';
import type { Log, SiteIdentity, System } from '../../runtime/ports.ts';
import { keyspace } from '../../runtime/protocol/keys.ts';
import { PostgresArchive } from '../../runtime/postgres/archive.ts';
import { Pool } from '../../runtime/postgres/pool.ts';
import { PostgresProjectionStore } from '../../runtime/postgres/projector.ts';
import { PostgresSiteRegister } from '../../runtime/postgres/site.ts';
import { RedisJournalReader } from '../../runtime/redis/journal.ts';
import { RedisSiteStore } from '../../runtime/redis/sitestore.ts';
import { createLog } from '../../runtime/telemetry/log.ts';
import { redisSettings, startServers } from '../servers.ts';
import { dataDirectory } from '../settings.ts';
import { Transport } from '../transport.ts';

export interface Stores {
  system: System;
  log: Log;
  registry: Registry;
  pool: Pool;
  store: RedisSiteStore;
  register: PostgresSiteRegister;
  archive: PostgresArchive;
  projection: PostgresProjectionStore;
  journals: RedisJournalReader;
}

/** Opens what the configuration names, and closes it after the work. */
export async function withStores<T>(config: Config, work: (stores: Stores) => Promise<T>): Promise<T> {
  const log = createLog({ level: 'WARNING', format: config.logging.format });
  const system = createSystem();
  const transport = new Transport(config);
  const servers = await startServers(config, dataDirectory(config), log);
  // Work on a whole site takes the time that it takes.
  const pool = new Pool({ url: servers.postgresUrl, tls: transport.postgres, log, queryTimeoutMs: 0 });
  const redis = redisSettings(config, servers, 'orchestrator-command', transport);
  const adapters = { redis, space: keyspace(config.redis.prefix), system, log };
  const store = new RedisSiteStore(adapters);
  const journals = new RedisJournalReader(adapters);
  try {
    return await work({
      system,
      log,
      registry: createRegistry(),
      pool,
      store,
      journals,
      register: new PostgresSiteRegister(pool, system),
      archive: new PostgresArchive(pool),
      projection: new PostgresProjectionStore(pool, [taskProjection, agentProjection, scheduleProjection]),
    });
  } finally {
    store.close();
    journals.close();
    await pool.close();
    await servers.stop();
  }
}

/** @throws Error where PostgreSQL has no site to bring back */
export async function archivedSite({ register }: Stores): Promise<SiteIdentity> {
  const identity = await register.site();
  if (!identity) throw new Error('PostgreSQL holds no site: nothing was ever archived there; check [postgres] url');
  return identity;
}
