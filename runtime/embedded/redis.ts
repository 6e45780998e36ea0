/** A Redis server as a child process: append-only file, 127.0.0.1 only, password in a file of mode 600. */
import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { awaitReady, portTakenError, startChild, stopChild } from './child.ts';
import type { Child, Exit } from './child.ts';
import { EmbeddedServerError } from './error.ts';
import { freePort, portTaken } from './ports.ts';
import { libraryEnv } from './redis-binary.ts';
import type { RedisServer } from './redis-binary.ts';
import { storedSecret } from './secret.ts';

export { findRedisServer } from './redis-binary.ts';

/** Long: a large append-only file is read before the server answers. */
const READY_DEADLINE_MS = 60_000;
const PROBE_TIMEOUT_MS = 1_000;
const STOP_DEADLINE_MS = 10_000;
const PORT_ATTEMPTS_MAX = 5;

export interface RedisOptions {
  server: RedisServer;
  dataDir: string;
  /** Default: a free one. */
  port?: number;
  /** Default `everysec`. */
  appendfsync?: 'always' | 'everysec';
  /** Default: made at first start and kept in `dataDir`. `false` runs without one, for tests. */
  password?: string | false;
  /** Made with the default user alone if it does not exist; then Redis loads and saves users here. */
  aclFile?: string;
  /** More configuration, as `['--maxmemory', '100mb']`. Visible in the process list: nothing secret. */
  extraArgs?: readonly string[];
  env?: NodeJS.ProcessEnv;
}

export interface RunningRedis {
  url: string;
  port: number;
  pid: number;
  process: ChildProcess;
  exited: Promise<Exit>;
  /** Lets Redis write what it has and end. Idempotent; resolves when the process is gone. */
  stop(): Promise<void>;
  /** Sends a signal and waits for the end where the signal ends it (not SIGSTOP, SIGCONT). */
  kill(signal?: NodeJS.Signals): Promise<void>;
}

function quoted(value: string): string {
  return `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

async function ensureAclFile(path: string, password: string | false): Promise<void> {
  const secret = password === false ? 'nopass' : `#${createHash('sha256').update(password).digest('hex')}`;
  try {
    await writeFile(path, `user default on ${secret} sanitize-payload ~* &* +@all\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

async function writeConfig(options: RedisOptions, port: number, password: string | false): Promise<string> {
  const lines = [
    'bind 127.0.0.1',
    `port ${port}`,
    `dir ${quoted(options.dataDir)}`,
    'daemonize no',
    'save ""',
    'appendonly yes',
    `appendfsync ${options.appendfsync ?? 'everysec'}`,
    'logfile ""',
    ...(password === false ? ['protected-mode no'] : []),
  ];
  if (options.aclFile !== undefined) {
    await ensureAclFile(options.aclFile, password);
    lines.push(`aclfile ${quoted(options.aclFile)}`);
  } else if (password !== false) {
    lines.push(`requirepass ${quoted(password)}`);
  }
  const path = join(options.dataDir, 'redis.conf');
  await writeFile(path, `${lines.join('\n')}\n`, { mode: 0o600 });
  return path;
}

function command(...words: string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;
}

/** One try to get `PONG` out of the very process that we started: the port may be somebody else's by now. */
function probe(port: number, password: string | false, pid: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    let received = '';
    const finish = (ready: boolean): void => {
      socket.destroy();
      resolve(ready);
    };
    socket.setTimeout(PROBE_TIMEOUT_MS, () => finish(false));
    socket.on('error', () => finish(false));
    socket.on('close', () => finish(false));
    socket.on('connect', () => {
      const auth = password === false ? '' : command('AUTH', 'default', password);
      socket.write(`${auth}${command('PING')}${command('INFO', 'server')}`);
    });
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
      if (/^-(?:LOADING|NOAUTH|WRONGPASS|MASTERDOWN)/m.test(received)) finish(false);
      const answered = /process_id:(\d+)\r\n/.exec(received);
      if (answered !== null) finish(received.includes('+PONG\r\n') && Number(answered[1]) === pid);
    });
  });
}

const passing = new Set<NodeJS.Signals>(['SIGSTOP', 'SIGCONT', 'SIGUSR1', 'SIGWINCH']);

function running(child: Child, port: number, password: string | false): RunningRedis {
  const credentials = password === false ? '' : `default:${encodeURIComponent(password)}@`;
  return {
    url: `redis://${credentials}127.0.0.1:${port}/0`,
    port,
    pid: child.pid,
    process: child.process,
    exited: child.exited,
    stop: async () => {
      // A server that was frozen would not see any other signal.
      child.process.kill('SIGCONT');
      await stopChild(child, [
        { signal: 'SIGTERM', deadlineMs: STOP_DEADLINE_MS },
        { signal: 'SIGKILL', deadlineMs: STOP_DEADLINE_MS },
      ]);
    },
    kill: async (signal = 'SIGKILL') => {
      child.process.kill(signal);
      if (!passing.has(signal)) await child.exited;
    },
  };
}

async function startOn(options: RedisOptions, port: number, password: string | false): Promise<RunningRedis> {
  const config = await writeConfig(options, port, password);
  const child = await startChild({
    name: 'Redis',
    command: [options.server.path, config, ...(options.extraArgs ?? [])],
    dataDir: options.dataDir,
    env: libraryEnv(options.server.libraries, { ...process.env, ...options.env }),
    deathSignal: 'KILL',
    lockFile: join(options.dataDir, 'lock'),
    logFile: join(options.dataDir, 'redis.log'),
  });
  await awaitReady(child, {
    name: 'Redis',
    dataDir: options.dataDir,
    port,
    deadlineMs: READY_DEADLINE_MS,
    probe: () => probe(port, password, child.pid),
    portClash: (log) => log.includes('Address already in use'),
  });
  return running(child, port, password);
}

/**
 * Starts Redis on the data in `dataDir` (made if missing); resolves when it answers. Rejects with an
 * EmbeddedServerError that carries the server's last log lines when it ends before that.
 */
export async function startRedis(options: RedisOptions): Promise<RunningRedis> {
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 });
  const password = options.password ?? (await storedSecret(join(options.dataDir, 'password')));
  if (options.port !== undefined) {
    if (await portTaken(options.port)) throw portTakenError('Redis', options.port);
    return startOn(options, options.port, password);
  }
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOn(options, await freePort(), password);
    } catch (error) {
      const clash = error instanceof EmbeddedServerError && error.failure === 'port-taken';
      if (!clash || attempt >= PORT_ATTEMPTS_MAX) throw error;
    }
  }
}
