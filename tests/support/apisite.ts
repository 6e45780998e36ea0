/** A site with its API over real servers: runtime, projector, PostgreSQL and the HTTP server on a free port. */
import { randomBytes } from 'node:crypto';
import { grantOf, ownerOf, quarantineOf } from '../../actors/agent/access.ts';
import { agentProjection } from '../../actors/agent/projection.ts';
import { scheduleProjection } from '../../actors/schedule/projection.ts';
import { taskProjection } from '../../actors/task/projection.ts';
import { createApp } from '../../api/app.ts';
import { BulkWorker } from '../../api/bulkworker.ts';
import { Commands } from '../../api/commands.ts';
import type { ApiContext } from '../../api/context.ts';
import { Follower } from '../../api/follower.ts';
import { secretKeys } from '../../api/keys.ts';
import { HttpServer } from '../../api/server.ts';
import { Layouts } from '../../api/visualiser/layout.ts';
import type { RateLimits } from '../../api/ratelimit.ts';
import { mintToken, type Scope } from '../../api/token.ts';
import { createRegistry } from '../../actors/application.ts';
import { Catalogue } from '../../runtime/core/catalogue.ts';
import type { Definition } from '../../runtime/core/definition.ts';
import { Auditor } from '../../runtime/host/auditor.ts';
import { MailboxAccess } from '../../runtime/host/mailboxaccess.ts';
import { OutboxWatch } from '../../runtime/host/outboxwatch.ts';
import { Projector } from '../../runtime/host/projector.ts';
import { createSystem } from '../../runtime/host/system.ts';
import { Unavailable } from '../../runtime/protocol/errors.ts';
import { keyspace } from '../../runtime/protocol/keys.ts';
import { PostgresAudit } from '../../runtime/postgres/audit.ts';
import { PostgresConflicts } from '../../runtime/postgres/conflicts.ts';
import { migrate } from '../../runtime/postgres/migrate.ts';
import { Pool } from '../../runtime/postgres/pool.ts';
import { PostgresProjectionStore } from '../../runtime/postgres/projector.ts';
import { PostgresReadModel } from '../../runtime/postgres/readmodel.ts';
import { RedisInspection } from '../../runtime/redis/inspection.ts';
import { RedisAuditStream } from '../../runtime/redis/auditstream.ts';
import { RedisJournalReader } from '../../runtime/redis/journal.ts';
import { RedisRateLimiter } from '../../runtime/redis/ratelimiter.ts';
import { RedisMailboxGateway } from '../../runtime/redis/mailboxgateway.ts';
import { RedisMailboxes } from '../../runtime/redis/mailboxes.ts';
import { RedisUsers } from '../../runtime/redis/users.ts';
import { createDatabase, useRedis } from './servers.ts';
import { MemoryLog, startSite, type Site } from './site.ts';
import { patienceMs } from './patience.ts';
import { comparePositions } from '../../runtime/protocol/journal.ts';

export const secret = 'a secret of at least thirty-two characters';
export const issuer = 'supreme-ai-orchestrator';
export const audience = 'orchestrator-api';

export interface Answer {
  status: number;
  headers: Headers;
  /** Parsed when it is JSON. */
  body: Record<string, unknown> & { code?: string; items?: Record<string, unknown>[] };
}

export interface Call {
  method?: string;
  body?: unknown;
  /** Sent as it is, instead of `body`. */
  raw?: string | Buffer;
  token?: string | null;
  headers?: Record<string, string>;
}

export interface ApiSite {
  site: Site;
  /** URL of its database. */
  database: string;
  url: string;
  port: number;
  log: MemoryLog;
  context: ApiContext;
  revoked: Set<string>;
  token(...scopes: Scope[]): string;
  tokenOf(tenant: string, ...scopes: Scope[]): string;
  call(path: string, call?: Call): Promise<Answer>;
  /** Resolves when PostgreSQL has what the journals had at the call. */
  projected(): Promise<void>;
  stop(): Promise<void>;
}

export interface ApiSiteOptions {
  redisUrl?: string;
  shards?: number;
  maxAgents?: number;
  requestTimeoutMs?: number;
  /** Default: none, so that tests may ask as often as they like. */
  rateLimits?: RateLimits;
  /** Beside those of the product. */
  definitions?: readonly Definition[];
  /** Agents get users of their own in Redis. */
  manageAcl?: boolean;
}

export async function startApi({
  redisUrl,
  shards = 2,
  maxAgents = 10,
  requestTimeoutMs = 30_000,
  rateLimits = { subjectPerMinute: 0, addressPerMinute: 0, refusedTokensPerMinute: 0 },
  definitions = [],
  manageAcl = false,
}: ApiSiteOptions = {}): Promise<ApiSite> {
  const url = redisUrl ?? (await useRedis()).url;
  const prefix = `t${randomBytes(5).toString('hex')}:`;
  const space = keyspace(prefix);
  const system = createSystem();
  const log = new MemoryLog();
  const database = await createDatabase('api');
  const pool = new Pool({ url: database, log });
  await migrate(pool, log);
  const store = new PostgresProjectionStore(pool, [taskProjection, agentProjection, scheduleProjection]);
  const journals = new RedisJournalReader({ redis: { url, name: 'api-journals' }, space, system, log });
  const adapters = { redis: { url, name: 'api' }, space, system, log };
  const mailboxes = new RedisMailboxes(adapters);
  const mailboxGateway = new RedisMailboxGateway(adapters);
  const users = manageAcl ? new RedisUsers({ ...adapters, secret }) : undefined;
  const site = await startSite({
    url,
    shards,
    prefix,
    definitions,
    settings: {
      attach: (shard) => [
        new Projector({ shard, journals, store, system, log }),
        new OutboxWatch({ shard, store: mailboxes, system, log, quarantine: quarantineOf, everyMs: 200 }),
        ...(users
          ? [new MailboxAccess({ shard, store: mailboxes, users, system, log, ownerOf, grantOf, everyMs: 200 })]
          : []),
      ],
    },
  });
  const { gateway } = site;
  const commands = new Commands({ gateway, replies: gateway, system, log, shards });
  const follower = new Follower({ journals, system, log, shards });
  const readModel = new PostgresReadModel(pool);
  const bulkWorker = new BulkWorker({ commands, gateway, readModel, system, log });
  const inspection = new RedisInspection({ redis: { url, name: 'api-inspection' }, space, system, log });
  const layouts = new Layouts();
  const revoked = new Set<string>();
  let ready = true;
  const auditStream = new RedisAuditStream({ redis: { url, name: 'api' }, space, system, log });
  const audit = new PostgresAudit(pool);
  const auditor = new Auditor({ inbox: auditStream, store: audit, system, log });
  const limiter = new RedisRateLimiter({ redis: { url, name: 'api' }, space, system, log });
  await limiter.ready();
  const context: ApiContext = {
    audit: { notes: auditStream, reader: audit },
    conflicts: new PostgresConflicts(pool),
    rateLimits: { limiter, limits: rateLimits },
    site: {
      name: 'primary',
      version: '1.2.3',
      shards,
      maxAgents,
      taskTimeoutMs: 3_600_000,
      taskKeepMs: 3_600_000,
      agentRedisUrl: url,
      agentSecret: secret,
      keyPrefix: prefix,
    },
    auth: {
      keys: secretKeys([secret]),
      issuer,
      audience,
      now: () => system.now(),
      isRevoked: (jti) => revoked.has(jti),
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
    health: () =>
      Promise.resolve({
        redis: true,
        postgres: true,
        shardsHeld: site.supervisor.shards.length,
        readAgeMs: 0,
        findings: [],
      }),
    machines: new Catalogue(createRegistry(definitions)),
    layouts,
    lanes: () => site.supervisor.lanes(),
    streams: () => inspection.streams(Array.from({ length: shards }, (_, shard) => shard)),
    projection: () => [],
    metrics: { contentType: 'text/plain', render: () => Promise.resolve('up 1\n') },
    ready: () => ready,
  };
  const server = new HttpServer({
    name: 'API',
    host: '127.0.0.1',
    port: 0,
    portKey: 'x.y',
    listener: createApp(context),
    log,
    requestTimeoutMs,
  });
  for (const service of [commands, bulkWorker, follower, auditor, server]) await service.start();
  const mint = (scopes: readonly Scope[], tenant?: string): string =>
    mintToken({
      secret,
      issuer,
      audience,
      subject: 'tester',
      scopes: scopes.length > 0 ? scopes : ['admin'],
      lifetimeSeconds: 600,
      ...(tenant !== undefined && { tenant }),
    });
  const admin = mint([]);
  return {
    site,
    database,
    url: server.url,
    port: Number(new URL(server.url).port),
    log,
    context,
    revoked,
    token: (...scopes) => mint(scopes),
    tokenOf: (tenant, ...scopes) => mint(scopes, tenant),
    call: async (path, { method, body, raw, token = admin, headers = {} } = {}) => {
      const sent = raw ?? (body === undefined ? undefined : JSON.stringify(body));
      const response = await fetch(`${server.url}${path}`, {
        method: method ?? (sent === undefined ? 'GET' : 'POST'),
        headers: {
          ...(token !== null && { Authorization: `Bearer ${token}` }),
          ...(sent !== undefined && { 'Content-Type': 'application/json' }),
          ...headers,
        },
        ...(sent !== undefined && { body: sent }),
      });
      const text = await response.text();
      const json = /json/.test(response.headers.get('Content-Type') ?? '') && text !== '';
      return { status: response.status, headers: response.headers, body: json ? JSON.parse(text) : { text } } as Answer;
    },
    projected: async () => {
      for (let shard = 0; shard < shards; shard++) {
        const last = await journals.last(shard);
        const end = performance.now() + patienceMs;
        for (;;) {
          const reached = (await readModel.watermarks())[shard] ?? '0-0';
          if (comparePositions(reached, last) >= 0) break;
          if (performance.now() > end) throw new Error(`shard ${shard} was projected to ${reached}, not to ${last}`);
          await system.sleep(10);
        }
      }
    },
    stop: async () => {
      ready = false;
      await server.stop();
      await follower.stop();
      await bulkWorker.stop();
      await commands.stop();
      await site.stop();
      journals.close();
      limiter.close();
      await auditor.stop();
      auditStream.close();
      inspection.close();
      await layouts.stop();
      mailboxes.close();
      mailboxGateway.close();
      users?.close();
      // Its database goes with the run.
      await pool.close().catch((error: unknown) => {
        if (!(error instanceof Unavailable)) throw error;
      });
    },
  };
}
