/**
 * The configuration: one schema for the file, the environment and the flags. The sections and keys of the first four
 * tables are those of the original system, with its names and defaults.
 */
import * as z from 'zod';
import { limits } from './limits.ts';

const port = z.int().min(0).max(65_535);
const perMinute = z.int().min(0).max(1_000_000_000);
const host = z.string().min(1).max(253);
const file = z.string().min(1).max(4_096);
// The messages never quote the address: it may hold a password.
const redisUrl = z
  .string()
  .max(2_048)
  .regex(/^rediss?:\/\/\S+$/, 'is an address like redis://localhost:6379');
const keyPrefix = z
  .string()
  .max(64)
  .regex(/^[A-Za-z0-9:_-]*$/, 'may have letters, digits, ":", "_" and "-"');
const postgresUrl = z
  .string()
  .max(2_048)
  .regex(/^postgres(ql)?:\/\/\S+$/, 'is an address like postgres://user@localhost/orchestrator');

const clientTls = (server: string) => ({
  ca_file: file
    .optional()
    .describe(`PEM certificates that the one of ${server} must come from; default: those that Node knows.`),
  certificate_file: file.optional().describe(`PEM certificate that this process shows to ${server}.`),
  key_file: file.optional().describe('Its private key, PEM, closed to everybody else (600 or 640).'),
});

/** A refinement: a certificate without its key is of no use, nor the reverse. */
const together: [(table: Files) => boolean, { path: PropertyKey[]; message: string }] = [
  ({ certificate_file, key_file }) => (certificate_file === undefined) === (key_file === undefined),
  { path: ['key_file'], message: 'stands together with certificate_file' },
];
interface Files {
  certificate_file?: string | undefined;
  key_file?: string | undefined;
}

export const configSchema = z.strictObject({
  primary_server: z
    .strictObject({
      host: host.default('localhost').describe('Address that the API of the primary site listens on.'),
      port: port.default(8000).describe('Its port; 0 takes a free one.'),
    })
    .prefault({}),
  secondary_server: z
    .strictObject({
      host: host.default('localhost').describe('The same for the secondary site.'),
      port: port.default(8010).describe('Its port.'),
    })
    .prefault({}),
  orchestrator: z
    .strictObject({
      sync_interval: z
        .int()
        .min(1)
        .max(86_400)
        .default(60)
        .describe('Seconds between two checks that both sites are equal.'),
      max_agents: z.int().min(1).max(100_000).default(10).describe('Agents that may be registered at the same time.'),
      task_timeout: z
        .int()
        .min(1)
        .max(31_536_000)
        .default(3600)
        .describe('Seconds that one attempt of a task may take.'),
      site: z
        .enum(['primary', 'secondary'])
        .default('primary')
        .describe('Which of the two sites this process belongs to.'),
      shards: z
        .int()
        .min(1)
        .max(limits.shardsMax)
        .default(limits.shardsDefault)
        .describe('Fixed when a site is first started.'),
      roles: z
        .array(z.enum(['api', 'runtime']))
        .min(1)
        .default(['api', 'runtime'])
        .describe('What this process does; several processes may share the work.'),
    })
    .prefault({}),
  tls: z
    .strictObject({
      certificate_file: file
        .optional()
        .describe('PEM certificate chain of the API and of the metrics port; with it both speak HTTPS only.'),
      key_file: file.optional().describe('Its private key, PEM, closed to everybody else (600 or 640).'),
      minimum_version: z
        .enum(['TLSv1.2', 'TLSv1.3'])
        .default('TLSv1.2')
        .describe('Oldest version that is spoken, by servers and by clients.'),
      allow_plaintext: z
        .boolean()
        .default(false)
        .describe('true: speaks without TLS beyond this machine too, where the network itself is encrypted.'),
    })
    .refine(...together)
    .prefault({}),
  logging: z
    .strictObject({
      level: z
        .string()
        .toUpperCase()
        .pipe(z.enum(['DEBUG', 'INFO', 'WARNING', 'ERROR']))
        .prefault('INFO')
        .describe('DEBUG, INFO, WARNING or ERROR.'),
      format: z
        .enum(['auto', 'json', 'pretty'])
        .default('auto')
        .describe('auto: readable on a terminal, JSON lines elsewhere.'),
      directory: file
        .optional()
        .describe(
          'Also writes orchestrator.log and orchestrator.error.log there, JSON lines; a reload opens them anew.',
        ),
    })
    .prefault({}),
  redis: z
    .strictObject({
      url: redisUrl.optional().describe('redis:// or rediss:// address; without it an embedded Redis is started.'),
      cluster: z
        .array(redisUrl)
        .min(1)
        .max(64)
        .optional()
        .describe('Instead of url: addresses of some nodes of a Redis Cluster, which name the others.'),
      agent_url: redisUrl.optional().describe('Address that agents are told; default: the same.'),
      prefix: keyPrefix.default('').describe('Stands before every key, where several sites share a Redis.'),
      manage_acl: z
        .boolean()
        .optional()
        .describe(
          'Each agent gets a Redis user of its own; default: true with the embedded Redis, false with another.',
        ),
      agent_secret_file: file
        .optional()
        .describe(
          'File with the secret from which passwords of agents follow; default: agent-secret in the data directory.',
        ),
      ...clientTls('Redis'),
    })
    .refine(...together)
    .refine(({ url, cluster }) => url === undefined || cluster === undefined, {
      path: ['cluster'],
      message: 'stands instead of url, not beside it',
    })
    .refine(({ cluster = [] }) => new Set(cluster.map((node) => node.split(':')[0])).size <= 1, {
      path: ['cluster'],
      message: 'all nodes are spoken to alike: either redis:// or rediss://',
    })
    .prefault({}),
  postgres: z
    .strictObject({
      url: postgresUrl.optional().describe('postgres:// address; without it an embedded PostgreSQL is started.'),
      ...clientTls('PostgreSQL'),
    })
    .refine(...together)
    .prefault({}),
  retention: z
    .strictObject({
      history_days: z
        .int()
        .min(1)
        .max(36_500)
        .optional()
        .describe('Days for which every step is kept in PostgreSQL, in whole months; without it for ever.'),
      finished_task_minutes: z
        .int()
        .min(1)
        .max(limits.taskKeepMostMs / 60_000)
        .default(60)
        .describe('Minutes that a task stays in Redis when it is over; PostgreSQL has it from the start.'),
      task_days: z
        .int()
        .min(1)
        .max(36_500)
        .optional()
        .describe('Days after its end for which a task is listed; without it for ever. What is not over stays.'),
      audit_days: z
        .int()
        .min(1)
        .max(36_500)
        .optional()
        .describe('Days for which the audit log is kept; without it for ever.'),
    })
    .prefault({}),
  peer: z
    .strictObject({
      redis: redisUrl
        .optional()
        .describe('Address of the Redis of the other site, which this one reads. Makes a pair.'),
      prefix: keyPrefix.optional().describe('Stands before every key there; default: [redis] prefix.'),
      api: z
        .string()
        .max(2_048)
        .regex(/^https?:\/\/[^\s/]+$/, 'is an address like https://other:8010')
        .optional()
        .describe('Where the API of the other site answers: what clients are told.'),
      deployment: z
        .string()
        .regex(/^[A-Za-z][A-Za-z0-9._-]{0,63}$/, 'is a letter followed by letters, digits, ".", "_" or "-"')
        .optional()
        .describe('Name of the deployment, the same at both sites.'),
      mode: z
        .enum(['manual', 'witness'])
        .default('manual')
        .describe('Who promotes the standby when the active site is lost: an operator, or the holder of the lease.'),
      writes_on_standby: z
        .enum(['refuse', 'redirect'])
        .default('refuse')
        .describe('What a standby answers to writes: a problem that names the active site, or 307.'),
      resume_after: z
        .int()
        .min(1)
        .max(3_600)
        .default(10)
        .describe('Seconds that an active site waits after a restart for a peer that does not answer (mode manual).'),
      ...clientTls('the Redis of the other site'),
    })
    .refine(...together)
    .refine(({ redis, api, deployment }) => new Set([redis, api, deployment].map((v) => v === undefined)).size === 1, {
      path: ['redis'],
      message: 'redis, api and deployment stand together: a pair needs all three',
    })
    .prefault({}),
  witness: z
    .strictObject({
      etcd: z
        .array(
          z
            .string()
            .max(2_048)
            .regex(/^https?:\/\/[^\s/]+$/, 'is an address like http://127.0.0.1:2379'),
        )
        .min(1)
        .max(9)
        .optional()
        .describe('Addresses of etcd at a third place, whose lease says who may be active.'),
      lease_ttl: z
        .int()
        .min(5)
        .max(600)
        .default(10)
        .describe('Seconds after which a lost holder is given up. It relies on 0.9 of them.'),
      ...clientTls('etcd'),
    })
    .refine(...together)
    .prefault({}),
  metrics: z
    .strictObject({
      host: host.default('localhost').describe('Address of the metrics port.'),
      port: port.default(9090).describe('Prometheus metrics without authentication; 0 takes a free one.'),
      enabled: z.boolean().default(true).describe('false: metrics only on the API, with a token.'),
    })
    .prefault({}),
  auth: z
    .strictObject({
      issuer: z.string().min(1).max(256).default('supreme-ai-orchestrator').describe('Required `iss` of tokens.'),
      audience: z.string().min(1).max(256).default('orchestrator-api').describe('Required `aud` of tokens.'),
      algorithm: z
        .enum(['HS256', 'RS256', 'ES256'])
        .default('HS256')
        .describe('The one signature that is taken. With RS256 and ES256 another issuer mints the tokens.'),
      public_key_file: file
        .optional()
        .describe('PEM file with the public key of that issuer; two while keys are rotated.'),
      jwks_file: file.optional().describe('The same as a JSON Web Key Set.'),
      jwks_url: z
        .string()
        .max(2_048)
        .regex(/^(https:\/\/|http:\/\/(localhost|127\.0\.0\.1)[:/])\S+$/, 'is an address that begins with https://')
        .optional()
        .describe('Where that issuer publishes its key set; it is asked when a token names a key for the first time.'),
      revoked_file: file
        .optional()
        .describe('`jti` of tokens that were called back, one a line; default: revoked in the data directory.'),
      secret_file: file
        .optional()
        .describe(
          'File with the HS256 secret, and below it the one before; default: secret in the data directory, made at the first start.',
        ),
    })
    .refine(
      ({ algorithm, public_key_file, jwks_file, jwks_url }) =>
        [public_key_file, jwks_file, jwks_url].filter((key) => key !== undefined).length ===
        (algorithm === 'HS256' ? 0 : 1),
      {
        path: ['public_key_file'],
        message: 'RS256 and ES256 need one of public_key_file, jwks_file and jwks_url; HS256 takes none of them',
      },
    )
    .prefault({}),
  rate_limits: z
    .strictObject({
      subject_per_minute: perMinute
        .default(60_000)
        .describe('Requests of one subject of tokens, on all processes together; 0: no limit.'),
      address_per_minute: perMinute
        .default(120_000)
        .describe(
          'Requests from one address (IPv6: a /64); 0: no limit. All that come through a proxy share its address.',
        ),
      refusals_per_minute: perMinute
        .default(600)
        .describe('Refused tokens from one address, until even the reason is refused; valid ones pass. 0: no limit.'),
    })
    .prefault({}),
  data: z
    .strictObject({
      directory: file
        .default('.data')
        .describe('Embedded servers and the secret live here; relative to the installation.'),
    })
    .prefault({}),
});

export type Config = z.infer<typeof configSchema>;

/** Keys that `config print` does not show. */
export const secretKeys: readonly string[] = [
  'redis.url',
  'redis.cluster',
  'redis.agent_url',
  'postgres.url',
  'peer.redis',
  'auth.jwks_url',
];
