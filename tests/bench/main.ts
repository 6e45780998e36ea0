/**
 * `npm run bench`: the orchestrator next to its peer, on the same machine in the same minutes. Every run has a Redis of its
 * own, fresh and set up alike; runs are interleaved, so that what else the machine does falls on all of them. It is no test:
 * it prints and writes numbers, and ends with 0.
 */
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findRedisServer, startRedis } from '../../runtime/embedded/redis.ts';
import type { RedisServer } from '../../runtime/embedded/redis-binary.ts';
import { projectRoot } from '../../scripts/root.ts';
import { consoleBench } from './console/main.ts';
import { figuresOf, type Measurement } from './measurement.ts';
import { pageOf, ratioLines, ratiosOf, tableOf, type Report, type Series } from './report.ts';
import { installPeer, measure, orchestrator, peers, type System } from './systems.ts';
import type { ThroughputResult } from './throughput.ts';

interface Options {
  tasks: number;
  warmup: number;
  runs: number;
  agents: number;
  slots: number;
  /** One run of the orchestrator alone under the profiler; writes no results. */
  profile: boolean;
  peer: boolean;
  /** Leave out appendfsync always. */
  quick: boolean;
}

/** @throws Error naming the option that is wrong */
function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      tasks: { type: 'string', default: '50000' },
      warmup: { type: 'string', default: '5000' },
      runs: { type: 'string', default: '3' },
      agents: { type: 'string', default: '5' },
      slots: { type: 'string', default: '100' },
      profile: { type: 'boolean', default: false },
      peer: { type: 'boolean', default: true },
      quick: { type: 'boolean', default: false },
    },
    allowNegative: true,
  });
  const count = (name: 'tasks' | 'warmup' | 'runs' | 'agents' | 'slots'): number => {
    const value = Number(values[name]);
    if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} ${values[name]}: is a whole number from 1`);
    return value;
  };
  return {
    tasks: count('tasks'),
    warmup: count('warmup'),
    runs: count('runs'),
    agents: count('agents'),
    slots: count('slots'),
    profile: values.profile,
    peer: values.peer,
    quick: values.quick,
  };
}

const scratchDir = join(projectRoot, '.cache/bench');

async function runOnce<Result extends Measurement>(
  server: RedisServer,
  system: System,
  appendfsync: Series['appendfsync'],
  { tasks, warmup }: Options,
): Promise<Result> {
  const dataDir = await mkdtemp(join(scratchDir, `${process.pid}-`));
  try {
    const redis = await startRedis({ server, dataDir, appendfsync, password: false });
    try {
      return await measure<Result>(system, redis.url, tasks, warmup);
    } finally {
      await redis.stop();
    }
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

async function profile(server: RedisServer, options: Options): Promise<void> {
  const { tasks, agents, slots } = options;
  const file = join(scratchDir, `throughput-${new Date().toISOString().replaceAll(':', '-')}.cpuprofile`);
  const result = await runOnce<ThroughputResult>(server, orchestrator(agents, slots, file), 'everysec', options);
  console.log(`${Math.round(figuresOf(result).tasksPerSecond)} tasks/s under the profiler; self time by function:\n`);
  for (const { share, ms, place } of (result.profile ?? []).slice(0, 25))
    console.log(
      `${(share * 100).toFixed(1).padStart(5)} %  ${((ms * 1000) / tasks).toFixed(2).padStart(6)} us/task  ${place}`,
    );
  console.log(`\nThe whole profile: ${file}`);
}

/** Rounds of one run each; which system begins changes from round to round. */
async function compare(server: RedisServer, options: Options): Promise<void> {
  const { tasks, runs, agents, slots, peer, quick } = options;
  const systems = [orchestrator(agents, slots), ...(peer ? peers : [])];
  const versions: Record<string, string> = { Node: process.versions.node, Redis: server.version };
  if (peer) versions['BullMQ'] = await installPeer();
  const policies: Series['appendfsync'][] = quick ? ['everysec'] : ['everysec', 'always'];
  const series: Series[] = policies.flatMap((appendfsync) =>
    systems.map(({ name, setUp }) => ({ system: name, setUp, appendfsync, runs: [] })),
  );
  for (let round = 0; round < runs; round++) {
    for (const [index] of series.entries()) {
      const one = series[(index + round) % series.length]!;
      const system = systems.find(({ name }) => name === one.system)!;
      const result = await runOnce(server, system, one.appendfsync, options);
      one.runs.push(result);
      const { tasksPerSecond, totalUsPerTask } = figuresOf(result);
      console.error(
        `round ${round + 1}/${runs}  ${one.system}, ${one.appendfsync}: ` +
          `${Math.round(tasksPerSecond)} tasks/s, ${totalUsPerTask.toFixed(1)} us of CPU a task`,
      );
    }
  }
  const report: Report = {
    at: new Date().toISOString(),
    commit: commit(),
    machine: `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform}`,
    versions,
    tasks,
    series,
  };
  console.log(`\n${tableOf(series)}\n\n${ratioLines(ratiosOf(series))}`);
  await writeFile(
    join(projectRoot, 'tests/bench/RESULTS.json'),
    `${JSON.stringify({ ...report, ratios: ratiosOf(series) }, null, 2)}\n`,
  );
  await writeFile(join(projectRoot, 'tests/bench/RESULTS.md'), pageOf(report));
  console.log('\nWritten: tests/bench/RESULTS.md, tests/bench/RESULTS.json');
}

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: projectRoot, encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}

async function bench(): Promise<void> {
  const options = readOptions();
  await mkdir(scratchDir, { recursive: true });
  const server = await findRedisServer({ cacheDir: join(projectRoot, '.cache/redis') });
  await (options.profile ? profile(server, options) : compare(server, options));
}

try {
  const argv = process.argv.slice(2);
  await (argv.includes('--console') ? consoleBench(argv) : bench());
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
}
