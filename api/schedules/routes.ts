/** The routes of schedules as data. */
import { scheduleStatuses } from '../../actors/schedule/status.ts';
import { ref } from '../components.ts';
import { header, inPath, inQuery, paging, type Operation } from '../operation.ts';

const id = inPath('id');
const ifMatch = header('If-Match', 'Only when the schedule still has this ETag.');
const now = ['As it is now.', ref('Schedule')] as const;
const later = ['Asked for, and not decided yet.', ref('Schedule')] as const;

const control = {
  scope: 'schedules:control',
  tenants: true,
  parameters: [id, ifMatch],
  problems: ['invalid-id', 'not-found', 'not-legal-now', 'precondition-failed'],
} as const;

const body = ['invalid-request', 'invalid-json', 'too-large', 'unsupported-media-type'] as const;

export const scheduleOperations: Record<string, Record<string, Operation>> = {
  '/api/v1/schedules': {
    post: {
      summary: 'Submit a task again and again, by a cron pattern or an interval',
      scope: 'schedules:control',
      tenants: true,
      body: ref('ScheduleCreate'),
      answers: {
        200: ['There is one like it already.', ref('Schedule')],
        201: ['Made.', ref('Schedule')],
        202: ['Asked for, and not decided yet.', { type: 'object' }],
      },
      problems: [...body, 'schedule-exists', 'max-schedules', 'ingress-stopped'],
    },
    get: {
      summary: 'List schedules',
      scope: 'read',
      tenants: true,
      parameters: [
        inQuery('status', { enum: [...scheduleStatuses] }, 'Without it: all that are still there.'),
        inQuery('type', { type: 'string' }, 'Type of the tasks.'),
        inQuery('tenant'),
        ...paging,
      ],
      answers: { 200: ['A page; the header Link names the next one.', ref('ScheduleList')] },
      problems: ['invalid-request', 'invalid-cursor'],
    },
  },
  '/api/v1/schedules/{id}': {
    get: {
      summary: 'One schedule: its next time and its latest runs',
      scope: 'read',
      tenants: true,
      parameters: [id],
      answers: { 200: ['The schedule; ETag is its revision.', ref('Schedule')] },
      problems: ['invalid-id', 'not-found'],
    },
    put: {
      summary: 'Replace everything of a schedule but its name and tenant',
      ...control,
      body: ref('ScheduleUpdate'),
      answers: { 200: now, 202: later },
      problems: [...control.problems, ...body],
    },
    delete: {
      summary: 'Remove a schedule; tasks that it submitted go on',
      ...control,
      answers: { 200: ['Removed.', { type: 'object' }], 202: ['Asked for, and not decided yet.', { type: 'object' }] },
    },
  },
  '/api/v1/schedules/{id}/history': {
    get: {
      summary: 'Every transition of a schedule, oldest first',
      scope: 'read',
      tenants: true,
      parameters: [id, ...paging],
      answers: { 200: ['A page.', ref('History')] },
      problems: ['invalid-id', 'not-found', 'invalid-cursor'],
    },
  },
  '/api/v1/schedules/{id}/pause': {
    post: { summary: 'Submit nothing until it is resumed', ...control, answers: { 200: now, 202: later } },
  },
  '/api/v1/schedules/{id}/resume': {
    post: { summary: 'Go on with the next time', ...control, answers: { 200: now, 202: later } },
  },
  '/api/v1/schedules/{id}/trigger': {
    post: {
      summary: 'Submit a task now, beside the pattern',
      ...control,
      answers: { 202: ['Submitted, or kept until another task is over: see recent and waiting.', ref('Schedule')] },
    },
  },
};
