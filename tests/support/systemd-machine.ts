/** A machine of its own with systemd as process 1, for tests that install, kill and upgrade services. Nothing of it stays. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { accessSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { findRedisServer } from '../../runtime/embedded/redis.ts';
import { redisCacheDir, rootDir } from './folders.ts';

const bootDeadlineMs = 60_000;
const commandDeadlineMs = 240_000;
const needed = ['/lib/systemd/systemd', '/usr/bin/unshare', '/usr/bin/nsenter', '/usr/bin/psql', '/usr/bin/openssl'];
const environment = {
  HOME: '/root',
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LANG: 'C.UTF-8',
};

/** Why this machine cannot hold another one; undefined when it can. */
export function whyNoMachine(): string | undefined {
  if (process.platform !== 'linux') return 'systemd runs on Linux';
  if (process.getuid?.() !== 0) return 'only root may boot systemd in name spaces of its own';
  return needed.flatMap((path) => {
    try {
      accessSync(path);
      return [];
    } catch {
      return [`${path} is not installed`];
    }
  })[0];
}

export interface Ended {
  code: number;
  /** stdout and stderr, as they came. */
  words: string;
  out: string;
}

export class SystemdMachine {
  readonly #holder: ChildProcess;
  readonly #pid: string;
  readonly #clients: ChildProcess[] = [];

  private constructor(holder: ChildProcess, pid: string) {
    this.#holder = holder;
    this.#pid = pid;
  }

  /** The repository is /srv/source there; what is written to it stays in memory. */
  static async boot(): Promise<SystemdMachine> {
    const server = await findRedisServer({ cacheDir: redisCacheDir });
    // A private copy of Debian's package is laid over the root, as dpkg would.
    const trees = server.source === 'path' ? [] : [join(server.path, '../../..')];
    const holder = spawn(
      'unshare',
      [
        ...[
          '--mount',
          '--pid',
          '--fork',
          '--kill-child',
          '--uts',
          '--ipc',
          '--net',
          '--cgroup',
          '--propagation',
          'private',
        ],
        ...[join(rootDir, 'tests/support/boot-systemd.sh'), rootDir, ...trees],
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let words = '';
    holder.stderr?.on('data', (chunk: Buffer) => (words += chunk.toString()));
    const deadline = performance.now() + bootDeadlineMs;
    for (;;) {
      if (holder.exitCode !== null) throw new Error(`the machine did not boot: ${words}`);
      const pid = readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, 'utf8').trim();
      if (pid !== '' && readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'systemd') {
        const machine = new SystemdMachine(holder, pid);
        const { out } = await machine.run('systemctl', 'is-system-running');
        if (/^(?:running|degraded)/.test(out)) return machine;
      }
      if (performance.now() > deadline) {
        holder.kill('SIGKILL');
        throw new Error(`the machine did not boot in time: ${words}`);
      }
      await sleep(200);
    }
  }

  /** Runs a command there as root. */
  run(...command: string[]): Promise<Ended> {
    const args = ['-t', this.#pid, '-m', '-p', '-u', '-i', '-n', '-C', '-r', '-w', ...command];
    return new Promise((resolve) => {
      let words = '';
      const child = execFile(
        'nsenter',
        args,
        { env: environment, timeout: commandDeadlineMs, maxBuffer: 16 * 1024 * 1024 },
        (error, out) => {
          const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
          resolve({ code, words, out });
        },
      );
      child.stdout?.on('data', (chunk: string) => (words += chunk));
      child.stderr?.on('data', (chunk: string) => (words += chunk));
    });
  }

  /** Like `run`. @returns stdout @throws Error with all words when the command fails */
  async done(...command: string[]): Promise<string> {
    const { code, words, out } = await this.run(...command);
    if (code !== 0) throw new Error(`${command.join(' ')} ended with ${code}:\n${words}`);
    return out.trim();
  }

  /** A cable from one machine to the other, which have these addresses at its ends. */
  static async link(...ends: readonly [[SystemdMachine, string], [SystemdMachine, string]]): Promise<void> {
    const [[one], [two]] = ends;
    for (const [machine] of ends) await machine.run('ip', 'link', 'delete', 'cable');
    const cable = ['netns', one.#pid, 'type', 'veth', 'peer', 'name', 'cable', 'netns', two.#pid];
    await promisify(execFile)('ip', ['link', 'add', 'cable', ...cable]);
    for (const [machine, address] of ends)
      await machine.shell(`ip address add ${address}/24 dev cable; ip link set cable up`);
  }

  shell(script: string): Promise<string> {
    return this.done('bash', '-euo', 'pipefail', '-c', script);
  }

  /** A program of this repository that sees the network of the machine and nothing else of it. */
  client(program: string, env: Record<string, string>): ChildProcess {
    const client = spawn('nsenter', ['-t', this.#pid, '-n', process.execPath, join(rootDir, '.build', program)], {
      env: { ...environment, ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#clients.push(client);
    return client;
  }

  async stop(): Promise<void> {
    // They run beside the machine: its process 1 does not take them along.
    for (const client of this.#clients) client.kill('SIGKILL');
    if (this.#holder.exitCode !== null || this.#holder.signalCode !== null) return;
    const gone = new Promise((resolve) => this.#holder.once('close', resolve));
    // Every process of the machine ends with its process 1.
    this.#holder.kill('SIGKILL');
    await gone;
  }
}
