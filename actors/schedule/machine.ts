/**
 * A schedule: submits a task whenever its pattern says so. Its clock is a durable timer of its shard, so an occurrence
 * comes once, however many processes there are, and a crash loses none.
 *
 * registering -> active -> ended, with paused beside; removed at the end. The roster of the tenant admits it, so that a
 * tenant has no more schedules than it may.
 */
import { assign, setup } from 'xstate';
import { limits } from '../../config/limits.ts';
import type { Definition } from '../../runtime/core/definition.ts';
import { effectActions } from '../../runtime/core/effect.ts';
import { unreachable } from '../../runtime/core/invariant.ts';
import type { JsonObject } from '../../runtime/protocol/json.ts';
import type { Stamp } from '../task/events.ts';
import type { ParentNews } from '../task/start.ts';
import { rosterAddress, scheduleAddress } from './address.ts';
import { measureSchedule } from './measure.ts';
import { dueAt, dueNow, nextNominal } from './occurrence.ts';
import {
  awaits,
  ended,
  occurrence,
  run,
  runAll,
  triggered,
  unchanged,
  type Reaction,
  type ScheduleContext,
} from './run.ts';
import { scheduleEvents, scheduleInput, timingOf, type ScheduleInput, type ScheduleUpdate } from './schema.ts';

type ScheduleEvent = (
  | { type: 'pause' | 'resume' | 'trigger' | 'remove' | 'admitted' | 'rejected' }
  | ScheduleUpdate
  | ({ type: 'parent' } & ParentNews)
) &
  Stamp;

/** The event by which its own clock rings; its name is XState's. */
const isClock = (event: { type: string }): boolean => event.type.startsWith('xstate.after.');

let latest: { context: ScheduleContext; event: ScheduleEvent; reaction: Reaction } | undefined;

/** What an event leads to: asked by guards, then for the effects, then for the context, and worked out once. */
function react(context: ScheduleContext, event: ScheduleEvent): Reaction {
  if (latest?.context !== context || latest.event !== event)
    latest = { context, event, reaction: reactionTo(context, event) };
  return latest.reaction;
}

function reactionTo(context: ScheduleContext, event: ScheduleEvent): Reaction {
  const { at, self } = event;
  if (isClock(event)) {
    const { act, missed, next } = dueNow(context, self, context.nextAt ?? at, at);
    const wanted = act.map((nominal, index) => {
      const punctual = index === act.length - 1 && at - dueAt(context, self, nominal) <= limits.schedulePunctualMs;
      return occurrence(context, self, nominal, punctual ? 'clock' : 'catch_up');
    });
    return runAll({ ...context, missed: context.missed + missed, nextAt: next }, self, at, wanted);
  }
  switch (event.type) {
    case 'trigger': {
      const reaction = run(context, self, at, triggered(context, self, at));
      return { ...reaction, context: { ...reaction.context, triggered: context.triggered + 1 } };
    }
    case 'parent':
      return ended(context, self, at, event.task, event.status);
    case 'resume':
      // What came while it was paused was not missed: nobody wanted it.
      return unchanged({ ...context, nextAt: nextNominal(context, at) });
    case 'pause':
      return unchanged({
        ...context,
        nextAt: undefined,
        waiting: [],
        skipped: context.skipped + context.waiting.length,
      });
    case 'update': {
      const next = { ...context, ...settingsOf(event, context.createdAt), updatedAt: at };
      return unchanged({ ...next, nextAt: nextNominal(next, at) });
    }
    case 'remove':
    case 'rejected':
    case 'admitted':
      return unchanged(context);
    default:
      return unreachable(event);
  }
}

/** Of a body; members that it lacks are undefined, so that an update clears them. */
function settingsOf(body: Omit<ScheduleUpdate, 'type'>, createdAt: number) {
  const none = { cron: undefined, intervalMs: undefined, startAt: undefined, endAt: undefined, jitterMs: undefined };
  return {
    ...none,
    ...timingOf(body, createdAt),
    overlap: body.overlap,
    queueMax: body.queue_max,
    task: body.task as unknown as JsonObject,
    taskShard: body.task_shard,
  };
}

const act = [
  {
    type: 'effects',
    params: ({ context, event }: { context: ScheduleContext; event: ScheduleEvent }) => ({
      list: react(context, event).effects,
    }),
  },
  'note',
] as const;

const tellRoster = (type: 'admit' | 'leave') =>
  ({
    type: 'send',
    params: ({ context, event }: { context: ScheduleContext; event: ScheduleEvent }) => {
      const { self } = 'input' in event ? (event.input as Stamp) : event;
      const max = limits.schedulesPerTenantMax;
      return { to: rosterAddress(self, context.tenant), event: { type, schedule: scheduleAddress(self), max } };
    },
  }) as const;

const always = {
  trigger: { guard: 'mayStart', actions: act },
  parent: { guard: 'mine', actions: act },
  remove: { target: 'removed', actions: tellRoster('leave') },
} as const;

export const scheduleMachine = setup({
  types: {} as { context: ScheduleContext; events: ScheduleEvent; input: ScheduleInput & Stamp },
  actions: {
    ...effectActions,
    note: assign(({ context, event }) => react(context, event).context),
    halt: assign({ nextAt: undefined }),
  },
  guards: {
    /** No time comes any more. */
    last: ({ context, event }) => react(context, event).context.nextAt === undefined,
    mine: ({ context, event }) => event.type === 'parent' && awaits(context, event.task),
    mayStart: ({ context, event }) => {
      const { started, waiting } = run(context, event.self, event.at, triggered(context, event.self, event.at)).context;
      return started > context.started || waiting.length > context.waiting.length;
    },
  },
  delays: {
    due: ({ context, event }) =>
      context.nextAt === undefined ? Infinity : Math.max(0, dueAt(context, event.self, context.nextAt) - event.at),
  },
}).createMachine({
  id: 'schedule',
  meta: {
    merge: {
      precedence: ['removed', 'rejected'],
      // A number that was given out in either branch is not given out again.
      fields: { triggered: 'max', started: 'max', skipped: 'max', missed: 'max' },
    },
  },
  context: ({ input }) => {
    const settings = settingsOf(input, input.at);
    return {
      name: input.name,
      ...(input.tenant !== undefined && { tenant: input.tenant }),
      ...settings,
      nextAt: nextNominal(settings, input.at),
      started: 0,
      triggered: 0,
      skipped: 0,
      missed: 0,
      running: [],
      waiting: [],
      recent: [],
    };
  },
  initial: 'registering',
  states: {
    registering: {
      entry: tellRoster('admit'),
      on: {
        admitted: [{ guard: 'last', target: 'ended' }, { target: 'active' }],
        rejected: { target: 'rejected' },
      },
    },
    active: {
      on: {
        ...always,
        pause: { target: 'paused', actions: act },
        update: [
          { guard: 'last', target: 'ended', actions: act },
          { target: 'active', reenter: true, actions: act },
        ],
      },
      after: {
        due: [
          { guard: 'last', target: 'ended', actions: act },
          { target: 'active', reenter: true, actions: act },
        ],
      },
    },
    paused: {
      on: {
        ...always,
        resume: [
          { guard: 'last', target: 'ended', actions: act },
          { target: 'active', actions: act },
        ],
        update: { actions: [...act, 'halt'] },
      },
    },
    ended: {
      on: {
        ...always,
        update: [
          { guard: 'last', actions: act },
          { target: 'active', actions: act },
        ],
      },
    },
    removed: { type: 'final' },
    rejected: { type: 'final' },
  },
});

export const scheduleDefinition: Definition = {
  id: 'schedule',
  version: 1,
  machine: scheduleMachine,
  input: scheduleInput as never,
  events: scheduleEvents as never,
  recreate: ({ context }, input) => {
    const made = context as unknown as ScheduleContext;
    const wanted = settingsOf(input as unknown as ScheduleInput, made.createdAt);
    const present = Object.fromEntries(Object.keys(wanted).map((name) => [name, context[name]]));
    const same = input['tenant'] === made.tenant && JSON.stringify(present) === JSON.stringify(wanted);
    return same ? { kind: 'duplicate' } : { kind: 'conflict', detail: 'there is another schedule of that name' };
  },
  refusal: (actor, event) => (event.type === 'trigger' && actor.state !== 'registering' ? 'overlap' : undefined),
  measure: measureSchedule,
  // The name is free again at once; what it did stands in the history.
  retentionMs: 0,
};
