/** What the machine of a task can do, ask and wait for, by name: its actions, guards and delays. The chart is in machine.ts. */
import { assign, cancel, raise, setup } from 'xstate';
import { limits } from '../../config/limits.ts';
import { effectActions } from '../../runtime/core/effect.ts';
import type { Json, JsonObject } from '../../runtime/protocol/json.ts';
import { backoffMs, mayRetry, remainingMs, startToCloseMs, taskDefaults, type TaskContext } from './attempt.ts';
import { mayStream, streamed } from './chunks.ts';
import type { Stamp, TaskEvent, TaskInput } from './events.ts';
import { obstacle, withParent, type Obstacle } from './start.ts';

/** What keeps the task from the queue, as the event that takes it to where it waits. */
function obstacleEvent(context: TaskContext, event: TaskEvent): { type: Obstacle | undefined } & Stamp {
  // At birth, time and id stand in the input.
  const { at, self } = 'input' in event ? (event.input as TaskInput) : event;
  return { type: obstacle(context, at), at, self };
}

export const vocabulary = setup({
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
            chunks: undefined,
            ...(context.demand?.limits && { chargedAt: event.at }),
          }
        : {},
    ),
    begin: assign(({ event }) => ({ startedAt: event.at })),
    stream: assign(({ context, event }) => (event.type === 'chunk' ? { chunks: streamed(context, event) } : {})),
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
    countRelease: assign(({ context }) => ({ releases: (context.releases ?? 0) + 1 })),
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
      releases: undefined,
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
    mayRelease: ({ context }) => (context.releases ?? 0) + 1 < taskDefaults.releasesMax,
    /** It is the next one of the attempt under way, and there is room for it. */
    nextChunk: ({ context, event }) =>
      event.type === 'chunk' && event.token === context.token && mayStream(context, event),
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
