/** Runs seeds in a thread of its own: every n-th of them. */
import { parentPort, workerData } from 'node:worker_threads';
import type { Mutant } from './mutant.ts';
import { simulate, type Verdict } from './run.ts';

export interface Share {
  first: number;
  seeds: number;
  step: number;
  mutant: Mutant | undefined;
}

export interface Tally {
  seeds: number;
  forked: number;
  takenUp: number;
  switchovers: number;
  broken: Verdict[];
}

const { first, seeds, step, mutant } = workerData as Share;
let tally: Tally = { seeds: 0, forked: 0, takenUp: 0, switchovers: 0, broken: [] };
for (let seed = first; seed < first + seeds; seed += step) {
  const verdict = simulate(seed, mutant);
  tally.seeds++;
  if (verdict.takenUp > 0) tally.forked++;
  tally.takenUp += verdict.takenUp;
  tally.switchovers += verdict.switchovers;
  if (verdict.violations.length > 0) tally.broken.push(verdict);
  if (tally.seeds === 100 || tally.broken.length > 0) {
    parentPort!.postMessage(tally);
    tally = { seeds: 0, forked: 0, takenUp: 0, switchovers: 0, broken: [] };
  }
}
parentPort!.postMessage(tally);
