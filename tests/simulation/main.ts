/**
 * `npm run sim -- --seeds N`: simulated pairs of sites under faults, on all cores. Ends with 1 when any seed broke an
 * invariant, and says how to run that seed again.
 */
import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { mutants, type Mutant } from './mutant.ts';
import type { Share, Tally } from './worker.ts';

const usage = `npm run sim -- [--seeds N] [--first SEED] [--threads N] [--mutant NAME]
  Runs N seeds (default 2000) from SEED (default 1) on. Mutants: ${mutants.join('; ')}`;

function wrong(message: string): never {
  process.stderr.write(`sim: ${message}\n${usage}\n`);
  process.exit(2);
}

function whole(name: string, text: string, max: number): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1 || number > max) wrong(`--${name} is a whole number from 1 to ${max}`);
  return number;
}

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { stdio: ['ignore', 'pipe', 'ignore'] })
      .toString()
      .trim();
  } catch {
    return 'no repository';
  }
}

const options = {
  seeds: { type: 'string', default: '2000' },
  first: { type: 'string', default: '1' },
  threads: { type: 'string', default: String(availableParallelism()) },
  mutant: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;
let values: ReturnType<typeof parseArgs<{ options: typeof options }>>['values'];
try {
  ({ values } = parseArgs({ options }));
} catch (error) {
  wrong(error instanceof Error ? error.message : String(error));
}
if (values.help) {
  process.stdout.write(`${usage}\n`);
  process.exit(0);
}
const seeds = whole('seeds', values.seeds, 10_000_000);
const first = whole('first', values.first, 2 ** 31);
const threads = whole('threads', values.threads, 256);
if (values.mutant !== undefined && !mutants.includes(values.mutant as Mutant)) wrong(`no mutant "${values.mutant}"`);
const mutant = values.mutant as Mutant | undefined;

const startedMs = performance.now();
const sum = { seeds: 0, forked: 0, takenUp: 0, switchovers: 0, broken: 0 };

function add(tally: Tally): void {
  sum.seeds += tally.seeds;
  sum.forked += tally.forked;
  sum.takenUp += tally.takenUp;
  sum.switchovers += tally.switchovers;
  for (const { seed, violations } of tally.broken) {
    sum.broken++;
    if (sum.broken > 10) continue;
    process.stdout.write(`\nseed ${seed} at commit ${commit()} broke ${violations.length}, the first:\n`);
    for (const violation of violations.slice(0, 3)) process.stdout.write(`  ${violation}\n`);
    const also = mutant === undefined ? '' : ` --mutant '${mutant}'`;
    process.stdout.write(`  again: npm run sim -- --first ${seed} --seeds 1${also}\n`);
  }
  if (process.stdout.isTTY) process.stdout.write(`\r${sum.seeds} of ${seeds} seeds, ${sum.broken} broken `);
}

await Promise.all(
  Array.from({ length: Math.min(threads, seeds) }, (_, index) => {
    const share: Share = { first: first + index, seeds: seeds - index, step: Math.min(threads, seeds), mutant };
    return new Promise<void>((resolve, reject) => {
      const worker = new Worker(new URL('./worker.js', import.meta.url), {
        workerData: share,
        // What lives for one run is garbage soon.
        resourceLimits: { maxYoungGenerationSizeMb: 96 },
      });
      worker.on('message', add);
      worker.on('error', reject);
      worker.on('exit', () => resolve());
    });
  }),
);
const seconds = (performance.now() - startedMs) / 1000;
if (process.stdout.isTTY) process.stdout.write('\r');
process.stdout.write(
  `${sum.seeds} seeds in ${seconds.toFixed(1)} s (${((seconds * 1000) / sum.seeds).toFixed(1)} ms each): ` +
    `${sum.broken} broken, ${sum.forked} with a fork, ${sum.takenUp} actors taken up, ${sum.switchovers} switchovers\n`,
);
process.exitCode = sum.broken > 0 ? 1 : 0;
