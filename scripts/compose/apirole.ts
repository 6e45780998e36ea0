/** The role `api`: the Express application with what it asks, and its port. */
import { controlShard } from '../../actors/site/address.ts';
import { createApp } from '../../api/app.ts';
import { BulkWorker } from '../../api/bulkworker.ts';
import { Commands } from '../../api/commands.ts';
import type { SiteSettings } from '../../api/context.ts';
import { Follower } from '../../api/follower.ts';
import type { TokenKeys } from '../../api/keys.ts';
import type { RateLimits } from '../../api/ratelimit.ts';
import { Revocations } from '../../api/revocation.ts';
import { HttpServer } from '../../api/server.ts';
import { Layouts } from '../../api/visualiser/layout.ts';
import type { Config } from '../../config/schema.ts';
import { Catalogue } from '../../runtime/core/catalogue.ts';
import { AuditFolder } from '../../runtime/host/auditfolder.ts';
import { Auditor } from '../../runtime/host/auditor.ts';
import { PostgresAudit } from '../../runtime/postgres/audit.ts';
import { PostgresConflicts } from '../../runtime/postgres/conflicts.ts';
import { RedisAuditStream } from '../../runtime/redis/auditstream.ts';
import { RedisGateway } from '../../runtime/redis/gateway.ts';
import { RedisMailboxGateway } from '../../runtime/redis/mailboxgateway.ts';
import { RedisRateLimiter } from '../../runtime/redis/ratelimiter.ts';
import type { Metrics } from '../../runtime/telemetry/metrics.ts';
import type { Foundation } from './foundation.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { RuntimeRole } from './runtimerole.ts';

export interface ApiSettings {
  /** What verifies tokens. */
  keys: TokenKeys;
  revokedFile: string;
  /** Where the command line leaves its notes for the audit log. */
  auditFolder: string;
  version: string;
}

/** @returns the base address of the API */
export async function startApi(
  foundation: Foundation,
  settings: ApiSettings,
  runtime: RuntimeRole,
  metrics: Metrics,
  lifecycle: Lifecycle,
): Promise<string> {
  const { config, adapters, system, log, journals, readModel, users, pool, inspection, peer } = foundation;
  const { shards, site } = config.orchestrator;
  const { pair } = runtime;
  const gateway = new RedisGateway(adapters);
  await gateway.ready();
  const mailboxes = new RedisMailboxGateway(adapters);
  lifecycle.onStop(() => mailboxes.close());
  const commands = new Commands({
    ...{ gateway, replies: gateway, system, log },
    shards: pair ? controlShard(shards) + 1 : shards,
    ...(pair && { open: (shard: number) => shard === controlShard(shards) || pair.role === 'active' }),
  });
  const follower = new Follower({ journals, system, log, shards });
  const bulkWorker = new BulkWorker({ commands, gateway, readModel, system, log });
  const layouts = new Layouts();
  let ready = true;
  const limiter = new RedisRateLimiter(adapters);
  lifecycle.onStop(() => limiter.close());
  await limiter.ready();
  const rateLimits = { limiter, limits: rateLimitsOf(config) };
  lifecycle.onReload((next) => void Object.assign(rateLimits.limits, rateLimitsOf(next)));
  const notes = new RedisAuditStream(adapters);
  const audit = new PostgresAudit(pool);
  const auditors = [notes, new AuditFolder(settings.auditFolder, log)].map(
    (inbox) => new Auditor({ inbox, store: audit, system, log }),
  );
  lifecycle.onStop(() => notes.close(), ...auditors.map((auditor) => () => auditor.stop()));
  const app = createApp({
    ...{ gateway, users, mailboxes, journals, commands, bulkWorker, follower, readModel, system, log, rateLimits },
    ...{ layouts, metrics },
    audit: { notes, reader: audit },
    conflicts: new PostgresConflicts(pool),
    site: siteSettings(foundation, settings, lifecycle),
    ...(pair &&
      peer && {
        pair: { standing: pair, otherApi: peer.config.api, writesOnStandby: peer.config.writes_on_standby },
      }),
    auth: authOf(foundation, settings),
    health: async () => ({
      redis: await inspection.up(),
      postgres: await foundation.postgresUp(),
      shardsHeld: runtime.supervisor?.shards.length ?? 0,
      readAgeMs: runtime.supervisor?.readAgeMs ?? 0,
      findings: foundation.findings,
    }),
    machines: new Catalogue(foundation.registry),
    lanes: () => runtime.supervisor?.lanes() ?? [],
    streams: () => inspection.streams(Array.from({ length: shards }, (_, shard) => shard)),
    projection: () => runtime.projection,
    ready: () => ready,
  });
  const { host, port } = site === 'primary' ? config.primary_server : config.secondary_server;
  const tls = foundation.transport.server;
  const server = new HttpServer({
    ...{ name: 'API', host, port, portKey: `${site}_server.port`, listener: app, log },
    ...(tls && { tls }),
  });
  lifecycle.onReload(() => server.renewTls());
  lifecycle.onStop(
    () => layouts.stop(),
    () => gateway.close(),
    () => commands.stop(),
    () => bulkWorker.stop(),
    () => follower.stop(),
    () => server.stop(),
    () => {
      ready = false;
    },
  );
  await lifecycle.start(commands, bulkWorker, follower, ...auditors, server);
  return server.url;
}

/** What the routes know of the site; the same object after a reload. */
function siteSettings(
  { config, servers, agentSecret }: Foundation,
  { version }: ApiSettings,
  lifecycle: Lifecycle,
): SiteSettings {
  const changing = ({ orchestrator, retention }: Config) => ({
    maxAgents: orchestrator.max_agents,
    taskTimeoutMs: orchestrator.task_timeout * 1000,
    taskKeepMs: retention.finished_task_minutes * 60_000,
  });
  const settings: SiteSettings = {
    ...{ name: config.orchestrator.site, version, shards: config.orchestrator.shards, ...changing(config) },
    agentRedisUrl: config.redis.agent_url ?? servers.redisUrl,
    ...(config.redis.cluster && { agentRedisNodes: config.redis.cluster }),
    agentSecret,
    keyPrefix: config.redis.prefix,
  };
  lifecycle.onReload((next) => void Object.assign(settings, changing(next)));
  return settings;
}

function authOf({ config: { auth }, system }: Foundation, { keys, revokedFile }: ApiSettings) {
  const revocations = new Revocations(revokedFile, () => system.monotonicMs());
  return {
    ...{ keys, issuer: auth.issuer, audience: auth.audience },
    isRevoked: (jti: string) => revocations.has(jti),
    now: () => system.now(),
  };
}

function rateLimitsOf({ rate_limits: set }: Config): RateLimits {
  return {
    subjectPerMinute: set.subject_per_minute,
    addressPerMinute: set.address_per_minute,
    refusedTokensPerMinute: set.refusals_per_minute,
  };
}
