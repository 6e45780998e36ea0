/**
 * A task, from submit to its end.
 *
 * queued -> assigned -> running -> succeeded, with retrying between attempts, cancelling while an agent is asked to stop,
 * parked when attempts are used up and an operator decides, expired when a deadline passed. Every report of an agent must
 * quote the token of the present attempt; another token changes nothing (R4).
 */
import { and, assign, cancel, raise, setup } from 'xstate';
import type { Definition } from '../../runtime/core/definition.ts';
import { effectActions } from '../../runtime/core/effect.ts';
import type { MachineEvent } from '../../runtime/protocol/envelope.ts';
import type { Json, JsonObject } from '../../runtime/protocol/json.ts';
import {
  backoffMs,
  cancelMessage,
  handOver,
  letGo,
  mayRetry,
  remainingMs,
  startToCloseMs,
  taskDefaults,
  type TaskContext,
} from './attempt.ts';
import { withDemand } from './demand.ts';
import * as schemas from './events.ts';
import type { RetryPolicy, Stamp, TaskEvent, TaskInput } from './events.ts';
import { awaits, obstacle, parentNews, startOf, tellChildren, withParent, type Obstacle } from './start.ts';
import { taskStatus, type TaskStatus } from './status.ts';
import { limits } from '../../config/limits.ts';

/** What keeps the task from the queue, as the event that takes it to where it waits. */
function obstacleEvent(context: TaskContext, event: TaskEvent): { type: Obstacle | undefined } & Stamp {
  // At birth, time and id stand in the input.
  const { at, self } = 'input' in event ? (event.input as TaskInput) : event;
  return { type: obstacle(context, at), at, self };
}

const base = setup({
  types: {} as { context: TaskContext; events: TaskEvent; input: TaskInput },
  actions: {
    ...effectActions,
    enqueue: assign(({ event }) => ({ queuedAt: event.at })),
    /** It may be queued now: deadlines count from here. */
    mature: assign(({ event }) => ({ openedAt: event.at, queuedAt: event.at })),
    /** A task that may not be queued yet goes on at once to where it waits. */
    reconsider: raise(({ context, event }) => obstacleEvent(context, event) as TaskEvent, {
      // A number would make it a durable timer, and Infinity none at all.
      delay: ({ context, event }) => (obstacleEvent(context, event).type ? (undefined as never) : Infinity),
    }),
    noteParent: assign(({ context, event }) =>
      event.type === 'parent' ? { parents: withParent(context.parents, event) } : {},
    ),
    noteChild: assign(({ context, event }) =>
      event.type === 'await' && !context.children?.includes(event.child)
        ? { children: [...(context.children ?? []), event.child] }
        : {},
    ),
    take: assign(({ context, event }) =>
      event.type === 'assign'
        ? {
            agent: event.agent,
            token: event.token,
            attempt: event.attempt,
            ...(context.demand?.limits && { chargedAt: event.at }),
          }
        : {},
    ),
    begin: assign(({ event }) => ({ startedAt: event.at })),
    report: assign(({ event }) => {
      if (event.type !== 'progress') return {};
      return {
        ...(event.progress !== undefined && { progress: event.progress }),
        ...(event.note !== undefined && { note: event.note }),
      };
    }),
    keepResult: assign(({ event }) => (event.type === 'complete' ? { result: event.result as Json } : {})),
    keepError: assign(({ event }) => (event.type === 'fail' ? { error: event.error as JsonObject } : {})),
    because: assign((_, params: { reason: string }) => ({ reason: params.reason })),
    countFailure: assign(({ context }) => ({ failures: context.failures + 1 })),
    countLoss: assign(({ context }) => ({ losses: context.losses + 1 })),
    /** The attempt is over: its token is worth nothing from here on. Who held it last stays known. */
    forget: assign({ token: undefined, progress: undefined, note: undefined }),
    finish: assign(({ event }) => ({ finishedAt: event.at })),
    reopen: assign(({ context, event }) => ({
      parameters:
        event.type === 'redrive' && event.parameters !== undefined ? (event.parameters as Json) : context.parameters,
      openedAt: event.at,
      runAt: undefined,
      parents: undefined,
      queuedAt: event.at,
      failures: 0,
      losses: 0,
      startedAt: undefined,
      error: undefined,
      reason: undefined,
      finishedAt: undefined,
    })),
    /** The other site of the pair ended it, and told so. */
    adopt: assign(({ event }) => {
      if (event.type !== 'settle') return {};
      const { result, error, reason } = event;
      return {
        ...(result !== undefined && { result: result as Json }),
        ...(error !== undefined && { error: error as JsonObject }),
        reason,
      };
    }),
    /** (Re)starts the clock by which a running attempt must be heard of. */
    watch: raise({ type: 'overdue' } as TaskEvent, { id: 'overdue', delay: 'heartbeat' }),
    unwatch: cancel('overdue'),
  },
  guards: {
    /** R4: the report is about the attempt under way. */
    current: ({ context, event }) => 'token' in event && event.token === context.token,
    next: ({ context, event }) => event.type === 'assign' && event.attempt === context.attempt + 1,
    holder: ({ context, event }) => event.type === 'revoke' && event.agent === context.agent,
    worthRetrying: ({ context, event }) => (event.type !== 'fail' || event.retryable) && mayRetry(context),
    settledSucceeded: ({ event }) => event.type === 'settle' && event.state === 'succeeded',
    settledCancelled: ({ event }) => event.type === 'settle' && event.state === 'cancelled',
    settledExpired: ({ event }) => event.type === 'settle' && event.state === 'expired',
    /** The news does not let it go on. */
    stillBlocked: ({ context, event }) =>
      event.type === 'parent' &&
      obstacle({ ...context, parents: withParent(context.parents, event) }, event.at) === 'block',
    knownParent: ({ context, event }) => event.type === 'parent' && Object.hasOwn(context.parents ?? {}, event.task),
    roomForChild: ({ context }) => (context.children?.length ?? 0) < limits.childrenMax,
    mayLose: ({ context }) => context.losses + 1 < taskDefaults.lossesMax,
  },
  delays: {
    backoff: ({ context, event }) => backoffMs(context, event.self),
    assigned: () => taskDefaults.assignedMs,
    heartbeat: ({ context }) => context.timeouts?.heartbeat_ms ?? Infinity,
    startToClose: ({ context }) => startToCloseMs(context),
    cancelGrace: ({ context }) => context.cancelGraceMs ?? taskDefaults.cancelGraceMs,
    runAt: ({ context, event }) => Math.max(0, (context.runAt ?? 0) - event.at),
    scheduleToClose: ({ context, event }) => remainingMs(context, context.timeouts?.schedule_to_close_ms, event.at),
    scheduleToStart: ({ context, event }) =>
      context.startedAt === undefined
        ? remainingMs(context, context.timeouts?.schedule_to_start_ms, event.at)
        : Infinity,
  },
});

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
  release: { guard: 'current', target: '#task.open.queued', actions: ['enqueue', because('released')] },
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

export const taskMachine = base.createMachine({
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
              },
              after: { assigned: timedOut('not_started') },
            },
            running: {
              entry: ['begin', 'watch'],
              exit: 'unwatch',
              on: {
                ...attemptEvents,
                progress: { guard: 'current', actions: ['report', 'watch'] },
                beat: { guard: 'current', actions: 'watch' },
                overdue: timedOut('heartbeat'),
              },
              after: { startToClose: timedOut('start_to_close') },
            },
            cancelling: {
              on: {
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

export const taskDefinition: Definition = {
  id: 'task',
  version: 1,
  machine: taskMachine,
  input: schemas.inputSchema as never,
  events: schemas.events as never,
  reports: schemas.reports,
  retentionMs: taskDefaults.retentionMs,
  recreate: (actor, input) =>
    actor.context['fingerprint'] === input['fingerprint']
      ? { kind: 'duplicate' }
      : { kind: 'conflict', detail: 'the Idempotency-Key was used before with another body' },
  unheard: (id, actor, event) => {
    if (event.type !== 'await') return [];
    const status: TaskStatus | undefined = actor && taskStatus(actor.state);
    const ended = status === 'succeeded' || status === 'cancelled' || status === 'expired' ? status : undefined;
    const ending = ended ?? (actor ? 'crowded' : 'unknown');
    const result = actor?.context['result'] as Json | undefined;
    return [parentNews(event['child'] as string, id, ending, ended === 'succeeded' ? result : undefined)];
  },
  refusal: (actor, event: MachineEvent) => {
    if (schemas.reports.includes(event.type as never) && event['token'] !== actor.context['token'])
      return 'stale-token';
    return undefined;
  },
};
