/**
 * What a task waits for as far as its own machine knows: its time, other tasks, an operator, its agent. What it waits for
 * beside that, of queues and agents, is for the dispatcher to say. Pure.
 */
import type { ActorView, StoredActor } from '../../runtime/protocol/snapshot.ts';
import type { TaskContext } from './attempt.ts';
import { taskStatus, type TaskStatus } from './status.ts';

export type StateReason =
  | { code: 'start_time'; until: string }
  /** A parent that is not over, or that is parked and may be redriven. */
  | { code: 'parent'; task: string; status: 'waiting' | 'parked' }
  | { code: 'task_paused' }
  | { code: 'retry_delay'; failures: number; until?: string }
  | { code: 'agent_start' | 'agent_result' | 'agent_stop'; agent: string; until?: string }
  /** `reason`: why it was parked. */
  | { code: 'operator'; reason?: string; legal: readonly string[] };

export const stateReasonCodes = [
  ...['start_time', 'parent', 'task_paused', 'retry_delay'],
  ...['agent_start', 'agent_result', 'agent_stop', 'operator'],
] as const;

type Timers = NonNullable<StoredActor['timers']>;

/** Statuses after which the task comes to the queue: what it will meet there is worth saying beforehand. */
export const beforeQueue: ReadonlySet<TaskStatus> = new Set<TaskStatus>(['scheduled', 'blocked', 'paused', 'retrying']);

/**
 * Every reason that holds at `now` (milliseconds since 1970); empty for a task that is queued or over.
 * @param timers those of the snapshot: the clocks that end a state
 */
export function stateReasons(view: ActorView, timers: Timers, now: number): StateReason[] {
  const context = view.context as unknown as TaskContext;
  const agent = context.agent ?? '';
  const by = (code: 'agent_start' | 'agent_result' | 'agent_stop', clock: string): StateReason[] => [
    { code, agent, ...earliest(timers, [clock, '.scheduleToClose.']) },
  ];
  switch (taskStatus(view.state)) {
    case 'scheduled':
    case 'blocked':
      return toCome(context, now);
    case 'paused':
      return [{ code: 'task_paused' }, ...toCome(context, now)];
    case 'retrying':
      return [{ code: 'retry_delay', failures: context.failures, ...earliest(timers, ['.backoff.']) }];
    case 'assigned':
      return by('agent_start', '.assigned.');
    case 'running':
      return by('agent_result', '.startToClose.');
    case 'cancelling':
      return by('agent_stop', '.cancelGrace.');
    case 'parked': {
      const { reason } = context;
      return [{ code: 'operator', ...(reason !== undefined && { reason }), legal: ['redrive', 'cancel'] }];
    }
    default:
      return [];
  }
}

/** Its parents and its time: both have to come, in whatever order. */
function toCome({ runAt, parents = {}, onFailure }: TaskContext, now: number): StateReason[] {
  const reasons: StateReason[] = [];
  for (const [task, { status }] of Object.entries(parents))
    if (status === 'waiting' || (status === 'parked' && onFailure === 'block'))
      reasons.push({ code: 'parent', task, status });
  if (runAt !== undefined && runAt > now) reasons.push({ code: 'start_time', until: new Date(runAt).toISOString() });
  return reasons;
}

/** When the first of the named clocks rings. */
function earliest(timers: Timers, clocks: readonly string[]): { until?: string } {
  const due = Object.entries(timers)
    .filter(([timer]) => clocks.some((clock) => timer.includes(clock)))
    .map(([, value]) => (typeof value === 'number' ? value : value[0]));
  return due.length === 0 ? {} : { until: new Date(Math.min(...due)).toISOString() };
}
