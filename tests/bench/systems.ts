/** The systems that are measured side by side, each as a program of its own that prints one measurement. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { buildRoot, projectRoot } from '../../scripts/root.ts';
import type { Measurement } from './measurement.ts';

const run = promisify(execFile);
const runDeadlineMs = 300_000;
const installDeadlineMs = 120_000;

export const peerDir = join(projectRoot, 'tests/bench/peer');

/** Of every system alike, and those of scripts/run.mjs: with a larger young generation less is collected twice. */
const nodeFlags = ['--max-semi-space-size=64'];

export interface System {
  name: string;
  /** What is run, for the table's reader. */
  setUp: string;
  program: string;
  args: readonly string[];
}

export function orchestrator(agents: number, slots: number, profileFile?: string): System {
  return {
    name: 'orchestrator',
    setUp: `one shard, ${agents} agents x ${slots} slots, submits in batches of 500, priorities, journal and snapshots`,
    program: join(buildRoot, 'tests/bench/throughput.js'),
    args: ['--agents', `${agents}`, '--slots', `${slots}`, ...(profileFile ? ['--profile', profileFile] : [])],
  };
}

/** BullMQ as its documentation recommends for bulk work, with priorities, and without them (its faster data structure). */
export const peers: readonly System[] = [
  {
    name: 'BullMQ',
    setUp: 'addBulk of 500, one worker, concurrency 100, priorities, removeOnComplete',
    program: join(peerDir, 'bullmq.mjs'),
    args: [],
  },
  {
    name: 'BullMQ, no priorities',
    setUp: 'the same without priorities: a plain list',
    program: join(peerDir, 'bullmq.mjs'),
    args: ['--no-priorities'],
  },
];

/** Runs a system once. @throws Error with what the program said when it failed or took too long */
export async function measure<Result extends Measurement>(
  system: System,
  url: string,
  tasks: number,
  warmup: number,
): Promise<Result> {
  const { stdout } = await run(
    process.execPath,
    [...nodeFlags, system.program, '--url', url, '--tasks', `${tasks}`, '--warmup', `${warmup}`, ...system.args],
    { timeout: runDeadlineMs, maxBuffer: 16 * 1024 * 1024, env: { ...process.env, NODE_ENV: 'production' } },
  );
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Result;
}

/** Installs the peer from its own lockfile, once. @throws Error that says what to do without a registry */
export async function installPeer(): Promise<string> {
  const manifest = join(peerDir, 'node_modules/bullmq/package.json');
  if (!existsSync(manifest)) {
    try {
      await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
        cwd: peerDir,
        timeout: installDeadlineMs,
      });
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      throw new Error(`npm ci in tests/bench/peer failed; without the peer run with --no-peer. ${detail}`, {
        cause: error,
      });
    }
  }
  return (JSON.parse(await readFile(manifest, 'utf8')) as { version: string }).version;
}
