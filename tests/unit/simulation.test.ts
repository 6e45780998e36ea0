import { expect, test } from 'vitest';
import { mutants } from '../simulation/mutant.ts';
import { simulate, type Verdict } from '../simulation/run.ts';

const seeds = Number(process.env['SIMULATION_SEEDS'] ?? 6);
const first = Number(process.env['TEST_SEED'] ?? 1);

test('I1 to I7, I9, I11 and I14 hold through crashes, pauses, cuts and set clocks', { timeout: 600_000 }, () => {
  let forked = 0;
  const broken: Verdict[] = [];
  for (let seed = first; seed < first + seeds; seed++) {
    const verdict = simulate(seed);
    if (verdict.forked) forked++;
    if (verdict.violations.length > 0) broken.push(verdict);
  }
  expect(broken.map(({ seed, violations }) => `TEST_SEED=${seed}: ${violations.slice(0, 3).join('; ')}`)).toEqual([]);
  // A run in which nothing ever forked would have proved nothing.
  if (seeds >= 6) expect(forked).toBeGreaterThan(0);
});

test('the same seed gives the same history', () => {
  expect(simulate(7)).toEqual(simulate(7));
});

test.each(mutants)('a build with "%s" is found out', { timeout: 120_000 }, (mutant) => {
  for (let seed = 1; seed <= 20; seed++) if (simulate(seed, mutant).violations.length > 0) return;
  expect.fail(`20 seeds saw nothing of "${mutant}"`);
});
