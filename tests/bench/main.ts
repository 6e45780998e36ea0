/**
 * `npm run bench`: the orchestrator next to its peers, on the same machine in the same minutes. Every run has servers of its
 * own, fresh and set up alike; runs are interleaved, so that what else the machine does falls on all of them. It is no test:
 * it prints and writes numbers, and ends with 0.
 */
import { execFile, execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { startPostgres } from '../../runtime/embedded/postgres.ts';
import { findRedisServer, startRedis } from '../../runtime/embedded/redis.ts';
import type { RedisServer } from '../../runtime/embedded/redis-binary.ts';
import { projectRoot } from '../../scripts/root.ts';
import { consoleBench } from './console/main.ts';
import type { OwnOutcome } from './own.ts';
import { pageOf, ratioLines, tableOf, type Report, type RowReport } from './report.ts';
import { peerDir, rowsOf, sizes, type Row, type System } from './rows.ts';

const run = promisify(execFile);
const scratchDir = join(projectRoot, '.cache/bench');
const runDeadlineMs = 900_000;
/** Of every system alike, and those of scripts/run.mjs: with a larger young generation less is collected twice. */
const nodeFlags = ['--max-semi-space-size=64', '--expose-gc'];
const policies = ['everysec', 'always'] as const;

interface Options {
  rows: Row[];
  runs: number;
  peers: boolean;
  profile: boolean;
  quick: boolean;
  appendfsync: (typeof policies)[number];
}

/** @throws Error naming the option that is wrong */
function readOptions(): Options {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      runs: { type: 'string' },
      peers: { type: 'boolean', default: true },
      profile: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      appendfsync: { type: 'string', default: 'everysec' },
    },
    allowNegative: true,
  });
  const all = rowsOf(sizes[values.quick ? 'quick' : 'whole']);
  const unknown = positionals.find((name) => !all.some((row) => row.name === name));
  if (unknown !== undefined) throw new Error(`${unknown}: rows are ${all.map(({ name }) => name).join(', ')}`);
  const runs = Number(values.runs ?? (values.quick ? 1 : 5));
  if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs ${values.runs}: is a whole number from 1`);
  const appendfsync = policies.find((policy) => policy === values.appendfsync);
  if (!appendfsync) throw new Error(`--appendfsync ${values.appendfsync}: is ${policies.join(' or ')}`);
  return {
    ...{ runs, peers: values.peers, profile: values.profile, quick: values.quick, appendfsync },
    rows: positionals.length === 0 ? all : all.filter(({ name }) => positionals.includes(name)),
  };
}

/** One run of one system on fresh servers. @throws Error with what the program said when it failed or took too long */
async function measure(
  server: RedisServer,
  system: System,
  { appendfsync }: Pick<Options, 'appendfsync'>,
  more: readonly string[] = [],
): Promise<OwnOutcome> {
  const folder = await mkdtemp(join(scratchDir, `${process.pid}-`));
  const stops: (() => Promise<void>)[] = [() => rm(folder, { recursive: true, force: true })];
  try {
    const args = [...nodeFlags, system.program, ...system.args, ...more];
    if (system.redis) {
      const redis = await startRedis({ server, dataDir: join(folder, 'redis'), appendfsync, password: false });
      stops.push(() => redis.stop());
      args.push('--redis', redis.url);
    }
    if (system.pair) {
      const redis = await startRedis({ server, dataDir: join(folder, 'peer'), appendfsync, password: false });
      stops.push(() => redis.stop());
      args.push('--peer-redis', redis.url);
    }
    if (system.postgres) {
      const settings = { max_connections: '200', synchronous_commit: appendfsync === 'always' ? 'on' : 'off' };
      const postgres = await startPostgres({ dataDir: join(folder, 'postgres'), settings });
      stops.push(() => postgres.stop());
      args.push('--postgres', postgres.url, '--postgres-pid', `${postgres.pid}`);
    }
    const env = { ...process.env, NODE_ENV: 'production' };
    const { stdout } = await run(process.execPath, args, {
      ...{ timeout: runDeadlineMs, maxBuffer: 16 * 1024 * 1024, env },
    });
    return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as OwnOutcome;
  } finally {
    for (const stop of stops.reverse()) await stop();
  }
}

/** Installs the peers from their own lockfile, once. @throws Error that says what to do without a registry */
async function installPeers(): Promise<Record<string, string>> {
  const names = ['bullmq', 'graphile-worker', 'pg-boss'];
  const manifestOf = (name: string): string => join(peerDir, 'node_modules', name, 'package.json');
  if (!names.every((name) => existsSync(manifestOf(name)))) {
    const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund'];
    await run('npm', args, { cwd: peerDir, timeout: 180_000 }).catch((error: unknown) => {
      const detail = error instanceof Error ? error.message : String(error);
      throw new Error(`npm ci in tests/bench/peer failed; without the peers run with --no-peers. ${detail}`, {
        cause: error,
      });
    });
  }
  const versions: Record<string, string> = {};
  for (const name of names)
    versions[name] = (JSON.parse(await readFile(manifestOf(name), 'utf8')) as { version: string }).version;
  return versions;
}

async function profile(server: RedisServer, options: Options): Promise<void> {
  // The last one of the orchestrator in the first row that is named: what the row is about.
  const system = options.rows[0]!.systems.filter(({ isPeer }) => !isPeer).at(-1)!;
  const file = join(scratchDir, `${new Date().toISOString().replaceAll(':', '-')}.cpuprofile`);
  const { figures, profile: places = [] } = await measure(server, system, options, ['--profile', file]);
  console.log(`${Math.round(figures['tasksPerSecond'] ?? 0)} tasks/s under the profiler; self time by function:\n`);
  for (const { share, ms, place } of places.slice(0, 30))
    console.log(`${(share * 100).toFixed(1).padStart(5)} %  ${ms.toFixed(0).padStart(6)} ms  ${place}`);
  console.log(`\nThe whole profile: ${file}`);
}

/** Rounds of one run each; which system begins changes from round to round. */
async function compare(server: RedisServer, options: Options): Promise<RowReport[]> {
  const reports: RowReport[] = [];
  for (const row of options.rows) {
    const systems = row.systems.filter(({ isPeer }) => options.peers || !isPeer);
    const series = systems.map(({ name, setUp }) => ({ system: name, setUp, runs: [], failures: [] }));
    const report: RowReport = { row, series };
    reports.push(report);
    for (let round = 0; round < options.runs; round++)
      for (const [index] of systems.entries()) {
        const at = (index + round) % systems.length;
        const one = report.series[at]!;
        try {
          const { figures } = await measure(server, systems[at]!, options);
          one.runs.push(figures);
          const [{ figure, title } = { figure: '', title: '' }] = row.columns;
          const value = (figures[figure] ?? 0).toFixed(1);
          console.error(`${row.name}, round ${round + 1}/${options.runs}  ${one.system}: ${value} ${title}`);
        } catch (error) {
          one.failures.push((error instanceof Error ? error.message : String(error)).split('\n').slice(-8).join(' '));
          console.error(
            `${row.name}, round ${round + 1}/${options.runs}  ${one.system}: failed. ${one.failures.at(-1)}`,
          );
        }
      }
    console.log(`\n${tableOf(report)}\n\n${ratioLines(report).join('\n')}`);
  }
  return reports;
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
  if (options.profile) await profile(server, options);
  else {
    const versions = { Node: process.versions.node, Redis: server.version };
    const peers = options.peers ? await installPeers() : {};
    const report: Report = {
      at: new Date().toISOString(),
      commit: commit(),
      machine: `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform}`,
      appendfsync: options.appendfsync,
      versions: { ...versions, ...peers },
      rows: await compare(server, options),
    };
    const folder = options.quick ? scratchDir : join(projectRoot, 'tests/bench');
    await writeFile(join(folder, 'RESULTS.json'), `${JSON.stringify(report, null, 2)}\n`);
    await writeFile(join(folder, 'RESULTS.md'), pageOf(report));
    console.log(`\nWritten: ${join(folder, 'RESULTS.md')}, RESULTS.json`);
  }
}

const usage = `Usage: npm run bench -- [ROW...] [OPTIONS]

Rows: ${rowsOf(sizes.whole)
  .map(({ name }) => name)
  .join(', ')} (default: all)

  --runs N               of each system (default: 5)
  --appendfsync POLICY   ${policies.join(' or ')} (default: everysec)
  --no-peers             the orchestrator alone
  --quick                small sizes, one run; writes to .cache/bench
  --profile ROW          one run under the CPU profiler
  --console              the console over a full system; with --tasks, --agents,
                         --rate, --minutes and --pairs

tests/bench/README.md says what is measured, and what is not.`;

try {
  const argv = process.argv.slice(2);
  if (argv.includes('--help')) console.log(usage);
  else await (argv.includes('--console') ? consoleBench(argv) : bench());
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
}
