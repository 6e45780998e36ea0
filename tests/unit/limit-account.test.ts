/** The arithmetic of limits: never more than a window has, whatever is drawn, corrected and set. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { corrected, drawn, reset, rolled, type Account } from '../../actors/limit/account.ts';

const blank: Account = { windowAt: 0, used: 0, waiting: {} };

describe('a limit', () => {
  test('hands out no more than its units in any window, and everything that is left when asked for it', () => {
    const draws = fc.array(
      fc.record({ shard: fc.nat(3), least: fc.integer({ min: 1, max: 40 }), more: fc.nat(60), wait: fc.nat(500) }),
      { maxLength: 80 },
    );
    fc.assert(
      fc.property(draws, fc.integer({ min: 1, max: 100 }), (list, units) => {
        let account = reset(blank, units, 1_000, 0);
        let now = 0;
        const granted = new Map<number, number>();
        for (const { shard, least, more, wait } of list) {
          now += wait;
          const had = rolled(account, now);
          const taken = drawn(account, { shard, least, units: least + more }, now);
          account = taken.account;
          const left = units - had.used;
          if (taken.answer.type === 'grant') {
            expect(taken.answer.units).toBe(Math.min(least + more, left));
            expect(taken.answer.untilMs).toBe((Math.floor(now / 1_000) + 1) * 1_000);
            granted.set(account.windowAt, (granted.get(account.windowAt) ?? 0) + taken.answer.units);
          } else expect(taken.answer).toMatchObject({ reason: least > units ? 'too_large' : 'spent', left });
        }
        for (const sum of granted.values()) expect(sum).toBeLessThanOrEqual(units);
      }),
    );
  });

  test('is corrected by what attempts really cost: a refund in its own window, a debt until it is paid', () => {
    let account = drawn(reset(blank, 100, 1_000, 0), { shard: 1, least: 60, units: 60 }, 10).account;
    expect(account.used).toBe(60);
    expect(corrected(account, -20, 10, 900).used).toBe(40);
    expect(corrected(account, -20, 10, 1_100).used).toBe(0);
    account = corrected(account, 190, 10, 900);
    expect(account.used).toBe(250);
    expect(drawn(account, { shard: 1, least: 1, units: 1 }, 950).answer).toMatchObject({ type: 'deny', left: 0 });
    expect([rolled(account, 1_000).used, rolled(account, 2_500).used, rolled(account, 3_000).used]).toEqual([
      150, 50, 0,
    ]);
  });

  test('that nobody set, or that a task can never fit into, says so and remembers who asked', () => {
    expect(drawn(blank, { shard: 2, least: 1, units: 1 }, 5)).toMatchObject({
      account: { waiting: { 2: 1 } },
      answer: { type: 'deny', reason: 'unknown' },
    });
    const set = reset(blank, 10, 1_000, 5);
    expect(drawn(set, { shard: 2, least: 11, units: 11 }, 5).answer).toMatchObject({
      reason: 'too_large',
      ofUnits: 10,
    });
  });

  test('keeps what is handed out when its window gets another length', () => {
    const account = drawn(reset(blank, 10, 1_000, 0), { shard: 0, least: 4, units: 4 }, 0).account;
    expect(reset(account, 10, 5_000, 500)).toMatchObject({ units: 10, windowMs: 5_000, windowAt: 0, used: 4 });
  });
});
