/** Real servers for tests: shared ones for the whole run, private ones for tests that kill, freeze or fill them. */
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import pg from 'pg';
import { inject } from 'vitest';
import { startPostgres } from '../../runtime/embedded/postgres.ts';
import type { PostgresOptions, RunningPostgres } from '../../runtime/embedded/postgres.ts';
import { findRedisServer, startRedis } from '../../runtime/embedded/redis.ts';
import type { RedisOptions, RunningRedis } from '../../runtime/embedded/redis.ts';
import { freshFolder, postgresTemplateDir, redisCacheDir } from './folders.ts';
import type { SharedReply, SharedServer } from './global-setup.ts';

function ask(server: SharedServer): Promise<{ url: string; pid: number }> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: inject('sharedServersPort') });
    socket.on('error', reject);
    socket.on('connect', () => socket.write(`${server}\n`));
    createInterface({ input: socket }).once('line', (line) => {
      const reply = JSON.parse(line) as SharedReply;
      if ('error' in reply) reject(new Error(reply.error));
      else resolve(reply);
    });
  });
}

/**
 * The Redis that all test files share (no password). Give each test file keys or a database number of its own, or take
 * `startPrivateRedis`, which is up in 40 ms.
 */
export function useRedis(options: { appendfsync?: 'always' | 'everysec' } = {}): Promise<{ url: string; pid: number }> {
  return ask(`redis-${options.appendfsync ?? 'everysec'}`);
}

/** The PostgreSQL that all test files share, fsync off. Use `createDatabase` for one of your own. */
export function usePostgres(): Promise<{ url: string; pid: number }> {
  return ask('postgres');
}

/** A new, empty database on the shared PostgreSQL; it goes with the run. */
export async function createDatabase(label = 'test'): Promise<string> {
  const { url } = await usePostgres();
  const name = `${label.replaceAll(/[^a-z0-9]/gi, '_').toLowerCase()}_${randomBytes(6).toString('hex')}`;
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(`CREATE DATABASE ${pg.escapeIdentifier(name)}`);
  } finally {
    await client.end();
  }
  const own = new URL(url);
  own.pathname = `/${name}`;
  return own.toString();
}

export interface PrivateServer<Running> {
  /** The server that runs now (after `restart` another one). */
  readonly current: Running;
  readonly url: string;
  readonly port: number;
  readonly dataDir: string;
  stop(): Promise<void>;
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Starts again on the same data and port, after `stop` or `kill`. */
  restart(): Promise<void>;
  /** Stops and removes the data. */
  dispose(): Promise<void>;
}

type Startable = Pick<RunningRedis, 'url' | 'port' | 'stop' | 'kill'>;

async function privateServer<Running extends Startable>(
  label: string,
  start: (dataDir: string, port: number | undefined) => Promise<Running>,
): Promise<PrivateServer<Running>> {
  const dataDir = await freshFolder(label);
  let current = await start(dataDir, undefined);
  const { url, port } = current;
  return {
    get current() {
      return current;
    },
    url,
    port,
    dataDir,
    stop: () => current.stop(),
    kill: (signal) => current.kill(signal),
    restart: async () => {
      current = await start(dataDir, port);
    },
    dispose: async () => {
      await current.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** A Redis of one's own; no password unless one is given. */
export async function startPrivateRedis(
  options: Partial<Omit<RedisOptions, 'server' | 'dataDir' | 'port'>> = {},
): Promise<PrivateServer<RunningRedis>> {
  const server = await findRedisServer({ cacheDir: redisCacheDir });
  return privateServer('redis', (dataDir, port) =>
    startRedis({ server, password: false, ...options, dataDir, ...(port === undefined ? {} : { port }) }),
  );
}

/** A PostgreSQL of one's own; fsync off unless asked for. */
export function startPrivatePostgres(
  options: Partial<Omit<PostgresOptions, 'dataDir' | 'port'>> = {},
): Promise<PrivateServer<RunningPostgres>> {
  return privateServer('postgres', (dataDir, port) =>
    startPostgres({
      fsync: false,
      templateDir: postgresTemplateDir,
      ...options,
      dataDir,
      ...(port === undefined ? {} : { port }),
    }),
  );
}
