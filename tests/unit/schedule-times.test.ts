import { describe, expect, test } from 'vitest';
import { nextNominal, type Timing } from '../../actors/schedule/occurrence.ts';
import { patternProblem } from '../../actors/schedule/pattern.ts';
import { scheduleSchema } from '../../actors/schedule/schema.ts';
import { zoneProblem } from '../../actors/schedule/zone.ts';
import { limits } from '../../config/limits.ts';

const plain: Timing = { timezone: 'UTC', catchUp: 'last', catchUpMax: 10, catchUpWindowMs: 0, createdAt: 0 };

function times(timing: Partial<Timing>, from: string, count: number): string[] {
  const found: string[] = [];
  let at: number | undefined = Date.parse(from);
  while (found.length < count && at !== undefined) {
    at = nextNominal({ ...plain, ...timing }, at);
    if (at !== undefined) found.push(new Date(at).toISOString().replace(':00.000Z', 'Z'));
  }
  return found;
}

/**
 * What cron(8) does where clocks change: a time of day that does not exist comes right after the gap, one that exists
 * twice comes once, at the first; patterns with a wildcard or a step follow the clock on the wall.
 */
describe.each([
  {
    zone: 'Europe/Berlin',
    table: [
      // 29 March 2026: from 02:00 (+1) to 03:00 (+2). 25 October: from 03:00 (+2) back to 02:00 (+1).
      ['30 2 * * *', '2026-03-28T12:00:00Z', ['2026-03-29T01:00Z', '2026-03-30T00:30Z']],
      ['30 2,14 * * *', '2026-03-28T22:00:00Z', ['2026-03-29T01:00Z', '2026-03-29T12:30Z', '2026-03-30T00:30Z']],
      ['30 2 * * *', '2026-10-24T12:00:00Z', ['2026-10-25T00:30Z', '2026-10-26T01:30Z']],
      ['*/20 2 * * *', '2026-03-28T12:00:00Z', ['2026-03-30T00:00Z', '2026-03-30T00:20Z', '2026-03-30T00:40Z']],
      [
        '30 * * * *',
        '2026-10-24T23:00:00Z',
        ['2026-10-24T23:30Z', '2026-10-25T00:30Z', '2026-10-25T01:30Z', '2026-10-25T02:30Z'],
      ],
      ['0 0 * * *', '2026-03-28T12:00:00Z', ['2026-03-28T23:00Z', '2026-03-29T22:00Z']],
    ],
  },
  {
    zone: 'America/New_York',
    table: [
      // 8 March 2026: from 02:00 (-5) to 03:00 (-4). 1 November: from 02:00 (-4) back to 01:00 (-5).
      ['30 2 * * *', '2026-03-07T12:00:00Z', ['2026-03-08T07:00Z', '2026-03-09T06:30Z']],
      ['30 1 * * *', '2026-10-31T12:00:00Z', ['2026-11-01T05:30Z', '2026-11-02T06:30Z']],
      [
        '*/30 1 * * *',
        '2026-10-31T12:00:00Z',
        ['2026-11-01T05:00Z', '2026-11-01T05:30Z', '2026-11-01T06:00Z', '2026-11-01T06:30Z'],
      ],
      ['0 9 * * MON-FRI', '2026-03-06T15:00:00Z', ['2026-03-09T13:00Z', '2026-03-10T13:00Z']],
    ],
  },
  {
    zone: 'Australia/Lord_Howe',
    table: [
      // Half an hour. 4 October 2026: from 02:00 (+10:30) to 02:30 (+11). 5 April: from 02:00 (+11) back to 01:30 (+10:30).
      ['15 2 * * *', '2026-10-02T16:00:00Z', ['2026-10-03T15:30Z', '2026-10-04T15:15Z']],
      ['45 1 * * *', '2026-04-03T16:00:00Z', ['2026-04-04T14:45Z', '2026-04-05T15:15Z']],
      ['*/15 * * * *', '2026-10-03T15:00:00Z', ['2026-10-03T15:15Z', '2026-10-03T15:30Z', '2026-10-03T15:45Z']],
      ['45 * * * *', '2026-04-04T14:00:00Z', ['2026-04-04T14:45Z', '2026-04-04T15:15Z', '2026-04-04T16:15Z']],
    ],
  },
] as { zone: string; table: [cron: string, from: string, expected: string[]][] }[])(
  'daylight saving in $zone',
  ({ zone, table }) => {
    test.each(table)('%s after %s', (cron, from, expected) => {
      expect(times({ cron, timezone: zone }, from, expected.length)).toEqual(expected);
    });
  },
);

describe('times', () => {
  test('six fields have seconds; the time itself is not after itself', () => {
    expect(times({ cron: '*/20 * * * * *' }, '2026-01-01T00:00:00Z', 3)).toEqual([
      '2026-01-01T00:00:20.000Z',
      '2026-01-01T00:00:40.000Z',
      '2026-01-01T00:01Z',
    ]);
  });

  test('start is the first time that counts, end is the first that does not', () => {
    const timing = {
      cron: '0 * * * *',
      startAt: Date.parse('2026-01-01T05:00:00Z'),
      endAt: Date.parse('2026-01-01T07:00:00Z'),
    };
    expect(times(timing, '2026-01-01T00:00:00Z', 9)).toEqual(['2026-01-01T05:00Z', '2026-01-01T06:00Z']);
  });

  test('an interval counts from its start, or from the creation, and knows no zone', () => {
    const startAt = Date.parse('2026-03-29T00:10:00Z');
    const timing = { intervalMs: 1_800_000, startAt, timezone: 'Europe/Berlin' };
    expect(times(timing, '2026-03-28T00:00:00Z', 3)).toEqual([
      '2026-03-29T00:10Z',
      '2026-03-29T00:40Z',
      '2026-03-29T01:10Z',
    ]);
    expect(times(timing, '2026-03-29T00:41:00Z', 1)).toEqual(['2026-03-29T01:10Z']);
    expect(nextNominal({ ...plain, intervalMs: 5_000, createdAt: 1_234 }, 1_234)).toBe(6_234);
    expect(nextNominal({ ...plain, intervalMs: 5_000, createdAt: 1_234 }, 6_234)).toBe(11_234);
  });
});

describe('bad input is named with its place', () => {
  test.each([
    ['* * * *', 'has 4 fields'],
    ['', 'has 0 fields'],
    ['* * * * * * *', 'has 7 fields'],
    ['61 * * * *', 'field 1 (minute) "61"'],
    ['0 0 32 * *', 'field 3 (day of month) "32": is out of range'],
    ['0 0 * 13 *', 'field 4 (month) "13": is out of range'],
    ['0 0 0 * * MOO', 'field 6 (day of week) "MOO"'],
    ['99 0 0 * * *', 'field 1 (second) "99"'],
    ['5-1 * * * *', 'field 1 (minute) "5-1"'],
    ['*/0 * * * *', 'field 1 (minute)'],
    ['0 0 30 2 *', 'never comes'],
    ['0 0 ? * *', 'has "?"'],
    ['@reboot', '@reboot'],
    ['2026-01-01T00:00:00', 'has 1 fields'],
  ])('%s', (pattern, problem) => {
    expect(patternProblem(pattern)).toContain(problem);
  });

  test.each(['* * * * *', '0 9 * * MON-FRI', '@daily', '0 0 29 2 *', '0 0 L * *', ' 5 4 * * sun '])(
    '%s is none',
    (pattern) => {
      expect(patternProblem(pattern)).toBeUndefined();
    },
  );

  test.each([
    ['Europe/Berln', 'did you mean Europe/Berlin?'],
    ['new york', 'did you mean America/New_York?'],
    ['+02:00', 'is no IANA time zone'],
    ['x', 'one is Europe/Berlin'],
  ])('zone %s', (zone, problem) => {
    expect(zoneProblem(zone)).toContain(problem);
  });

  test.each(['UTC', 'europe/berlin', 'Asia/Calcutta'])('zone %s is none', (zone) => {
    expect(zoneProblem(zone)).toBeUndefined();
  });

  test('members that do not go together, and limits on both sides', () => {
    const task = { type: 'echo' };
    const parse = (body: object) => scheduleSchema.safeParse({ name: 'x', task, ...body });
    const issue = (body: object) => {
      const { error } = parse(body);
      return error && `${error.issues[0]!.path.join('.')} ${error.issues[0]!.message}`;
    };
    const cron = '0 * * * *';
    expect(issue({})).toContain('cron is missing');
    expect(issue({ cron, interval_ms: 5_000 })).toContain('interval_ms excludes cron');
    expect(issue({ cron, start_at: '2026-01-01T05:00:00Z', end_at: '2026-01-01T05:00:00Z' })).toContain(
      'end_at is not after',
    );
    expect(issue({ cron, start_at: '2026-01-01T05:01:00Z', end_at: '2026-01-01T06:00:00Z' })).toContain(
      'would never run',
    );
    expect(issue({ cron, task: { type: 'echo', delay_ms: 5 } })).toContain('delay_ms');
    expect(issue({ cron, name: 'x'.repeat(limits.scheduleNameLengthMax) })).toBeUndefined();
    expect(issue({ cron, name: 'x'.repeat(limits.scheduleNameLengthMax + 1) })).toContain('name');
    expect(issue({ interval_ms: limits.scheduleIntervalMinMs })).toBeUndefined();
    expect(issue({ interval_ms: limits.scheduleIntervalMinMs - 1 })).toContain('interval_ms');
    expect(issue({ cron, jitter_ms: limits.scheduleJitterMaxMs })).toBeUndefined();
    expect(issue({ cron, jitter_ms: limits.scheduleJitterMaxMs + 1 })).toContain('jitter_ms');
    expect(issue({ cron, catch_up_max: limits.scheduleCatchUpMax + 1 })).toContain('catch_up_max');
    expect(issue({ cron, queue_max: limits.scheduleQueueMax + 1 })).toContain('queue_max');
    expect(issue({ cron, timezone: 'Nowhere' })).toContain('timezone');
  });
});
