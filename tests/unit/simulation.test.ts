import { expect, test } from 'vitest';
import { mutants } from '../simulation/mutant.ts';
import { simulate, type Verdict } from '../simulation/run.ts';

const seeds = Number(process.env['SIMULATION_SEEDS'] ?? 2_000);
const first = Number(process.env['TEST_SEED'] ?? 1);

test(
  'I1 to I18 hold through crashes, pauses, cuts, set clocks and wrong promotions',
  { timeout: 600_000 },
  async () => {
    let forked = 0;
    let switchovers = 0;
    const broken: Verdict[] = [];
    for (let seed = first; seed < first + seeds; seed++) {
      const verdict = simulate(seed);
      if (verdict.takenUp > 0) forked++;
      switchovers += verdict.switchovers;
      if (verdict.violations.length > 0) broken.push(verdict);
      // The runner of the tests wants to be heard now and then.
      if (seed % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(broken.map(({ seed, violations }) => `TEST_SEED=${seed}: ${violations.slice(0, 3).join('; ')}`)).toEqual([]);
    // Runs in which nothing ever forked or moved would have proved nothing.
    if (seeds < 100) return;
    expect(forked).toBeGreaterThan(seeds / 10);
    expect(switchovers).toBeGreaterThan(seeds / 20);
  },
);

test('the same seed gives the same bytes', () => {
  expect(simulate(7)).toEqual(simulate(7));
});

test.each(mutants)('a build with "%s" is found out', { timeout: 120_000 }, (mutant) => {
  for (let seed = 1; seed <= 100; seed++) if (simulate(seed, mutant).violations.length > 0) return;
  expect.fail(`100 seeds saw nothing of "${mutant}"`);
});
