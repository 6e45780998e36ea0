/** What a task may ask of the dispatcher, and what an agent has left when it holds such tasks. */
import { describe, expect, test } from 'vitest';
import { occupied, released, resourceLeft, slotsInUse } from '../../actors/agent/occupancy.ts';
import { claimOf, withDemand } from '../../actors/task/demand.ts';
import { submitSchema } from '../../actors/task/events.ts';
import { limits } from '../../config/limits.ts';

const parsed = (more: object) => submitSchema.safeParse({ type: 'echo', ...more });

describe('a submit', () => {
  const accepted: [string, object][] = [
    ['a key', { concurrency: { key: 'customer 7/é' } }],
    ['a key of the longest', { concurrency: { key: 'k'.repeat(limits.nameLengthMax), limit: limits.concurrencyMax } }],
    ['limits', { limits: { tokens: 1_200, money: 1 } }],
    [
      'labels',
      {
        requires: {
          labels: [
            { label: 'memory', op: '>=', value: 8 },
            { label: 'zone', op: 'in', value: ['a'] },
          ],
        },
      },
    ],
    ['preferences', { prefers: [{ label: 'zone', value: 'a', weight: -5 }] }],
    ['a claim', { resources: { gpu: 0.5 }, slots: limits.slotsMax }],
  ];
  test.each(accepted)('may have %s', (_what, more) => {
    expect(parsed(more).success).toBe(true);
  });

  const refused: [string, object, RegExp][] = [
    ['a key of 10 kB', { concurrency: { key: 'k'.repeat(10_240) } }, /128/],
    ['a key beyond the longest', { concurrency: { key: 'k'.repeat(limits.nameLengthMax + 1) } }, /128/],
    ['an empty key', { concurrency: { key: '' } }, /1/],
    ['a key with a line break', { concurrency: { key: 'a\nb' } }, /control characters/],
    ['a tenant of 10 kB', { tenant: 't'.repeat(10_240) }, /128/],
    ['a limit of no attempt', { concurrency: { key: 'k', limit: 0 } }, /1/],
    ['a limit beyond the largest', { concurrency: { key: 'k', limit: limits.concurrencyMax + 1 } }, /10000/],
    ['an unknown strategy', { concurrency: { key: 'k', strategy: 'drop' } }, /queue/],
    ['a cost of nothing', { limits: { tokens: 0 } }, /1/],
    ['a cost beyond the largest', { limits: { tokens: limits.limitUnitsMax + 1 } }, /1000000000000/],
    ['a limit with a long name', { limits: { ['t'.repeat(limits.limitNameLengthMax + 1)]: 1 } }, /./],
    [
      'more limits than allowed',
      { limits: Object.fromEntries(Array.from({ length: limits.limitsPerTaskMax + 1 }, (_, n) => [`l${n}`, 1])) },
      /more than 8 limits/,
    ],
    ['an order of texts', { requires: { labels: [{ label: 'zone', op: '<', value: 'b' }] } }, /a number/],
    ['"in" without a list', { requires: { labels: [{ label: 'zone', op: 'in', value: 'b' }] } }, /list/],
    ['"=" with a list', { requires: { labels: [{ label: 'zone', value: ['b'] }] } }, /one value/],
    ['more slots than any agent', { slots: limits.slotsMax + 1 }, /5000/],
    ['less than no resource', { resources: { gpu: -1 } }, /0/],
    ['more of a resource than there may be', { resources: { gpu: limits.resourceUnitsMax * 2 } }, /1000000000000/],
    [
      'more resources than allowed',
      { resources: Object.fromEntries(Array.from({ length: limits.resourcesMax + 1 }, (_, n) => [`r${n}`, 1])) },
      /more than 32 resources/,
    ],
  ];
  test.each(refused)('may not have %s', (_what, more, says) => {
    const result = parsed(more);
    expect(result.success).toBe(false);
    expect(JSON.stringify(result.error?.issues)).toMatch(says);
  });

  test('that asks for nothing has no demand, whatever empty members it has', () => {
    expect(
      withDemand({ limits: {}, requires: { capabilities: [], labels: [] }, prefers: [], resources: {}, slots: 1 }),
    ).toEqual({});
    expect(claimOf(undefined)).toBeUndefined();
    expect(claimOf({ limits: { tokens: 1 } })).toBeUndefined();
    expect(claimOf({ resources: { gpu: 1 } })).toEqual({ slots: 1, resources: { gpu: 1 } });
  });
});

test('R11: what an agent has in use follows from what it holds', () => {
  const agent = { holding: {}, resources: { gpu: 2 } };
  const busy = {
    ...agent,
    ...occupied(
      agent,
      [
        ['t-0-a', 0],
        ['t-0-b', 1, { slots: 3, resources: { gpu: 1.5 } }],
      ],
      7,
    ),
  };
  expect([slotsInUse(busy), resourceLeft(busy, 'gpu'), resourceLeft(busy, 'memory')]).toEqual([4, 0.5, 0]);
  const less = { ...busy, ...released(busy, ['t-0-a', 't-0-never']) };
  expect([slotsInUse(less), resourceLeft(less, 'gpu')]).toEqual([3, 0.5]);
  const free = { ...less, ...released(less, ['t-0-b']) };
  expect([slotsInUse(free), resourceLeft(free, 'gpu'), free.claims]).toEqual([0, 2, undefined]);
});
