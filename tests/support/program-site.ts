/** A whole orchestrator as the composition root puts it together, in the test's own process, over the given servers. */
import { configSchema, type Config } from '../../config/schema.ts';
import { compose, type Process } from '../../scripts/compose/compose.ts';
import { secretKeys } from '../../api/keys.ts';
import { mintToken } from '../../api/token.ts';
import { MemoryLog } from './site.ts';

const secret = 'recovery-tests-only-recovery-tests-only';

export interface ProgramSite {
  log: MemoryLog;
  running: Process;
  /** Of an administrator. */
  token: string;
  call(path: string, body?: unknown, headers?: Record<string, string>): Promise<Record<string, unknown>>;
  stop(): Promise<void>;
}

export function siteConfig(redisUrl: string, postgresUrl: string, shards = 2): Config {
  return configSchema.parse({
    primary_server: { host: '127.0.0.1', port: 0 },
    metrics: { host: '127.0.0.1', port: 0 },
    orchestrator: { shards },
    redis: { url: redisUrl },
    postgres: { url: postgresUrl },
  });
}

export async function startProgram(config: Config): Promise<ProgramSite> {
  const log = new MemoryLog();
  const running = await compose({
    config,
    servers: {
      redisUrl: (config.redis.url ?? config.redis.cluster?.[0])!,
      postgresUrl: config.postgres.url!,
      stop: () => Promise.resolve(),
    },
    keys: secretKeys([secret]),
    agentSecret: secret,
    revokedFile: '/nonexistent/revoked',
    auditFolder: '/nonexistent/audit',
    version: '0.0.0',
    log,
  });
  const { issuer, audience } = config.auth;
  const token = mintToken({ secret, issuer, audience, subject: 'tester', scopes: ['admin'], lifetimeSeconds: 600 });
  return {
    log,
    running,
    token,
    call: async (path, body, headers = {}) => {
      const response = await fetch(`${running.apiUrl}/api/v1${path}`, {
        method: body === undefined ? 'GET' : 'POST',
        headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json', ...headers },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      return (await response.json()) as Record<string, unknown>;
    },
    stop: () => running.stop(),
  };
}
