/** A task's row, from its journal records. */
import type { Projection } from '../../runtime/protocol/projection.ts';
import { settledStatuses, taskStatus } from './status.ts';

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
      });
      return patch;
    }
    switch (event?.type) {
      case 'assign':
        Object.assign(patch, { agent: event['agent'], attempt: event['attempt'] });
        break;
      case 'start':
        patch['started_at'] = at;
        break;
      case 'progress':
        if (event['progress'] !== undefined) patch['progress'] = event['progress'];
        break;
      case 'complete':
        patch['result'] = event['result'];
        break;
      case 'fail':
        Object.assign(patch, { error: event['error'], reason: 'failed' });
        break;
      case 'revoke':
        patch['reason'] = event['reason'];
        break;
      case 'cancel':
        patch['reason'] = event['reason'] ?? 'cancelled';
        break;
      case 'redrive':
        Object.assign(patch, { result: null, error: null, reason: null, started_at: null, finished_at: null });
        if (event['parameters'] !== undefined) patch['parameters'] = event['parameters'];
        break;
    }
    if (event?.type.startsWith('xstate.after.') || event?.type === 'overdue') {
      const reason = timeoutReasons.find(([name]) => event.type.includes(name))?.[1];
      if (reason !== undefined) patch['reason'] = reason;
    }
    return patch;
  },
};

/** Name in the timer's event -> reason that the machine keeps. */
const timeoutReasons: readonly (readonly [string, string])[] = [
  ['.scheduleToClose.', 'schedule_to_close'],
  ['.scheduleToStart.', 'schedule_to_start'],
  ['.startToClose.', 'start_to_close'],
  ['.after.assigned.', 'not_started'],
  ['overdue', 'heartbeat'],
];
