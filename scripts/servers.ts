/** Redis and PostgreSQL for a process: the configured ones, or embedded ones that it starts and stops itself. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config/schema.ts';
import { startPostgres } from '../runtime/embedded/postgres.ts';
import { findRedisServer, startRedis } from '../runtime/embedded/redis.ts';
import type { Log } from '../runtime/ports.ts';
import { projectRoot } from './root.ts';

export interface Servers {
  redisUrl: string;
  postgresUrl: string;
  /** Stops what was started here. */
  stop(): Promise<void>;
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
      config.redis.url ?? embeddedRedis(dataDirectory, log, stops),
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
  const redis = await startRedis({ server, dataDir: join(dataDirectory, 'redis'), appendfsync: 'always' });
  stops.push(() => redis.stop());
  log.info(
    { version: server.version, port: redis.port, found: server.source },
    'no [redis] url: embedded Redis started',
  );
  return redis.url;
}

async function embeddedPostgres(dataDirectory: string, log: Log, stops: (() => Promise<void>)[]): Promise<string> {
  const postgres = await startPostgres({ dataDir: join(dataDirectory, 'postgres') });
  stops.push(() => postgres.stop());
  log.info({ port: postgres.port }, 'no [postgres] url: embedded PostgreSQL started');
  return postgres.url;
}
