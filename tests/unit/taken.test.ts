import fc from 'fast-check';
import { expect, test } from 'vitest';
import { limits } from '../../config/limits.ts';
import { noneTaken, take, type Taken } from '../../runtime/core/taken.ts';

test('R1: every number is taken exactly once, in whatever order and however often it comes', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 200 }), (numbers) => {
      let taken: Taken = noneTaken;
      const seen = new Set<number>();
      for (const number of numbers) {
        const next = take(taken, number);
        expect(next === undefined).toBe(seen.has(number));
        seen.add(number);
        taken = next ?? taken;
      }
    }),
  );
});

test('a set without gaps is one number', () => {
  let taken: Taken = noneTaken;
  for (const number of [2, 3, 1, 5, 4]) taken = take(taken, number) ?? taken;
  expect(taken).toBe('5');
  expect(take('17', 20)).toBe('17 20');
});

// Each number is taken into a text of thousands, as it would never be in one go.
test('R12: a number that stays away is given up when the gap is over its limit', { timeout: 120_000 }, () => {
  let taken: Taken = noneTaken;
  for (let number = 2; number <= limits.relayGapEntriesMax + 1; number++) taken = take(taken, number) ?? taken;
  expect(taken.startsWith('0 2 3')).toBe(true);
  taken = take(taken, limits.relayGapEntriesMax + 2) ?? taken;
  expect(taken).toBe(String(limits.relayGapEntriesMax + 2));
});
