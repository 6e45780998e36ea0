/** A task's row, from its journal records. */
import { WhenStatus, type Projection } from '../../runtime/protocol/projection.ts';
import type { MachineEvent } from '../../runtime/protocol/envelope.ts';
import { settledStatuses, taskStatus, type TaskStatus } from './status.ts';

export const taskProjection: Projection = {
  definition: 'task',
  table: 'tasks',
  columns: {
    type: 'text',
    tenant: 'text',
    status: 'text',
    priority: 'integer',
    parameters: 'jsonb',
    result: 'jsonb',
    error: 'jsonb',
    reason: 'text',
    agent: 'text',
    attempt: 'integer',
    progress: 'double precision',
    created_at: 'timestamptz',
    started_at: 'timestamptz',
    finished_at: 'timestamptz',
  },
  patch: ({ input, event, state }, at) => {
    const status = taskStatus(state);
    const patch: Record<string, unknown> = { status };
    if (settledStatuses.has(status) && status !== 'parked') patch['finished_at'] = at;
    if (input) {
      Object.assign(patch, {
        type: input['type'],
        tenant: input['tenant'] ?? null,
        priority: input['priority'] ?? 0,
        parameters: input['parameters'] ?? {},
        attempt: 0,
        created_at: at,
        ...parentFailed(status),
      });
      return patch;
    }
    // Progress is of the attempt under way, also while it is being cancelled.
    if (status !== 'running' && status !== 'cancelling') patch['progress'] = null;
    if (event) Object.assign(patch, byEvent[event.type]?.(event, at, status) ?? timedOut(event.type));
    return patch;
  },
  row: ({ state, context }) => ({
    type: context['type'],
    tenant: context['tenant'],
    status: taskStatus(state),
    priority: context['priority'],
    parameters: context['parameters'] ?? {},
    result: context['result'],
    error: context['error'],
    reason: context['reason'],
    agent: context['agent'],
    attempt: context['attempt'],
    progress: context['progress'],
    created_at: context['createdAt'],
    started_at: context['startedAt'],
    finished_at: context['finishedAt'],
  }),
};

type Patch = Record<string, unknown>;

/** A task that is being cancelled keeps the reason of the cancel, whatever ends its attempt. */
const reasonUnlessCancelled = (status: TaskStatus, reason: string): Patch => (status === 'cancelled' ? {} : { reason });

/** Only a parent that did not succeed takes a task from where it waits to there. */
const parentFailed = (status: TaskStatus): Patch =>
  status === 'cancelled' || status === 'parked' ? { reason: 'parent_failed' } : {};

const byEvent: Readonly<Record<string, (event: MachineEvent, at: number, status: TaskStatus) => Patch>> = {
  assign: (event) => ({ agent: event['agent'], attempt: event['attempt'] }),
  start: (_event, at) => ({ started_at: at }),
  progress: (event, at) => ({
    ...(event['progress'] !== undefined && { progress: event['progress'] }),
    // Progress of an attempt that did not say that it started is its start.
    started_at: new WhenStatus('assigned', at),
  }),
  chunk: (_event, at) => ({ started_at: new WhenStatus('assigned', at) }),
  complete: (event) => ({ result: event['result'] }),
  fail: (event, _at, status) => ({ error: event['error'], ...reasonUnlessCancelled(status, 'failed') }),
  release: (_event, _at, status) => reasonUnlessCancelled(status, 'released'),
  revoke: (_event, _at, status) => reasonUnlessCancelled(status, status === 'parked' ? 'poison' : 'agent_lost'),
  parent: (_event, _at, status) => parentFailed(status),
  resume: (_event, _at, status) => parentFailed(status),
  cancel: (event) => ({ reason: event['reason'] ?? 'cancelled' }),
  redrive: (event) => ({
    ...{ result: null, error: null, reason: null, started_at: null, finished_at: null },
    ...(event['parameters'] !== undefined && { parameters: event['parameters'] }),
  }),
};

/** The reason that the machine keeps when a clock ended what it was doing. */
function timedOut(event: string): Patch {
  const reason = timeoutReasons.find(([name]) => event.includes(name))?.[1];
  return reason === undefined ? {} : { reason };
}

/** Name in the timer's event -> reason that the machine keeps. */
const timeoutReasons: readonly (readonly [string, string])[] = [
  ['.scheduleToClose.', 'schedule_to_close'],
  ['.scheduleToStart.', 'schedule_to_start'],
  ['.startToClose.', 'start_to_close'],
  ['.after.assigned.', 'not_started'],
  ['overdue', 'heartbeat'],
];
