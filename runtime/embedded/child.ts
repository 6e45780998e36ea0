/**
 * A server process of ours. It has a process group of its own, so that Ctrl-C in a terminal reaches the orchestrator
 * alone, which stops its servers last. It dies with us even when we are killed with -9 (parent-death signal), and it
 * holds a kernel lock on its data folder, which ends with it: no stale lock file can keep a server from starting and no
 * second server can write to the same data.
 */
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync, renameSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { EmbeddedServerError } from './error.ts';

const LOCK_BUSY_EXIT = 75;
/** A server that was just killed may need a moment until its last process lets go of the lock. */
const LOCK_WAIT_SECONDS = 3;
const LOG_BYTES_MAX = 1024 * 1024;
const LOG_TAIL_LINES = 15;
const LOG_TAIL_BYTES = 8 * 1024;
const PROBE_EVERY_MS = 15;

const run = promisify(execFile);

let guardTools: Promise<boolean> | undefined;

/** setpriv and flock are parts of util-linux, which Debian always has; elsewhere the servers run without these guards. */
function haveGuardTools(): Promise<boolean> {
  guardTools ??= (async () => {
    if (process.platform !== 'linux') return false;
    try {
      await run('setpriv', ['--pdeathsig', 'KILL', 'true']);
      return (await run('flock', ['--help'])).stdout.includes('--no-fork');
    } catch {
      // Not installed, or another implementation without these options.
      return false;
    }
  })();
  return guardTools;
}

export type Exit = { code: number | null; signal: NodeJS.Signals | null };

export interface ChildOptions {
  /** For messages: `Redis`, `PostgreSQL`. */
  name: string;
  command: readonly string[];
  dataDir: string;
  env: NodeJS.ProcessEnv;
  /** What the kernel sends to the server when this process ends. */
  deathSignal: 'KILL' | 'QUIT';
  /** The folder whose files the server owns while it runs. */
  lockFile: string;
  logFile: string;
}

export interface Child {
  pid: number;
  process: ChildProcess;
  exited: Promise<Exit>;
  /** Undefined while the process runs. */
  exit(): Exit | undefined;
  /** The last lines that this run of the server logged. */
  logTail(): Promise<string>;
}

function openLog(path: string): { fd: number; start: number } {
  mkdirSync(dirname(path), { recursive: true });
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size > LOG_BYTES_MAX) renameSync(path, `${path}.1`);
  return { fd: openSync(path, 'a', 0o600), start: size > LOG_BYTES_MAX ? 0 : size };
}

async function tail(path: string, start: number): Promise<string> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const from = Math.max(start, size - LOG_TAIL_BYTES);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(Math.max(size - from, 1)), 0, undefined, from);
    return buffer.toString('utf8', 0, bytesRead).trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n');
  } finally {
    await file.close();
  }
}

/**
 * Words to put in front of a command that must end with this process. The kernel forgets them when the command changes
 * its user: a command that does so needs them once more behind that change.
 */
export async function deathGuard(signal: 'KILL' | 'QUIT'): Promise<string[]> {
  return (await haveGuardTools()) ? ['setpriv', '--pdeathsig', signal] : [];
}

/** Starts the process and returns at once; `awaitReady` tells when it serves. Rejects if it cannot be spawned. */
export async function startChild(options: ChildOptions): Promise<Child> {
  const flock = ['flock', '-w', String(LOCK_WAIT_SECONDS), '-E', String(LOCK_BUSY_EXIT), '-F', options.lockFile];
  const [file = '', ...args] = [
    ...(await deathGuard(options.deathSignal)),
    ...((await haveGuardTools()) ? flock : []),
    ...options.command,
  ];
  const log = openLog(options.logFile);
  let child: ChildProcess;
  try {
    child = spawn(file, args, {
      cwd: options.dataDir,
      env: options.env,
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
    });
  } finally {
    closeSync(log.fd);
  }
  let exit: Exit | undefined;
  const exited = new Promise<Exit>((resolve) => {
    child.once('exit', (code, signal) => resolve((exit = { code, signal })));
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (error) =>
      reject(new EmbeddedServerError('exited', `${options.name} could not be started with ${file}: ${error.message}`)),
    );
  });
  if (child.pid === undefined) throw new Error(`${options.name} was spawned without a process id`);
  return {
    pid: child.pid,
    process: child,
    exited,
    exit: () => exit,
    logTail: () => tail(options.logFile, log.start),
  };
}

/** Sends the signals in turn, each with its time to take effect; resolves when the process is gone. */
export async function stopChild(
  child: Child,
  steps: readonly { signal: NodeJS.Signals; deadlineMs: number }[],
): Promise<void> {
  for (const step of steps) {
    if (child.exit() !== undefined) return;
    child.process.kill(step.signal);
    const abort = new AbortController();
    // The abort ends the timer of a process that went in time; nothing else can reject here.
    const late = sleep(step.deadlineMs, undefined, { signal: abort.signal }).catch(() => undefined);
    await Promise.race([child.exited, late]);
    abort.abort();
  }
  await child.exited;
}

export interface Readiness {
  name: string;
  dataDir: string;
  port: number;
  deadlineMs: number;
  /** Resolves to true once the server serves. Must not reject for a server that is not up yet. */
  probe: () => Promise<boolean>;
  /** True when this log tells that the port was taken by somebody else. */
  portClash: (log: string) => boolean;
}

function exitError(ready: Readiness, exit: Exit, log: string): EmbeddedServerError {
  if (exit.code === LOCK_BUSY_EXIT && log === '') {
    return new EmbeddedServerError(
      'data-in-use',
      `The data folder ${ready.dataDir} is in use by another running ${ready.name}. ` +
        `Stop the process that started it, or choose another data folder.`,
    );
  }
  if (ready.portClash(log)) return portTakenError(ready.name, ready.port);
  const how = exit.signal === null ? `with code ${exit.code}` : `on ${exit.signal}`;
  return new EmbeddedServerError(
    'exited',
    `${ready.name} ended ${how} before it was ready. Its data folder is ${ready.dataDir}; its last words:\n${log}`,
  );
}

export function portTakenError(name: string, port: number): EmbeddedServerError {
  return new EmbeddedServerError(
    'port-taken',
    `${name} cannot listen on 127.0.0.1:${port}: the port is taken. Stop what listens there or configure another port.`,
  );
}

/** Resolves when the probe succeeds. Otherwise the process is gone and the error tells why, with its last log lines. */
export async function awaitReady(child: Child, ready: Readiness): Promise<void> {
  const start = performance.now();
  for (;;) {
    const exit = child.exit();
    if (exit !== undefined) throw exitError(ready, exit, await child.logTail());
    if (await ready.probe()) return;
    if (performance.now() - start > ready.deadlineMs) {
      await stopChild(child, [{ signal: 'SIGKILL', deadlineMs: ready.deadlineMs }]);
      throw new EmbeddedServerError(
        'deadline',
        `${ready.name} did not become ready within ${ready.deadlineMs} ms. Its data folder is ${ready.dataDir}; ` +
          `its last words:\n${await child.logTail()}`,
      );
    }
    await sleep(PROBE_EVERY_MS);
  }
}
