/** Schemas of schedules for the OpenAPI document. */
import { scheduleStatuses } from '../../actors/schedule/status.ts';
type Schema = Record<string, unknown>;

const string: Schema = { type: 'string' };
const count: Schema = { type: 'integer', minimum: 0 };
const time: Schema = { type: 'string', format: 'date-time' };

const run: Schema = {
  type: 'object',
  properties: {
    task: { ...string, description: 'Id of the task; it follows from schedule and time.' },
    at: { ...time, description: 'The time that it is for.' },
    cause: { enum: ['clock', 'catch_up', 'trigger'] },
    started_at: time,
    status: { ...string, description: 'How the task ended; absent while it is not over.' },
  },
  required: ['task', 'at', 'cause'],
};

export const scheduleComponent: Schema = {
  type: 'object',
  properties: {
    id: string,
    name: string,
    status: { enum: [...scheduleStatuses] },
    tenant: string,
    cron: string,
    interval_ms: count,
    timezone: string,
    start_at: time,
    end_at: time,
    jitter_ms: count,
    overlap: { enum: ['skip', 'queue', 'allow', 'replace'] },
    queue_max: count,
    catch_up: { enum: ['none', 'last', 'all'] },
    catch_up_max: count,
    catch_up_window_ms: count,
    task: { type: 'object', description: 'What is submitted each time.' },
    next_at: { ...time, description: 'The next time, before jitter; absent while it is paused or has ended.' },
    started: { ...count, description: 'Tasks that it submitted.' },
    skipped: { ...count, description: 'Runs that an overlap left out.' },
    missed: { ...count, description: 'Runs whose time went by while nothing was up, and that were not made up.' },
    running: { type: 'array', items: string, description: 'Its tasks that are not over.' },
    waiting: { type: 'array', items: run, description: 'Runs that wait for the end of a task.' },
    recent: { type: 'array', items: run, description: 'The latest runs, newest first.' },
    created_at: time,
    updated_at: time,
    revision: { type: 'integer' },
    links: { type: 'object' },
  },
  required: ['id', 'name', 'status', 'timezone', 'overlap', 'task', 'created_at', 'revision', 'links'],
};
