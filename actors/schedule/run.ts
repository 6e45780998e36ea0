/**
 * What becomes of an occurrence: a task, or what the overlap policy says. Pure: context in, context and effects out.
 *
 * A run asks its task to say how it ended, by the word of a task that depends on another (`await`, `parent`), so the
 * schedule knows what is under way without looking.
 */
import { limits } from '../../config/limits.ts';
import type { Effect } from '../../runtime/core/effect.ts';
import { address } from '../../runtime/protocol/ids.ts';
import type { JsonObject } from '../../runtime/protocol/json.ts';
import { scheduleAddress, taskOfOccurrence, taskOfTrigger } from './address.ts';
import type { Timing } from './occurrence.ts';

export type Overlap = 'skip' | 'queue' | 'allow' | 'replace';

/** Why a run is there: its time came, its time went by while nothing was up, or somebody asked. */
export type Cause = 'clock' | 'catch_up' | 'trigger';

/** A run that has not begun. */
export interface Occurrence {
  readonly task: string;
  /** The nominal time; of a trigger, when it was asked for. */
  readonly at: number;
  readonly cause: Cause;
}

export interface Run extends Occurrence {
  readonly startedAt: number;
  /** How its task ended; absent while it has not. */
  readonly status?: string | undefined;
}

export interface ScheduleContext extends Timing {
  name: string;
  tenant?: string | undefined;
  overlap: Overlap;
  queueMax: number;
  task: JsonObject;
  taskShard: number;
  updatedAt?: number | undefined;
  /** The nominal time that is waited for; undefined when none comes any more, or while it is paused. */
  nextAt?: number | undefined;
  /** Tasks that were submitted, and how many of them by hand. */
  started: number;
  triggered: number;
  /** Occurrences that an overlap left out, or a pause while they waited. */
  skipped: number;
  /** Occurrences whose time went by while nothing was up. */
  missed: number;
  /** Tasks that are not over. */
  running: readonly string[];
  /** Occurrences that wait for the end of a task. */
  waiting: readonly Occurrence[];
  /** The latest runs, newest first. */
  recent: readonly Run[];
}

export interface Reaction {
  readonly context: ScheduleContext;
  readonly effects: readonly Effect[];
}

export const unchanged = (context: ScheduleContext): Reaction => ({ context, effects: [] });

export function occurrence(
  context: ScheduleContext,
  self: string,
  at: number,
  cause: 'clock' | 'catch_up',
): Occurrence {
  return { task: taskOfOccurrence(self, context.taskShard, at), at, cause };
}

export function triggered(context: ScheduleContext, self: string, at: number): Occurrence {
  return {
    task: taskOfTrigger(self, context.taskShard, context.createdAt, context.triggered + 1),
    at,
    cause: 'trigger',
  };
}

/** Starts a run, or does what the policy says. */
export function run(context: ScheduleContext, self: string, now: number, wanted: Occurrence): Reaction {
  const overlaps = context.running.length > 0;
  const full = context.running.length >= limits.scheduleRunningMax;
  if (overlaps && context.overlap === 'queue' && context.waiting.length < context.queueMax)
    return unchanged({ ...context, waiting: [...context.waiting, wanted] });
  if (full || (overlaps && (context.overlap === 'skip' || context.overlap === 'queue')))
    return unchanged({ ...context, skipped: context.skipped + 1 });
  const { tenant } = context;
  const cancelled = context.overlap === 'replace' ? context.running : [];
  const input: JsonObject = {
    ...context.task,
    ...(tenant !== undefined && { tenant }),
    schedule: { id: self, at: wanted.at },
    // The one that it replaces may take a while to stop, and they must not meet.
    ...(cancelled.length > 0 && { depends_on: [...cancelled], on_failure: 'run' }),
  };
  const to = address('task', wanted.task);
  return {
    context: {
      ...context,
      started: context.started + 1,
      running: [...context.running, wanted.task],
      recent: [{ ...wanted, startedAt: now }, ...context.recent].slice(0, limits.scheduleRecentMax),
    },
    effects: [
      ...cancelled.map((id): Effect => {
        return {
          kind: 'send',
          to: address('task', id),
          event: { type: 'cancel', reason: `replaced by ${wanted.task}` },
        };
      }),
      { kind: 'spawn', to, input },
      { kind: 'send', to, event: { type: 'await', child: scheduleAddress(self) } },
    ],
  };
}

export function runAll(context: ScheduleContext, self: string, now: number, wanted: readonly Occurrence[]): Reaction {
  let [present, effects]: [ScheduleContext, readonly Effect[]] = [context, []];
  for (const one of wanted) {
    const reaction = run(present, self, now, one);
    [present, effects] = [reaction.context, [...effects, ...reaction.effects]];
  }
  return { context: present, effects };
}

/** A task of it is over: what waits may begin. */
export function ended(context: ScheduleContext, self: string, now: number, task: string, status: string): Reaction {
  const noted: ScheduleContext = {
    ...context,
    running: context.running.filter((id) => id !== task),
    recent: context.recent.map((one) => (one.task === task ? { ...one, status } : one)),
  };
  const [first, ...rest] = noted.waiting;
  if (first === undefined || noted.running.length > 0) return unchanged(noted);
  return run({ ...noted, waiting: rest }, self, now, first);
}

/** Whether the word of a task is news: it runs, or it was parked and has come to another end. */
export function awaits(context: ScheduleContext, task: string): boolean {
  return context.running.includes(task) || context.recent.some((one) => one.task === task && one.status === 'parked');
}
