/**
 * A PostgreSQL server as a child process. Layout of `dataDir`: `cluster/data` (the server's files), `cluster/password`
 * (mode 600), `lock`, `postgres.log`.
 */
import { execFile } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { awaitReady, deathGuard, portTakenError, startChild, stopChild } from './child.ts';
import type { Child, Exit } from './child.ts';
import { EmbeddedServerError } from './error.ts';
import { freePort, portTaken } from './ports.ts';
import { findPostgres, findRunAs } from './postgres-binary.ts';
import type { PostgresPrograms, RunAs } from './postgres-binary.ts';
import { storedSecret } from './secret.ts';

/** Long: after a crash the write-ahead log is replayed first. */
const READY_DEADLINE_MS = 60_000;
const STOP_DEADLINE_MS = 10_000;
const PORT_ATTEMPTS_MAX = 5;
const USER = 'orchestrator';

const run = promisify(execFile);

export interface PostgresOptions {
  dataDir: string;
  /** Default: a free one. */
  port?: number;
  /** Made if it does not exist. Default `orchestrator`. */
  database?: string;
  /** Default true; false is for tests alone: a power loss then costs the data. */
  fsync?: boolean;
  /** A cluster is made here once and copied for each new `dataDir`: ten times faster than initdb. Copies share its password. */
  templateDir?: string;
  /** How to run when we are root; default: the first that works. */
  runAs?: RunAs['mode'];
  /** More settings, as `{ max_connections: '200' }`. */
  settings?: Readonly<Record<string, string>>;
}

export interface RunningPostgres {
  url: string;
  port: number;
  pid: number;
  process: ChildProcess;
  exited: Promise<Exit>;
  /** Ends sessions, writes a checkpoint, ends. Idempotent; resolves when the process is gone. */
  stop(): Promise<void>;
  /** SIGKILL (default), SIGQUIT (immediate) and the like: resolves when the process is gone. */
  kill(signal?: NodeJS.Signals): Promise<void>;
}

/**
 * Runs under the lock, so that it never touches the data of a running server: `sh -c PREPARE sh CLUSTER PIDFILE UID
 * COMMAND...`. A pid file that is there then is a killed server's; left alone it keeps PostgreSQL from starting as soon
 * as some other process has got that pid. The files may belong to the user of a run in another mode.
 */
const PREPARE = [
  'rm -f "$2"',
  'if [ -n "$3" ]; then find "$1" ! -user "$3" -exec chown -h "$3:$3" {} + || exit 1; fi',
  'shift 3',
  'exec "$@"',
].join('\n');

/** The user id that the files must have, or nothing when we are not root and could not change it. */
function ownerOfData(as: RunAs): string {
  return process.getuid?.() === 0 && as.uid !== undefined ? String(as.uid) : '';
}

/** Puts a finished folder in its place; false when somebody else was first. */
async function claim(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return false;
    throw error;
  }
}

async function initCluster(cluster: string, programs: PostgresPrograms, as: RunAs): Promise<void> {
  const work = await mkdtemp(`${cluster}-new-`);
  try {
    const password = join(work, 'password');
    await storedSecret(password);
    const owner = ownerOfData(as);
    if (owner !== '') await run('chown', ['-R', `${owner}:${owner}`, work]);
    const [file = '', ...args] = [
      ...as.prefix,
      ...[programs.initdb, '-D', join(work, 'data'), '-U', USER, '--pwfile', password, '--auth=scram-sha-256'],
      ...['--encoding=UTF8', '--locale=C', '--no-sync', '--no-instructions'],
    ];
    await run(file, args, { cwd: work, env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' } });
    await claim(work, cluster);
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    throw new EmbeddedServerError('exited', `initdb failed for ${cluster}: ${(stderr ?? '').trim() || message}`);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function copyCluster(from: string, to: string): Promise<void> {
  const work = await mkdtemp(`${to}-new-`);
  try {
    await run('cp', ['-Rp', `${from}/.`, work]);
    await claim(work, to);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function ensureCluster(options: PostgresOptions, programs: PostgresPrograms, as: RunAs): Promise<string> {
  const cluster = join(options.dataDir, 'cluster');
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 });
  if (!existsSync(cluster)) {
    if (options.templateDir === undefined) {
      await initCluster(cluster, programs, as);
    } else {
      const template = join(options.templateDir, 'cluster');
      await mkdir(options.templateDir, { recursive: true, mode: 0o700 });
      if (!existsSync(template)) await initCluster(template, programs, as);
      await copyCluster(template, cluster);
    }
  }
  return cluster;
}

/** The server writes its state into the eighth line of this file; the first is its process id. */
async function ready(pidFile: string, pid: number): Promise<boolean> {
  try {
    const lines = (await readFile(pidFile, 'utf8')).split('\n');
    return Number(lines[0]) === pid && (lines[7] ?? '').trim() === 'ready';
  } catch {
    // Not written yet.
    return false;
  }
}

async function ensureDatabase(adminUrl: string, database: string): Promise<void> {
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  try {
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [database]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${pg.escapeIdentifier(database)}`);
  } finally {
    await client.end();
  }
}

function running(child: Child, port: number, url: string): RunningPostgres {
  return {
    url,
    port,
    pid: child.pid,
    process: child.process,
    exited: child.exited,
    stop: async () => {
      child.process.kill('SIGCONT');
      // "fast", then "immediate", then by force.
      await stopChild(child, [
        { signal: 'SIGINT', deadlineMs: STOP_DEADLINE_MS },
        { signal: 'SIGQUIT', deadlineMs: STOP_DEADLINE_MS },
        { signal: 'SIGKILL', deadlineMs: STOP_DEADLINE_MS },
      ]);
    },
    kill: async (signal = 'SIGKILL') => {
      child.process.kill(signal);
      if (signal !== 'SIGSTOP' && signal !== 'SIGCONT' && signal !== 'SIGHUP') await child.exited;
    },
  };
}

async function startOn(
  options: PostgresOptions,
  port: number,
  cluster: string,
  programs: PostgresPrograms,
  as: RunAs,
): Promise<RunningPostgres> {
  const data = join(cluster, 'data');
  const pidFile = join(data, 'postmaster.pid');
  const settings: Record<string, string> = {
    port: String(port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    logging_collector: 'off',
    timezone: 'UTC',
    log_timezone: 'UTC',
    shared_buffers: '32MB',
    ...(options.fsync === false ? { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' } : {}),
    ...options.settings,
  };
  const child = await startChild({
    name: 'PostgreSQL',
    command: [
      ...['sh', '-c', PREPARE, 'sh', cluster, pidFile, ownerOfData(as)],
      ...[...as.prefix, ...(await deathGuard('QUIT')), programs.postgres, '-D', data],
      ...Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`]),
    ],
    dataDir: cluster,
    env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' },
    deathSignal: 'QUIT',
    lockFile: join(cluster, 'lock'),
    logFile: join(options.dataDir, 'postgres.log'),
  });
  await awaitReady(child, {
    name: 'PostgreSQL',
    dataDir: options.dataDir,
    port,
    deadlineMs: READY_DEADLINE_MS,
    probe: () => ready(pidFile, child.pid),
    portClash: (log) => log.includes('Address already in use'),
  });
  const password = (await readFile(join(cluster, 'password'), 'utf8')).trim();
  const database = options.database ?? USER;
  const urlOf = (name: string): string =>
    `postgres://${USER}:${encodeURIComponent(password)}@127.0.0.1:${port}/${encodeURIComponent(name)}`;
  const server = running(child, port, urlOf(database));
  try {
    await ensureDatabase(urlOf('postgres'), database);
  } catch (error) {
    await server.stop();
    throw error;
  }
  return server;
}

/**
 * Starts PostgreSQL on the data in `dataDir` (made if missing); resolves when it takes connections and the database
 * exists. Rejects with an EmbeddedServerError that carries the server's last log lines when it ends before that.
 */
export async function startPostgres(options: PostgresOptions): Promise<RunningPostgres> {
  const programs = await findPostgres();
  const as = await findRunAs(options.runAs);
  if (options.port !== undefined && (await portTaken(options.port))) throw portTakenError('PostgreSQL', options.port);
  const cluster = await ensureCluster(options, programs, as);
  if (options.port !== undefined) return startOn(options, options.port, cluster, programs, as);
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOn(options, await freePort(), cluster, programs, as);
    } catch (error) {
      const clash = error instanceof EmbeddedServerError && error.failure === 'port-taken';
      if (!clash || attempt >= PORT_ATTEMPTS_MAX) throw error;
    }
  }
}
