/** Redis and PostgreSQL for a process: the configured ones, or embedded ones that it starts and stops itself. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config/schema.ts';
import { startPostgres } from '../runtime/embedded/postgres.ts';
import { findRedisServer, startRedis } from '../runtime/embedded/redis.ts';
import type { Log } from '../runtime/ports.ts';
import type { RedisSettings } from '../runtime/redis/client.ts';
import { projectRoot } from './root.ts';
import type { Transport } from './transport.ts';

export interface Servers {
  /** Of a cluster, the address of one node. */
  redisUrl: string;
  postgresUrl: string;
  /** Stops what was started here. */
  stop(): Promise<void>;
}

export function isRedisEmbedded({ redis }: Pick<Config, 'redis'>): boolean {
  return redis.url === undefined && redis.cluster === undefined;
}

/** @param name shown in CLIENT LIST */
export function redisSettings(
  { redis: { cluster } }: Pick<Config, 'redis'>,
  { redisUrl }: Servers,
  name: string,
  { redis: tls }: Pick<Transport, 'redis'>,
): RedisSettings {
  return { url: redisUrl, name, ...(cluster && { cluster }), ...(tls && { tls }) };
}

/** @throws EmbeddedServerError with one sentence and one remedy */
export async function startServers(config: Config, dataDirectory: string, log: Log): Promise<Servers> {
  const stops: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const one of stops.splice(0).reverse()) await one();
  };
  await mkdir(dataDirectory, { recursive: true, mode: 0o700 });
  try {
    const [redisUrl, postgresUrl] = await Promise.all([
      config.redis.url ?? config.redis.cluster?.[0] ?? embeddedRedis(dataDirectory, log, stops),
      config.postgres.url ?? embeddedPostgres(dataDirectory, log, stops),
    ]);
    return { redisUrl, postgresUrl, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function embeddedRedis(dataDirectory: string, log: Log, stops: (() => Promise<void>)[]): Promise<string> {
  const server = await findRedisServer({ cacheDir: join(projectRoot, '.cache', 'redis') });
  const start = (port?: number): Promise<Embedded> =>
    startRedis({ server, dataDir: join(dataDirectory, 'redis'), appendfsync: 'always', ...(port && { port }) });
  const { url, port } = await keepUp('Redis', start, log, stops);
  log.info({ version: server.version, port, found: server.source }, 'no [redis] url: embedded Redis started');
  return url;
}

async function embeddedPostgres(dataDirectory: string, log: Log, stops: (() => Promise<void>)[]): Promise<string> {
  const start = (port?: number): Promise<Embedded> =>
    startPostgres({ dataDir: join(dataDirectory, 'postgres'), ...(port && { port }) });
  const { url, port } = await keepUp('PostgreSQL', start, log, stops);
  log.info({ port }, 'no [postgres] url: embedded PostgreSQL started');
  return url;
}

interface Embedded {
  url: string;
  port: number;
  exited: Promise<unknown>;
  stop(): Promise<void>;
}

const restartEveryMs = 1_000;

/** Starts a server, and starts it again on the same port and data when it ends without having been told to. */
async function keepUp(
  name: string,
  start: (port?: number) => Promise<Embedded>,
  log: Log,
  stops: (() => Promise<void>)[],
): Promise<Embedded> {
  const first = await start();
  let running = first;
  let stopping = false;
  let restarting: Promise<void> = Promise.resolve();
  const watch = (server: Embedded): void => {
    void server.exited.then(() => {
      if (!stopping) restarting = again();
    });
  };
  const again = async (): Promise<void> => {
    log.error({ server: name }, 'embedded server ended by itself, starting it again');
    while (!stopping) {
      try {
        running = await start(first.port);
        watch(running);
        log.info({ server: name, port: first.port }, 'embedded server is back');
        return;
      } catch (error) {
        log.error({ server: name, error: error instanceof Error ? error.message : String(error) }, 'cannot start it');
        await new Promise((resolve) => setTimeout(resolve, restartEveryMs));
      }
    }
  };
  watch(first);
  stops.push(async () => {
    stopping = true;
    await restarting;
    await running.stop();
  });
  return first;
}
