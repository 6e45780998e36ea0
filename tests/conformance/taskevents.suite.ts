/** A task's row after each event of its machine, and an agent's after each registration. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { JournalRecord } from '../../runtime/protocol/journal.ts';
import type { JsonObject } from '../../runtime/protocol/json.ts';
import type { TaskRow } from '../../runtime/readmodel.ts';
import { Feed, recordOf, submitted, type ProjectionBed } from './projectionbed.ts';

const held = (state: string) => ({ open: { held: state } });
const attempt = { token: 's', agent: 'a-0-x' };

/** Event, the state it leads to, and what the row says after it beside status, revision and time. */
const events: readonly [
  name: string,
  event: JsonObject & { type: string },
  state: JournalRecord['state'],
  row: Partial<TaskRow>,
][] = [
  [
    'assign',
    { type: 'assign', ...attempt, attempt: 3 },
    held('assigned'),
    { status: 'assigned', agent: 'a-0-x', attempt: 3 },
  ],
  ['start', { type: 'start', ...attempt }, held('running'), { status: 'running', startedAt: 2_000 }],
  [
    'progress',
    { type: 'progress', ...attempt, progress: 0.25 },
    held('running'),
    { status: 'running', progress: 0.25 },
  ],
  ['a note', { type: 'progress', ...attempt, note: 'x' }, held('running'), { status: 'running', progress: null }],
  [
    'complete',
    { type: 'complete', ...attempt, result: [1, null] },
    'succeeded',
    { status: 'succeeded', result: [1, null], finishedAt: 2_000 },
  ],
  [
    'complete with null',
    { type: 'complete', ...attempt, result: null },
    'succeeded',
    { status: 'succeeded', result: null, finishedAt: 2_000 },
  ],
  [
    'complete with a text',
    { type: 'complete', ...attempt, result: 'a "b" \\ {c}' },
    'succeeded',
    { status: 'succeeded', result: 'a "b" \\ {c}', finishedAt: 2_000 },
  ],
  [
    'fail, to retry',
    { type: 'fail', ...attempt, error: { message: 'm', code: 'C' }, retryable: true },
    { open: 'retrying' },
    { status: 'retrying', reason: 'failed', error: { message: 'm', code: 'C' } },
  ],
  [
    'fail, for good',
    { type: 'fail', ...attempt, error: { message: 'm' }, retryable: false },
    'parked',
    { status: 'parked', reason: 'failed', error: { message: 'm' } },
  ],
  [
    'revoke',
    { type: 'revoke', agent: 'a-0-x', reason: 'agent_lost' },
    { open: 'queued' },
    { status: 'queued', reason: 'agent_lost' },
  ],
  ['cancel', { type: 'cancel' }, 'cancelled', { status: 'cancelled', reason: 'cancelled', finishedAt: 2_000 }],
  [
    'cancel with a reason',
    { type: 'cancel', reason: 'why' },
    held('cancelling'),
    { status: 'cancelling', reason: 'why' },
  ],
  ['cancelled', { type: 'cancelled', ...attempt }, 'cancelled', { status: 'cancelled', finishedAt: 2_000 }],
  ['overdue', { type: 'overdue' }, { open: 'retrying' }, { status: 'retrying', reason: 'heartbeat' }],
  [
    'the end of an attempt',
    { type: 'xstate.after.startToClose.task.open.held.running' },
    { open: 'retrying' },
    { status: 'retrying', reason: 'start_to_close' },
  ],
  [
    'the end of waiting',
    { type: 'xstate.after.scheduleToStart.task.open' },
    'expired',
    { status: 'expired', reason: 'schedule_to_start', finishedAt: 2_000 },
  ],
  [
    'the end of all',
    { type: 'xstate.after.scheduleToClose.task.open' },
    'expired',
    { status: 'expired', reason: 'schedule_to_close', finishedAt: 2_000 },
  ],
  [
    'an assignment not taken',
    { type: 'xstate.after.assigned.task.open.held.assigned' },
    { open: 'queued' },
    { status: 'queued', reason: 'not_started' },
  ],
];

export function taskEventsSuite(bed: () => ProjectionBed): void {
  let shard = 100;
  let feed: Feed;
  beforeEach(() => {
    feed = new Feed(bed().store, ++shard);
  });

  describe('the row of a task', () => {
    test.each(events)('after %s', async (_name, event, state, changes) => {
      const { model } = bed();
      const task = `t-${shard}-a`;
      await feed.apply(feed.entry(1_000, [submitted(task, { tenant: 'acme', priority: -2 })]));
      const before = await model.task(task);
      expect(before).toMatchObject({ status: 'queued', tenant: 'acme', priority: -2, attempt: 0, createdAt: 1_000 });
      await feed.apply(feed.entry(2_000, [recordOf(`task/${task}`, 2, state, { event })]));
      expect(await model.task(task)).toEqual({ ...before, revision: 2, updatedAt: 2_000, ...changes });
    });

    test('after a release it is queued again, and keeps who had it', async () => {
      const { model } = bed();
      const task = `t-${shard}-a`;
      const assigned = recordOf(`task/${task}`, 2, held('assigned'), {
        event: { type: 'assign', ...attempt, attempt: 1 },
      });
      const released = recordOf(`task/${task}`, 3, { open: 'queued' }, { event: { type: 'release', ...attempt } });
      await feed.apply(feed.entry(1_000, [submitted(task), assigned, released]));
      expect(await model.task(task)).toMatchObject({ status: 'queued', agent: 'a-0-x', attempt: 1, revision: 3 });
    });

    test('after a redrive, with other parameters or the same', async () => {
      const { model } = bed();
      const task = `t-${shard}-a`;
      const parked = recordOf(`task/${task}`, 2, 'parked', {
        event: { type: 'fail', ...attempt, error: { message: 'm' } },
      });
      await feed.apply(feed.entry(1_000, [submitted(task)]), feed.entry(1_500, [parked]));
      await feed.apply(
        feed.entry(2_000, [recordOf(`task/${task}`, 3, { open: 'queued' }, { event: { type: 'redrive' } })]),
      );
      const fresh = { status: 'queued', error: null, reason: null, result: null, startedAt: null, finishedAt: null };
      expect(await model.task(task)).toMatchObject({ ...fresh, parameters: { a: 1 } });
      const other = { type: 'redrive', parameters: { b: [2] } };
      await feed.apply(feed.entry(3_000, [recordOf(`task/${task}`, 4, { open: 'queued' }, { event: other })]));
      expect(await model.task(task)).toMatchObject({ ...fresh, parameters: { b: [2] } });
    });
  });

  describe('the row of an agent', () => {
    const registration = {
      type: 'echo',
      capabilities: ['b', 'a'],
      labels: { zone: 'x', cores: 4 },
      slots: 3,
      version: '1.2',
      max_agents: 10,
    };
    const idle = { present: { availability: 'idle', presence: 'well' } };

    test.each([
      ['in one batch', true],
      ['in two', false],
    ])('counts its generations, %s', async (_name, together) => {
      const { model } = bed();
      const id = `a-${shard}-one`;
      const again = { ...registration, slots: 1, capabilities: [], labels: {} };
      const first = feed.entry(1_000, [recordOf(`agent/${id}`, 1, 'registering', { input: registration })]);
      const second = feed.entry(2_000, [
        recordOf(`agent/${id}`, 2, idle, { event: { type: 'admitted' } }),
        recordOf(`agent/${id}`, 3, 'registering', { input: again }),
        recordOf(`agent/${id}`, 4, idle, { event: { type: 'admitted' } }),
      ]);
      if (together) await feed.apply(first, second);
      else {
        await feed.apply(first);
        expect(await model.agent(id)).toEqual({
          id,
          type: 'echo',
          status: 'REGISTERING',
          capabilities: ['b', 'a'],
          labels: { zone: 'x', cores: 4 },
          slots: 3,
          version: '1.2',
          generation: 1,
          reason: null,
          registeredAt: 1_000,
          updatedAt: 1_000,
          revision: 1,
        });
        await feed.apply(second);
      }
      expect(await model.agent(id)).toEqual({
        id,
        type: 'echo',
        status: 'IDLE',
        capabilities: [],
        labels: {},
        slots: 1,
        version: '1.2',
        generation: 2,
        reason: null,
        registeredAt: 2_000,
        updatedAt: 2_000,
        revision: 4,
      });
    });

    test('keeps why it was rejected until it registers again', async () => {
      const { model } = bed();
      const id = `a-${shard}-one`;
      const rejected = recordOf(`agent/${id}`, 2, 'retired', {
        event: { type: 'rejected', reason: 'too-many-agents' },
      });
      await feed.apply(
        feed.entry(1_000, [recordOf(`agent/${id}`, 1, 'registering', { input: registration }), rejected]),
      );
      expect(await model.agent(id)).toMatchObject({ status: 'RETIRED', reason: 'too-many-agents', generation: 1 });
      await feed.apply(feed.entry(2_000, [recordOf(`agent/${id}`, 3, 'registering', { input: registration })]));
      expect(await model.agent(id)).toMatchObject({ status: 'REGISTERING', reason: null, generation: 2 });
    });

    test('begins anew when the actor does', async () => {
      const { model } = bed();
      const id = `a-${shard}-one`;
      const born = () => recordOf(`agent/${id}`, 1, 'registering', { input: registration });
      await feed.apply(feed.entry(1_000, [born(), recordOf(`agent/${id}`, 2, 'registering', { input: registration })]));
      await feed.apply(feed.entry(2_000, [recordOf(`agent/${id}`, 3, 'lost', {}), born()]));
      expect(await model.agent(id)).toMatchObject({ generation: 1, revision: 1, registeredAt: 2_000 });
    });
  });
}
