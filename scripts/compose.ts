/**
 * The composition root: adapters, host and API put together for one process, in the order in which they start. This is the
 * only place that knows all of them.
 */
import { hostname } from 'node:os';
import { grantOf, ownerOf, quarantineOf } from '../actors/agent/access.ts';
import { agentProjection } from '../actors/agent/projection.ts';
import { agentStatus } from '../actors/agent/status.ts';
import { application, createRegistry } from '../actors/application.ts';
import { scheduleProjection } from '../actors/schedule/projection.ts';
import { taskProjection } from '../actors/task/projection.ts';
import { taskStatus } from '../actors/task/status.ts';
import { createApp } from '../api/app.ts';
import { BulkWorker } from '../api/bulkworker.ts';
import { Commands } from '../api/commands.ts';
import type { SiteSettings } from '../api/context.ts';
import { Follower } from '../api/follower.ts';
import type { TokenKeys } from '../api/keys.ts';
import type { RateLimits } from '../api/ratelimit.ts';
import { Revocations } from '../api/revocation.ts';
import { HttpServer } from '../api/server.ts';
import { Layouts } from '../api/visualiser/layout.ts';
import { controlShard, siteNumber } from '../actors/site/address.ts';
import { peerOf, type PeerConfig } from '../config/pair.ts';
import type { Config } from '../config/schema.ts';
import { EtcdWitness } from '../runtime/etcd/witness.ts';
import { firstEpoch } from '../runtime/protocol/siteepoch.ts';
import { Connection } from '../runtime/redis/connection.ts';
import { RedisGates } from '../runtime/redis/gates.ts';
import { RedisMirrorStore } from '../runtime/redis/mirrorstore.ts';
import { RedisPeer, type PeerOptions } from '../runtime/redis/peer.ts';
import { birthOf } from './pair/birth.ts';
import { Pair } from './pair/pair.ts';
import { Catalogue } from '../runtime/core/catalogue.ts';
import { Auditor } from '../runtime/host/auditor.ts';
import { Historian } from '../runtime/host/historian.ts';
import { MailboxAccess } from '../runtime/host/mailboxaccess.ts';
import { OutboxWatch } from '../runtime/host/outboxwatch.ts';
import { establish } from '../runtime/host/establish.ts';
import { Pruner } from '../runtime/host/pruner.ts';
import { Projector, projectorReader } from '../runtime/host/projector.ts';
import { Supervisor, type Attached } from '../runtime/host/supervisor.ts';
import { createSystem } from '../runtime/host/system.ts';
import type { Log, Service } from '../runtime/ports.ts';
import { Unavailable } from '../runtime/protocol/errors.ts';
import { keyspace } from '../runtime/protocol/keys.ts';
import { PostgresAudit } from '../runtime/postgres/audit.ts';
import { PostgresConflicts } from '../runtime/postgres/conflicts.ts';
import { PostgresArchive } from '../runtime/postgres/archive.ts';
import { migrate } from '../runtime/postgres/migrate.ts';
import { PostgresHistoryKeeper } from '../runtime/postgres/months.ts';
import { Pool } from '../runtime/postgres/pool.ts';
import { PostgresProjectionStore } from '../runtime/postgres/projector.ts';
import { PostgresRowPruner } from '../runtime/postgres/pruner.ts';
import { PostgresReadModel } from '../runtime/postgres/readmodel.ts';
import { RedisAuditStream } from '../runtime/redis/auditstream.ts';
import { PostgresSiteRegister } from '../runtime/postgres/site.ts';
import { RedisGateway } from '../runtime/redis/gateway.ts';
import { RedisInspection, type Finding } from '../runtime/redis/inspection.ts';
import { RedisJournalReader } from '../runtime/redis/journal.ts';
import { RedisMailboxGateway } from '../runtime/redis/mailboxgateway.ts';
import { RedisMailboxes } from '../runtime/redis/mailboxes.ts';
import { RedisMembership } from '../runtime/redis/membership.ts';
import { RedisRateLimiter } from '../runtime/redis/ratelimiter.ts';
import { RedisShardStore } from '../runtime/redis/shardstore.ts';
import { RedisUsers } from '../runtime/redis/users.ts';
import { RedisSiteStore } from '../runtime/redis/sitestore.ts';
import { createMetrics } from '../runtime/telemetry/metrics.ts';
import { isRedisEmbedded, redisSettings, type Servers } from './servers.ts';
import { Transport } from './transport.ts';
import { dataShards } from '../runtime/protocol/ids.ts';

export interface Process {
  /** Base address of the API; undefined where this process has no such role. */
  apiUrl: string | undefined;
  metricsUrl: string | undefined;
  /** The longest time that a shard held here has not come round, in milliseconds; 0 when none is held. */
  readAgeMs(): number;
  /**
   * Takes over what may change while it runs, see config/reload.ts. Requests under way are not disturbed.
   * @throws Error when it cannot be used; then everything stays as it was
   */
  reload(config: Config): Promise<void>;
  /** Takes no new requests, finishes what is under way, gives the shards back. */
  stop(): Promise<void>;
}

export interface ComposeSettings {
  config: Config;
  servers: Servers;
  /** What verifies tokens. */
  keys: TokenKeys;
  /** What the passwords of agents follow from. */
  agentSecret: string;
  revokedFile: string;
  version: string;
  log: Log;
}

export async function compose({
  config,
  servers,
  keys,
  agentSecret,
  revokedFile,
  version,
  log,
}: ComposeSettings): Promise<Process> {
  const { shards, site } = config.orchestrator;
  const has = (role: 'api' | 'runtime'): boolean => config.orchestrator.roles.includes(role);
  const system = createSystem();
  const owner = `${hostname()}:${process.pid}:${system.ulid()}`;
  const space = keyspace(config.redis.prefix);
  const transport = new Transport(config);
  const redis = redisSettings(config, servers, 'orchestrator', transport);
  const adapters = { redis, space, system, log };
  const stops: (() => Promise<void> | void)[] = [];
  const reloads: ((next: Config) => Promise<void> | void)[] = [(next) => transport.reload(next)];

  const pool = new Pool({ url: servers.postgresUrl, tls: transport.postgres, log });
  stops.push(() => pool.close());
  await migrate(pool, log);
  const projection = new PostgresProjectionStore(pool, [taskProjection, agentProjection, scheduleProjection]);
  const readModel = new PostgresReadModel(pool);

  const inspection = new RedisInspection(adapters);
  stops.push(() => inspection.close());
  const registry = createRegistry();
  const siteStore = new RedisSiteStore(adapters);
  stops.push(() => siteStore.close());
  const journals = new RedisJournalReader(adapters);
  stops.push(() => journals.close());
  const peerConfig = peerOf(config);
  const peer = peerConfig && peerSites(peerConfig, adapters, transport);
  if (peer)
    stops.push(
      () => peer.own.close(),
      () => peer.other.close(),
    );
  const { incarnation } = await establish({
    journals,
    store: siteStore,
    register: new PostgresSiteRegister(pool, system),
    archive: new PostgresArchive(pool),
    projection,
    registry,
    system,
    log,
    shards,
    ...(peer && {
      birth: () => birthOf({ name: site, deployment: peerConfig.deployment, shards, peer: peer.other, system, log }),
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
  stops.push(
    () => mailboxes.close(),
    () => users?.close(),
  );

  let keepDays = config.retention.history_days;
  reloads.push((next) => void (keepDays = next.retention.history_days));
  const historian = new Historian({
    keeper: new PostgresHistoryKeeper(pool),
    system,
    log,
    keepMs: () => (keepDays === undefined ? undefined : keepDays * 86_400_000),
  });
  stops.push(() => historian.stop());
  await historian.start();
  let retention = config.retention;
  reloads.push((next) => void (retention = next.retention));
  const days = (count: number | undefined): number | undefined =>
    count === undefined ? undefined : count * 86_400_000;
  const pruner = new Pruner({
    rows: new PostgresRowPruner(pool),
    system,
    log,
    keepMs: () => ({ tasks: days(retention.task_days), audit: days(retention.audit_days) }),
  });
  stops.push(() => pruner.stop());
  await pruner.start();

  const projectors = new Map<number, Projector>();

  let supervisor: Supervisor | undefined;
  let pair: Pair | undefined;
  const postgresUp = upCheck(
    () => pool.query('SELECT 1'),
    () => system.monotonicMs(),
  );
  const metrics = createMetrics({
    site: { name: site, version },
    pair: () => pair,
    lanes: () => supervisor?.lanes() ?? [],
    census: () => supervisor?.census() ?? new Map<string, number>(),
    shardsHeld: () => supervisor?.shards.length ?? 0,
    shards,
    shardsRefused: () => supervisor?.refused.size ?? 0,
    readAgeMs: () => supervisor?.readAgeMs ?? 0,
    groups: () => inspection.groups(supervisor?.shards ?? []).catch(whenUnavailable([])),
    projection: () => lags(projectors),
    dependencies: async () => [
      { service: 'redis', up: await inspection.up() },
      { service: 'postgres', up: await postgresUp() },
    ],
    certificates: () => transport.certificateEnds(),
    agentStatus,
    taskStatus,
  });

  if (has('runtime')) {
    const store = new RedisShardStore({ ...adapters, journalReaders: [projectorReader], incarnation });
    const membership = new RedisMembership(adapters);
    stops.push(
      () => store.close(),
      () => membership.close(),
    );
    const always = (shard: number): Attached[] => [
      attachProjector(projectors, new Projector({ shard, journals, store: projection, system, log })),
    ];
    const deciding = (shard: number): Attached[] => [
      new OutboxWatch({ shard, store: mailboxes, system, log, quarantine: quarantineOf }),
      ...(users ? [new MailboxAccess({ shard, store: mailboxes, users, system, log, ownerOf, grantOf })] : []),
    ];
    const common = { store, membership, system, telemetry: metrics.telemetry, log, owner };
    if (peer) {
      const connection = new Connection({ ...redis, name: `${redis.name}-pair` }, system, log);
      const control = new RedisGateway(adapters);
      stops.push(
        () => connection.close(),
        () => control.close(),
      );
      await control.ready();
      const ttlMs = config.witness.lease_ttl * 1000;
      pair = new Pair({
        ...common,
        ...{ name: site, shards, incarnation, deployment: peerConfig.deployment, mode: peerConfig.mode },
        ...{ own: peer.own, peer: peer.other, sites: siteStore, gateway: control, always, deciding },
        resumeAfterMs: peerConfig.resume_after * 1000,
        syncIntervalMs: config.orchestrator.sync_interval * 1000,
        mirrors: new RedisMirrorStore(space, connection),
        gates: new RedisGates(space, connection),
        ...(config.witness.etcd && {
          witness: {
            ttlMs,
            lease: new EtcdWitness({
              urls: config.witness.etcd,
              key: `/${peerConfig.deployment}/active`,
              leaseTtlSeconds: config.witness.lease_ttl,
              ...(transport.witness && { tls: transport.witness }),
            }),
          },
        }),
        runs: (next) => {
          supervisor = next;
        },
      });
    } else
      supervisor = new Supervisor({
        ...common,
        ...{ registry, application, shards: dataShards(shards) },
        siteEpoch: firstEpoch(siteNumber(site)),
        attach: (shard) => [...always(shard), ...deciding(shard)],
      });
    const running: Service = (pair ?? supervisor)!;
    stops.push(() => running.stop());
    await running.start();
  }

  const tls = transport.server && { tls: transport.server };
  let apiUrl: string | undefined;
  if (has('api')) {
    const gateway = new RedisGateway(adapters);
    await gateway.ready();
    const mailboxGateway = new RedisMailboxGateway(adapters);
    stops.push(() => mailboxGateway.close());
    const standing = pair;
    const commands = new Commands({
      ...{ gateway, replies: gateway, system, log },
      shards: standing ? controlShard(shards) + 1 : shards,
      ...(standing && { open: (shard: number) => shard === controlShard(shards) || standing.role === 'active' }),
    });
    const follower = new Follower({ journals, system, log, shards });
    const bulkWorker = new BulkWorker({ commands, gateway, readModel, system, log });
    const revocations = new Revocations(revokedFile, () => system.monotonicMs());
    const layouts = new Layouts();
    let ready = true;
    const siteSettings: SiteSettings = {
      name: site,
      version,
      shards,
      maxAgents: config.orchestrator.max_agents,
      taskTimeoutMs: config.orchestrator.task_timeout * 1000,
      taskKeepMs: config.retention.finished_task_minutes * 60_000,
      agentRedisUrl: config.redis.agent_url ?? servers.redisUrl,
      ...(config.redis.cluster && { agentRedisNodes: config.redis.cluster }),
      agentSecret,
      keyPrefix: config.redis.prefix,
    };
    reloads.push(({ orchestrator: next }) => {
      siteSettings.maxAgents = next.max_agents;
      siteSettings.taskTimeoutMs = next.task_timeout * 1000;
    });
    reloads.push(({ retention }) => void (siteSettings.taskKeepMs = retention.finished_task_minutes * 60_000));
    const limiter = new RedisRateLimiter(adapters);
    stops.push(() => limiter.close());
    await limiter.ready();
    const auditStream = new RedisAuditStream(adapters);
    const audit = new PostgresAudit(pool);
    const auditor = new Auditor({ inbox: auditStream, store: audit, system, log });
    stops.push(
      () => auditStream.close(),
      () => auditor.stop(),
    );
    const rateLimits = { limiter, limits: rateLimitsOf(config) };
    reloads.push((next) => void Object.assign(rateLimits.limits, rateLimitsOf(next)));
    const app = createApp({
      rateLimits,
      audit: { notes: auditStream, reader: audit },
      conflicts: new PostgresConflicts(pool),
      site: siteSettings,
      ...(standing &&
        peerConfig && {
          pair: { standing, otherApi: peerConfig.api, writesOnStandby: peerConfig.writes_on_standby },
        }),
      auth: {
        keys,
        issuer: config.auth.issuer,
        audience: config.auth.audience,
        isRevoked: (jti) => revocations.has(jti),
        now: () => system.now(),
      },
      gateway,
      users,
      mailboxes: mailboxGateway,
      journals,
      commands,
      bulkWorker,
      follower,
      readModel,
      system,
      log,
      health: async () => ({
        redis: await inspection.up(),
        postgres: await postgresUp(),
        shardsHeld: supervisor?.shards.length ?? 0,
        readAgeMs: supervisor?.readAgeMs ?? 0,
        findings: findings satisfies readonly Finding[],
      }),
      machines: new Catalogue(registry),
      layouts,
      lanes: () => supervisor?.lanes() ?? [],
      streams: () => inspection.streams(Array.from({ length: shards }, (_, shard) => shard)),
      projection: () => lags(projectors),
      metrics,
      ready: () => ready,
    });
    const { host, port } = site === 'primary' ? config.primary_server : config.secondary_server;
    const server = new HttpServer({
      name: 'API',
      host,
      port,
      portKey: `${site}_server.port`,
      listener: app,
      log,
      ...tls,
    });
    reloads.push(() => server.renewTls());
    stops.push(
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
    await startOrStop([commands, bulkWorker, follower, auditor, server], stops);
    apiUrl = server.url;
  }

  let metricsUrl: string | undefined;
  if (config.metrics.enabled) {
    const server = new HttpServer({
      name: 'metrics',
      host: config.metrics.host,
      port: config.metrics.port,
      portKey: 'metrics.port',
      log,
      ...tls,
      listener: (request, response) => {
        if (request.method !== 'GET' || request.url !== '/metrics') {
          response.writeHead(404, { 'Content-Type': 'text/plain' }).end('the metrics are at /metrics\n');
          return;
        }
        metrics.render().then(
          (text) => response.writeHead(200, { 'Content-Type': metrics.contentType }).end(text),
          (error: unknown) => {
            log.error({ error: String(error) }, 'metrics failed');
            response.writeHead(500).end();
          },
        );
      },
    });
    reloads.push(() => server.renewTls());
    stops.push(() => server.stop());
    await startOrStop([server], stops);
    metricsUrl = `${server.url}/metrics`;
  }
  return {
    apiUrl,
    metricsUrl,
    readAgeMs: () => supervisor?.readAgeMs ?? 0,
    reload: async (next) => {
      for (const reload of reloads) await reload(next);
    },
    stop: () => stopAll(stops),
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

async function startOrStop(services: readonly Service[], stops: (() => Promise<void> | void)[]): Promise<void> {
  try {
    for (const service of services) await service.start();
  } catch (error) {
    await stopAll(stops);
    throw error;
  }
}

/** What was started last stops first. */
async function stopAll(stops: (() => Promise<void> | void)[]): Promise<void> {
  for (const stop of stops.splice(0).reverse()) await stop();
}

function attachProjector(projectors: Map<number, Projector>, projector: Projector): Attached {
  return {
    start: async () => {
      projectors.set(projector.shard, projector);
      await projector.start();
    },
    stop: async () => {
      if (projectors.get(projector.shard) === projector) projectors.delete(projector.shard);
      await projector.stop();
    },
    kick: () => projector.kick(),
  };
}

function rateLimitsOf({ rate_limits: set }: Config): RateLimits {
  return {
    subjectPerMinute: set.subject_per_minute,
    addressPerMinute: set.address_per_minute,
    refusedTokensPerMinute: set.refusals_per_minute,
  };
}

function lags(projectors: ReadonlyMap<number, Projector>): { shard: number; lagSeconds: number }[] {
  return [...projectors.values()].map(({ shard, lagSeconds }) => ({ shard, lagSeconds }));
}

/** Asks at most once a second: health is looked at by many. */
function upCheck(ask: () => Promise<unknown>, monotonicMs: () => number): () => Promise<boolean> {
  let askedAtMs = -Infinity;
  let answer: Promise<boolean> = Promise.resolve(false);
  return () => {
    if (monotonicMs() - askedAtMs > 1_000) {
      askedAtMs = monotonicMs();
      answer = ask().then(() => true, whenUnavailable(false));
    }
    return answer;
  };
}

function whenUnavailable<T>(instead: T): (error: unknown) => T {
  return (error) => {
    if (error instanceof Unavailable) return instead;
    throw error;
  };
}
