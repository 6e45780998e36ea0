/**
 * A task, from submit to its end.
 *
 * queued -> assigned -> running -> succeeded, with retrying between attempts, cancelling while an agent is asked to stop,
 * parked when attempts are used up and an operator decides, expired when a deadline passed. Every report of an agent must
 * quote the token of the present attempt; another token changes nothing (R4).
 */
import { and } from 'xstate';
import type { Json } from '../../runtime/protocol/json.ts';
import { cancelMessage, handOver, letGo, taskDefaults, type TaskContext } from './attempt.ts';
import { withDemand } from './demand.ts';
import type { RetryPolicy, TaskEvent } from './events.ts';
import { awaits, parentNews, startOf, tellChildren } from './start.ts';
import { vocabulary } from './vocabulary.ts';

const because = (reason: string) => ({ type: 'because' as const, params: { reason } });

const cancelBy = {
  type: 'because' as const,
  params: ({ event }: { event: TaskEvent }) => ({
    reason: (event.type === 'cancel' ? event.reason : undefined) ?? 'cancelled',
  }),
};

const told = (status: 'succeeded' | 'cancelled' | 'expired' | 'parked') =>
  ({
    type: 'effects',
    params: ({ context, event }: { context: TaskContext; event: TaskEvent }) => ({
      list: tellChildren(context, event.self, status, status === 'succeeded' ? context.result : undefined),
    }),
  }) as const;

const answerChild = (status: 'parked' | 'crowded') =>
  ({
    type: 'effects',
    params: ({ event }: { event: TaskEvent }) => ({
      list: event.type === 'await' ? [parentNews(event.child, event.self, status)] : [],
    }),
  }) as const;

/** What takes it out of wherever it waits. */
const waitingEvents = {
  cancel: { target: '#task.cancelled', actions: cancelBy },
  pause: { target: '#task.open.paused' },
} as const;

/** The clock ended the attempt: once more later, or parked. */
const timedOut = (reason: string) =>
  [
    { guard: 'worthRetrying', target: '#task.open.retrying', actions: ['countFailure', because(reason)] },
    { target: '#task.parked', actions: ['countFailure', because(reason)] },
  ] as const;

/** The end that a branch of history came to which is not the current one: clients were told, so it stands. */
const settle = [
  { guard: 'settledSucceeded', target: '#task.succeeded', actions: 'adopt' },
  { guard: 'settledCancelled', target: '#task.cancelled', actions: 'adopt' },
  { guard: 'settledExpired', target: '#task.expired', actions: 'adopt' },
] as const;

/** What may happen to an attempt whether it has started or not. */
const attemptEvents = {
  fail: [
    {
      guard: and(['current', 'worthRetrying']),
      target: '#task.open.retrying',
      actions: ['keepError', 'countFailure', because('failed')],
    },
    { guard: 'current', target: '#task.parked', actions: ['keepError', 'countFailure', because('failed')] },
  ],
  release: [
    {
      guard: and(['current', 'mayRelease']),
      target: '#task.open.queued',
      actions: ['enqueue', 'countRelease', because('released')],
    },
    { guard: 'current', target: '#task.parked', actions: ['countRelease', because('released')] },
  ],
  revoke: [
    {
      guard: and(['holder', 'mayLose']),
      target: '#task.open.queued',
      actions: ['enqueue', 'countLoss', because('agent_lost')],
    },
    { guard: 'holder', target: '#task.parked', actions: ['countLoss', because('poison')] },
  ],
  cancel: {
    target: '#task.open.held.cancelling',
    actions: [
      cancelBy,
      {
        type: 'effects',
        params: ({ context, event }: { context: TaskContext; event: TaskEvent }) => ({
          list: [cancelMessage(context, event.self, 'cancelled')],
        }),
      },
    ],
  },
} as const;

export const taskMachine = vocabulary.createMachine({
  id: 'task',
  meta: {
    merge: {
      told: ['parked'],
      precedence: ['succeeded', 'cancelled', 'expired'],
      settle: { event: 'settle', carries: ['result', 'error', 'reason'] },
      fields: { attempt: 'max', createdAt: 'min' },
    },
  },
  context: ({ input }) => ({
    type: input.type,
    parameters: input.parameters as Json,
    priority: input.priority,
    ...(input.tenant !== undefined && { tenant: input.tenant }),
    ...(input.fingerprint !== undefined && { fingerprint: input.fingerprint }),
    ...(input.retry !== undefined && { retry: input.retry as Partial<RetryPolicy> }),
    ...(input.timeouts !== undefined && { timeouts: input.timeouts }),
    ...(input.cancel_grace_ms !== undefined && { cancelGraceMs: input.cancel_grace_ms }),
    ...(input.keep_ms !== undefined && input.keep_ms !== taskDefaults.retentionMs && { keepMs: input.keep_ms }),
    ...(input.traceparent !== undefined && { traceparent: input.traceparent }),
    ...(input.claim !== undefined && { claim: input.claim }),
    ...(input.schedule !== undefined && { schedule: input.schedule }),
    ...withDemand(input),
    ...startOf(input),
    createdAt: input.at,
    queuedAt: input.at,
    attempt: 0,
    failures: 0,
    losses: 0,
  }),
  entry: 'reconsider',
  initial: 'open',
  states: {
    open: {
      initial: 'queued',
      on: {
        settle,
        await: [{ guard: 'roomForChild', actions: 'noteChild' }, { actions: answerChild('crowded') }],
        parent: { guard: 'knownParent', actions: 'noteParent' },
      },
      after: { scheduleToClose: { target: 'expired', actions: because('schedule_to_close') } },
      states: {
        queued: {
          on: {
            assign: { guard: 'next', target: 'held', actions: 'take' },
            ...waitingEvents,
            delay: 'scheduled',
            block: 'blocked',
            skip: { target: '#task.cancelled', actions: because('parent_failed') },
            park: { target: '#task.parked', actions: because('parent_failed') },
          },
          after: { scheduleToStart: { target: '#task.expired', actions: because('schedule_to_start') } },
        },
        scheduled: {
          on: waitingEvents,
          after: { runAt: { target: 'queued', actions: 'mature' } },
        },
        blocked: {
          entry: { type: 'effects', params: ({ context, event }) => ({ list: awaits(context, event.self) }) },
          on: {
            ...waitingEvents,
            parent: [
              { guard: and(['knownParent', 'stillBlocked']), actions: 'noteParent' },
              { guard: 'knownParent', target: 'queued', actions: ['noteParent', 'mature', 'reconsider'] },
            ],
          },
        },
        paused: {
          on: {
            cancel: waitingEvents.cancel,
            resume: { target: 'queued', actions: ['enqueue', 'reconsider'] },
          },
        },
        held: {
          entry: { type: 'effects', params: ({ context, event }) => ({ list: handOver(context, event) }) },
          exit: [{ type: 'effects', params: ({ context, event }) => ({ list: letGo(context, event) }) }, 'forget'],
          on: { complete: { guard: 'current', target: '#task.succeeded', actions: 'keepResult' } },
          initial: 'assigned',
          states: {
            assigned: {
              on: {
                ...attemptEvents,
                start: { guard: 'current', target: 'running' },
                progress: { guard: 'current', target: 'running', actions: 'report' },
                chunk: { guard: 'nextChunk', target: 'running', actions: 'stream' },
              },
              after: { assigned: timedOut('not_started') },
            },
            running: {
              entry: ['begin', 'watch'],
              exit: 'unwatch',
              on: {
                ...attemptEvents,
                progress: { guard: 'current', actions: ['report', 'watch'] },
                chunk: { guard: 'nextChunk', actions: ['stream', 'watch'] },
                beat: { guard: 'current', actions: 'watch' },
                overdue: timedOut('heartbeat'),
              },
              after: { startToClose: timedOut('start_to_close') },
            },
            cancelling: {
              on: {
                // What was on its way when the cancel came.
                chunk: { guard: 'nextChunk', actions: 'stream' },
                cancelled: { guard: 'current', target: '#task.cancelled' },
                release: { guard: 'current', target: '#task.cancelled' },
                fail: { guard: 'current', target: '#task.cancelled', actions: 'keepError' },
                revoke: { guard: 'holder', target: '#task.cancelled' },
              },
              after: { cancelGrace: { target: '#task.cancelled' } },
            },
          },
        },
        retrying: {
          on: waitingEvents,
          after: { backoff: { target: 'queued', actions: 'enqueue' } },
        },
      },
    },
    parked: {
      entry: told('parked'),
      on: {
        await: { guard: 'roomForChild', actions: ['noteChild', answerChild('parked')] },
        redrive: { target: 'open', actions: 'reopen' },
        cancel: { target: 'cancelled', actions: cancelBy },
        settle,
      },
    },
    succeeded: { type: 'final', entry: ['finish', told('succeeded')] },
    cancelled: { type: 'final', entry: ['finish', told('cancelled')] },
    expired: { type: 'final', entry: ['finish', told('expired')] },
  },
});
