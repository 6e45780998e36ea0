/** The sample agents as processes of their own, each with a peer that plays the server. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { findPython } from '../../scripts/agents/python/find.ts';
import { redisCacheDir, rootDir } from '../support/folders.ts';
import { useRedis } from '../support/servers.ts';
import { startPeer, type Peer, type PeerReport } from './agent-peer.ts';

export interface Program {
  command: string;
  args: readonly string[];
  env: Record<string, string>;
}

export interface Sample {
  peer: Peer;
  process: ChildProcess;
  exit: Promise<number | null>;
  /** What it wrote to standard error so far. */
  said(): string;
  stop(): Promise<void>;
}

const python = await findPython({ cacheDir: join(rootDir, '.cache'), allowDownload: true });

/** Absent where there is neither python3-redis nor apt-get to fetch it. */
export const pythonAgent: Program | undefined = python && {
  command: python.python,
  args: [join(rootDir, 'scripts/agents/python/agent.py'), '--slots', '2'],
  env: python.env,
};

const copy = join(redisCacheDir, 'copy');
const privateCli = join(copy, 'usr/bin/redis-cli');
const systemCli = spawnSync('redis-cli', ['--version']).status === 0 ? 'redis-cli' : undefined;
const cli = systemCli ?? (existsSync(privateCli) ? privateCli : undefined);

/** Absent where there is no redis-cli or no curl. */
export const shellAgent: Program | undefined =
  cli !== undefined && spawnSync('curl', ['--version']).status === 0
    ? {
        command: 'bash',
        args: [join(rootDir, 'scripts/agents/shell/agent.sh'), '--id', 'a-0-shell'],
        env: {
          REDIS_CLI: cli,
          LD_LIBRARY_PATH: join(copy, `usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`),
        },
      }
    : undefined;

export const typescriptAgent: Program = {
  command: process.execPath,
  args: [join(rootDir, '.build/scripts/agents/text-agent.js')],
  env: {},
};

let names = 0;

/** Resolves when the process runs; whether the agent came up, its peer says. @param url of the Redis of the peer */
export async function launch({ command, args, env }: Program, url?: string): Promise<Sample> {
  names += 1;
  const peer = await startPeer(url ?? (await useRedis()).url, `agent-samples-${process.pid}-${names}`);
  const child = spawn(command, [...args, '--api', peer.api], {
    env: { ...process.env, ORCHESTRATOR_TOKEN: 'secret', ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exit;
    await peer.close();
  };
  return { peer, process: child, exit, said: () => said, stop };
}

/** @throws Error with what the sample said when it sends no heartbeat within 10 s */
export async function started(sample: Sample): Promise<void> {
  await sample.peer
    .report(({ kind }) => kind === 'heartbeat')
    .catch((error: unknown) => {
      throw new Error(`the sample did not come up, it said: ${sample.said()}`, { cause: error });
    });
}

export const about = (kind: string, task: string) => (report: PeerReport) =>
  report.kind === kind && report.task === task;
