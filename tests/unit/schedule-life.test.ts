import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { rosterAddress, scheduleId, taskOfOccurrence, taskOfTrigger } from '../../actors/schedule/address.ts';
import { measureSchedule } from '../../actors/schedule/measure.ts';
import { limits } from '../../config/limits.ts';
import { isId } from '../../runtime/protocol/ids.ts';
import { ScheduleLife } from '../support/schedulelife.ts';

const noon = '2026-01-01T12:00:00.000Z';
const minutely = { cron: '* * * * *' };
const time = (text: string): number => Date.parse(text);

describe('a schedule', () => {
  test('asks its roster first, and has no clock before it is admitted', () => {
    const life = new ScheduleLife(minutely, noon);
    expect(life.effects).toEqual([]);
    expect(life.state).toBe('active');
    expect(life.due).toBe(time('2026-01-01T12:01:00Z'));
  });

  test('submits the task of its template at each nominal time, and wants to hear how it ends', () => {
    const life = new ScheduleLife(minutely, noon);
    life.ring();
    const to = `task/${life.tasks[0]}`;
    expect(life.effects).toEqual([
      {
        kind: 'spawn',
        to,
        input: {
          type: 'echo',
          parameters: {},
          priority: 0,
          schedule: { id: life.id, at: time('2026-01-01T12:01:00Z') },
        },
      },
      { kind: 'send', to, event: { type: 'await', child: `schedule/${life.id}` } },
    ]);
    expect(life.context).toMatchObject({ started: 1, running: life.tasks, nextAt: time('2026-01-01T12:02:00Z') });
    life.end(life.tasks[0]!, '2026-01-01T12:01:30Z', 'parked');
    expect(life.context).toMatchObject({
      running: [],
      recent: [{ task: life.tasks[0], status: 'parked', cause: 'clock' }],
    });
    // Redriven by an operator, it comes to another end.
    life.end(life.tasks[0]!, '2026-01-01T12:01:50Z');
    expect(life.context.recent[0]!.status).toBe('succeeded');
    expect(life.decide({ type: 'parent', task: life.tasks[0], status: 'succeeded' }, time(noon)).outcome).toBe(
      'refused',
    );
  });

  test('pause stops the clock; resume goes on with the next time and makes nothing up', () => {
    const life = new ScheduleLife({ ...minutely, catch_up: 'all' }, noon);
    life.tell({ type: 'pause' }, '2026-01-01T12:00:10Z', 'command');
    expect([life.state, life.due]).toEqual(['paused', undefined]);
    life.tell({ type: 'trigger' }, '2026-01-01T12:30:00Z', 'command');
    life.tell({ type: 'resume' }, '2026-01-01T13:00:30Z', 'command');
    expect(life.due).toBe(time('2026-01-01T13:01:00Z'));
    expect(life.context).toMatchObject({ started: 1, triggered: 1, missed: 0 });
  });

  test('an update clears what it lacks, waits for the new time, and a paused one stays paused', () => {
    const life = new ScheduleLife({ ...minutely, end_at: '2026-01-01T12:01:00Z' }, noon);
    expect(life.state).toBe('ended');
    const update = { type: 'update', task_shard: 1, task: { type: 'other' }, interval_ms: 5_000 };
    life.tell(update, '2026-01-01T12:00:30Z', 'command');
    expect(life.context).not.toHaveProperty('cron');
    expect([life.state, life.due]).toEqual(['active', time('2026-01-01T12:00:35Z')]);
    life.tell({ type: 'pause' }, '2026-01-01T12:00:31Z', 'command');
    life.tell(update, '2026-01-01T12:00:32Z', 'command');
    expect([life.state, life.due, life.context.nextAt]).toEqual(['paused', undefined, undefined]);
    life.tell({ type: 'resume' }, '2026-01-01T12:00:33Z', 'command');
    expect(life.due).toBe(time('2026-01-01T12:00:35Z'));
  });

  test('ends with its last time, can still be triggered, and leaves the roster when it is removed', () => {
    const life = new ScheduleLife(
      { ...minutely, start_at: '2026-01-01T13:00:00Z', end_at: '2026-01-01T13:02:00Z' },
      noon,
    );
    life.ring();
    life.end(life.tasks[0]!, '2026-01-01T13:00:10Z');
    life.ring();
    life.end(life.tasks[1]!, '2026-01-01T13:01:10Z');
    expect(life.times).toEqual(['2026-01-01T13:00:00.000Z', '2026-01-01T13:01:00.000Z']);
    expect([life.state, life.due]).toEqual(['ended', undefined]);
    life.tell({ type: 'trigger' }, '2026-01-02T00:00:00Z', 'command');
    life.tell({ type: 'remove' }, '2026-01-02T00:00:01Z', 'command');
    expect(life.state).toBe('removed');
    expect(life.effects.at(-1)).toMatchObject({ event: { type: 'leave', schedule: `schedule/${life.id}` } });
  });

  test('remembers its latest runs only', () => {
    const life = new ScheduleLife({ ...minutely, overlap: 'allow' }, noon);
    for (let count = 0; count < limits.scheduleRecentMax + 5; count++) life.ring();
    expect(life.context.recent).toHaveLength(limits.scheduleRecentMax);
    expect(life.context.recent[0]!.task).toBe(life.tasks.at(-1));
  });
});

describe('ids', () => {
  test('a name is its tenant’s: no two of 20,000 tenants share an id or a roster', () => {
    const ids = Array.from({ length: 20_000 }, (_, index) => scheduleId('nightly', `tenant-${index}`, 1));
    expect(new Set(ids).size).toBe(ids.length);
    const [none, some] = [scheduleId('nightly', undefined, 16), scheduleId('nightly', 'acme', 16)];
    expect([none.replace(/^s-\d+-/, ''), isId(some)]).toEqual(['nightly', true]);
    expect(rosterAddress(none, undefined)).not.toBe(rosterAddress(some, 'acme'));
  });

  test('the longest name of a tenant leaves room for its tasks', () => {
    const id = scheduleId('n'.repeat(limits.scheduleNameLengthMax), 'x'.repeat(128), 1_024);
    expect(isId(taskOfOccurrence(id, 1_023, Date.parse('9999-12-31T23:59:59Z')))).toBe(true);
    expect(isId(taskOfTrigger(id, 1_023, Date.parse('9999-12-31T23:59:59Z'), 1e12))).toBe(true);
  });
});

describe('overlap', () => {
  const twice = (overlap: string, more: object = {}): ScheduleLife => {
    const life = new ScheduleLife({ ...minutely, overlap, ...more }, noon);
    life.ring();
    life.ring();
    return life;
  };

  test('skip leaves the run out, and a trigger is refused by name', () => {
    const life = twice('skip');
    expect([life.tasks.length, life.context.skipped]).toEqual([1, 1]);
    expect(life.decide({ type: 'trigger' }, time(noon), 'command')).toMatchObject({
      outcome: 'refused',
      reason: 'overlap',
      legal: ['pause', 'remove', 'trigger', 'update'],
    });
  });

  test('queue keeps as many as it may and starts them one after the other', () => {
    const life = twice('queue', { queue_max: 2 });
    life.ring();
    life.ring();
    expect([life.tasks.length, life.context.waiting.length, life.context.skipped]).toEqual([1, 2, 1]);
    life.end(life.tasks[0]!, '2026-01-01T12:10:00Z');
    expect(life.context).toMatchObject({ running: [life.tasks[1]], started: 2 });
    life.end(life.tasks[1]!, '2026-01-01T12:11:00Z', 'cancelled');
    expect(life.times).toEqual(['2026-01-01T12:01:00.000Z', '2026-01-01T12:02:00.000Z', '2026-01-01T12:03:00.000Z']);
    life.ring('2026-01-01T12:11:01Z');
    life.tell({ type: 'pause' }, '2026-01-01T12:11:02Z', 'command');
    expect(life.context.waiting).toEqual([]);
  });

  test('triggers that wait are as many tasks', () => {
    const life = new ScheduleLife({ ...minutely, overlap: 'queue', queue_max: 3 }, noon);
    for (let count = 0; count < 3; count++) life.tell({ type: 'trigger' }, noon, 'command');
    life.end(life.tasks[0]!, noon);
    life.end(life.tasks[1]!, noon);
    expect(new Set(life.tasks).size).toBe(3);
  });

  test('allow starts all of them, up to the bound', () => {
    const life = twice('allow');
    expect(life.context.running).toEqual(life.tasks);
    while (life.tasks.length < limits.scheduleRunningMax) life.ring();
    life.ring();
    expect([life.tasks.length, life.context.skipped]).toEqual([limits.scheduleRunningMax, 1]);
  });

  test('replace cancels the one that runs, and the new one waits until it has stopped', () => {
    const life = twice('replace');
    const [first, second] = life.tasks;
    expect(life.effects).toContainEqual({
      kind: 'send',
      to: `task/${first}`,
      event: { type: 'cancel', reason: `replaced by ${second}` },
    });
    expect(life.effects).toContainEqual(
      expect.objectContaining({
        kind: 'spawn',
        to: `task/${second}`,
        input: expect.objectContaining({ depends_on: [first], on_failure: 'run' }),
      }),
    );
  });
});

describe('catching up', () => {
  const late = (body: object, at: string): ScheduleLife => {
    const life = new ScheduleLife({ ...minutely, overlap: 'allow', ...body }, noon);
    life.ring(at);
    return life;
  };

  test.each([
    ['last', {}, ['12:08']],
    ['all', {}, ['12:01', '12:02', '12:03', '12:04', '12:05', '12:06', '12:07', '12:08']],
    ['all', { catch_up_max: 3 }, ['12:06', '12:07', '12:08']],
    ['all', { catch_up_window_ms: 150_000, cron: '*/2 * * * *' }, ['12:06', '12:08']],
    ['last', { catch_up_window_ms: 29_999 }, []],
    ['last', { catch_up_window_ms: 30_000 }, ['12:08']],
  ])('%s %o', (catch_up, more, expected) => {
    const life = late({ catch_up, ...more }, '2026-01-01T12:08:30Z');
    expect(life.times.map((text) => text.slice(11, 16))).toEqual(expected);
  });

  test('none leaves everything out that is later than a take-over takes', () => {
    const life = late({ catch_up: 'none', cron: '0 * * * *' }, '2026-01-01T13:01:01Z');
    expect(life.times).toEqual([]);
    expect(life.context).toMatchObject({ missed: 1, nextAt: time('2026-01-01T14:00:00Z') });
    const punctual = late({ catch_up: 'none', cron: '0 * * * *' }, '2026-01-01T13:01:00Z');
    expect(punctual.times).toEqual(['2026-01-01T13:00:00.000Z']);
  });

  test('what was made up says so, what was missed is counted', () => {
    const life = late({ catch_up: 'all', catch_up_max: 2 }, '2026-01-01T12:05:30Z');
    expect(life.context.recent.map(({ cause }) => cause)).toEqual(['clock', 'catch_up']);
    expect(life.context.missed).toBe(3);
  });

  test('of a month without a process the seconds are not counted one by one', () => {
    const life = late({ catch_up: 'all', catch_up_max: 100, cron: '* * * * * *' }, '2026-02-01T12:00:00Z');
    expect(life.tasks).toHaveLength(100);
    expect(life.times.at(-1)).toBe('2026-02-01T12:00:00.000Z');
    expect(life.times[0]).toBe('2026-02-01T11:58:21.000Z');
    expect(life.due).toBe(time('2026-02-01T12:00:01Z'));
  });
});

test('measures: what started, what was left out, and how late it was', () => {
  const life = new ScheduleLife({ ...minutely, overlap: 'queue' }, noon);
  const measured = (act: () => void) => {
    const before = life.context;
    act();
    return measureSchedule(before as never, life.context as never);
  };
  expect(measured(() => life.ring('2026-01-01T12:03:30Z'))).toEqual([
    { name: 'started', value: 1 },
    { name: 'missed', value: 2 },
    { name: 'late_seconds', value: 30 },
  ]);
  expect(measured(() => life.ring())).toEqual([]);
  expect(measured(() => life.ring())).toEqual([{ name: 'skipped', value: 1 }]);
  expect(measured(() => life.end(life.tasks[0]!, '2026-01-01T12:10:00Z'))).toEqual([
    { name: 'started', value: 1 },
    { name: 'late_seconds', value: 360 },
  ]);
  expect(measured(() => life.tell({ type: 'pause' }, '2026-01-01T12:10:01Z', 'command'))).toEqual([]);
});

test('jitter is late by the same for the same time, and never early', () => {
  const body = { cron: '*/5 * * * *', jitter_ms: 60_000, overlap: 'allow' };
  const [one, two] = [new ScheduleLife(body, noon), new ScheduleLife(body, noon)];
  const delays: number[] = [];
  for (let count = 0; count < 50; count++) {
    expect(one.due).toBe(two.due);
    delays.push(one.due! - one.context.nextAt!);
    one.ring();
    two.ring();
  }
  expect(Math.min(...delays)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...delays)).toBeLessThanOrEqual(60_000);
  expect(new Set(delays).size).toBeGreaterThan(40);
  expect(one.times.map((text) => text.slice(17))).toEqual(one.times.map(() => '00.000Z'));
});

test('property: whatever happens to it, no occurrence has two tasks, and counts add up', () => {
  const bodies = [
    { cron: '*/7 * * * * *' },
    { cron: '30 2 * * *', timezone: 'Europe/Berlin' },
    { interval_ms: 13_000, jitter_ms: 30_000 },
    { cron: '0 */3 * * *', timezone: 'America/New_York', end_at: '2026-04-01T00:00:00Z' },
  ];
  fc.assert(
    fc.property(
      fc.constantFrom(...bodies),
      fc.constantFrom('skip', 'queue', 'allow', 'replace'),
      fc.constantFrom('none', 'last', 'all'),
      fc.array(
        fc.tuple(fc.constantFrom('ring', 'late', 'end', 'pause', 'resume', 'trigger', 'update'), fc.nat(200_000_000)),
        {
          maxLength: 40,
        },
      ),
      (body, overlap, catch_up, deeds) => {
        const life = new ScheduleLife({ ...body, overlap, catch_up, queue_max: 2 }, '2026-03-20T12:00:00Z');
        let now = time('2026-03-20T12:00:00Z');
        for (const [deed, pause] of deeds) {
          if (deed === 'ring' || deed === 'late') {
            if (life.due === undefined) continue;
            now = Math.max(now, life.due) + (deed === 'late' ? pause : 0);
            life.ring(now);
            continue;
          }
          now += pause % 1_000;
          const event =
            deed === 'end'
              ? { type: 'parent', task: life.context.running[0] ?? 'none', status: 'succeeded' }
              : deed === 'update'
                ? { type: 'update', task_shard: 1, task: { type: 'echo' }, overlap, ...body }
                : { type: deed };
          // Refused where it is not legal, and then nothing changes.
          life.decide(event, now, deed === 'end' ? 'actor' : 'command');
        }
        const { context, tasks, effects } = life;
        expect(new Set(tasks).size).toBe(tasks.length);
        expect(context.started).toBe(tasks.length);
        expect(context.running.every((task) => tasks.includes(task))).toBe(true);
        expect(effects.filter(({ kind }) => kind === 'spawn')).toHaveLength(tasks.length);
        if (overlap === 'skip' || overlap === 'queue') expect(context.running.length).toBeLessThanOrEqual(1);
        expect(context.waiting.length).toBeLessThanOrEqual(overlap === 'queue' ? 2 : 0);
      },
    ),
    { numRuns: 150 },
  );
});
