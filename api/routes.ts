/** Every route as data: its scope, parameters, answers and problems. 405 answers and the OpenAPI document come from here. */
import { taskStatuses } from '../actors/task/status.ts';
import { limits } from '../config/limits.ts';
import { ref, type Schema } from './components.ts';
import { header, inPath, inQuery, paging, type Operation } from './operation.ts';
import { scheduleOperations } from './schedules/routes.ts';
import { siteOperations } from './sites/routes.ts';
import { taskQuery } from './tasks.ts';
import { visualiserRoutes } from './visualiser/routes.ts';

const wait = header(
  'Prefer',
  `wait=n: answers when the task is settled, at most after ${limits.preferWaitSecondsMax} s.`,
);
const lastEventId = [
  header('Last-Event-ID', 'Resumes after this event.'),
  inQuery('last_event_id', { type: 'string' }, 'The same, for a client that sets no headers.'),
  inQuery('ticket', { type: 'string' }, 'One-time ticket instead of a token.'),
];
const taskId = inPath('id');
const agentId = inPath('id');
const stream = ['Server-sent events.', { type: 'string' }, 'text/event-stream'] as const;

const querySchemas: Partial<Record<(typeof taskQuery)[number], Schema>> = {
  status: { enum: [...taskStatuses] },
  created_after: { type: 'string', format: 'date-time' },
  created_before: { type: 'string', format: 'date-time' },
};

export const routes: Record<string, Record<string, Operation>> = {
  '/api/v1/tasks': {
    post: {
      summary: 'Submit one task, an array of tasks, or NDJSON',
      scope: 'tasks:submit',
      tenants: true,
      audited: false,
      parameters: [
        header('Idempotency-Key', 'The same key with the same body meets the same task.'),
        header(
          'Prefer',
          'wait=n, or respond-async: not even the first decision is waited for; ack=peer: both sites of a pair have it.',
        ),
        header('traceparent', 'W3C trace context; it travels with the task to the agent.'),
      ],
      body: { oneOf: [ref('Submit'), { type: 'array', items: ref('Submit'), maxItems: limits.batchEnvelopesMax }] },
      answers: {
        200: ['Settled within the wait.', ref('Task')],
        202: ['Accepted.', { oneOf: [ref('Accepted'), ref('Task'), ref('BulkOutcome')] }],
        207: ['Bulk, and some items were refused.', ref('BulkOutcome')],
      },
      problems: [
        'invalid-request',
        'invalid-json',
        'too-large',
        'unsupported-media-type',
        'idempotency-mismatch',
        'peer-away',
        'ingress-stopped',
      ],
    },
    get: {
      summary: 'List tasks, newest first',
      scope: 'read',
      tenants: true,
      parameters: [
        ...taskQuery
          .filter((name) => name !== 'limit' && name !== 'cursor')
          .map((name) => inQuery(name, querySchemas[name])),
        ...paging,
      ],
      answers: { 200: ['A page; the header Link names the next one.', ref('TaskList')] },
      problems: ['invalid-request', 'invalid-cursor'],
    },
  },
  '/api/v1/tasks/cancel': {
    post: {
      summary: 'Cancel every task that a filter matches',
      scope: 'tasks:cancel',
      tenants: true,
      body: ref('BulkCancel'),
      answers: {
        200: ['A dry run: how many match.', ref('BulkCount')],
        202: ['Begun; the header Location says where to look.', ref('BulkAction')],
      },
      problems: ['invalid-request', 'invalid-json', 'unsupported-media-type', 'too-large', 'ingress-stopped'],
    },
  },
  '/api/v1/tasks/redrive': {
    post: {
      summary: 'Queue every parked task again that a filter matches',
      scope: 'tasks:redrive',
      tenants: true,
      body: ref('BulkRedrive'),
      answers: {
        200: ['A dry run: how many match.', ref('BulkCount')],
        202: ['Begun; the header Location says where to look.', ref('BulkAction')],
      },
      problems: ['invalid-request', 'invalid-json', 'unsupported-media-type', 'too-large', 'ingress-stopped'],
    },
  },
  '/api/v1/tasks/{id}': {
    get: {
      summary: 'One task',
      scope: 'read',
      tenants: true,
      parameters: [taskId, wait, header('If-None-Match', 'ETag that the client has.')],
      answers: { 200: ['The task.', ref('Task')], 304: ['It has not changed.'] },
      problems: ['invalid-id', 'not-found'],
    },
    delete: {
      summary: 'Cancel a task',
      scope: 'tasks:cancel',
      tenants: true,
      parameters: [taskId, header('If-Match', 'Only when the task still has this ETag.')],
      answers: {
        200: ['Cancelled.', ref('Accepted')],
        202: ['The agent that runs it was asked to stop.', ref('Accepted')],
      },
      problems: ['invalid-id', 'not-found', 'not-legal-now', 'precondition-failed'],
    },
  },
  '/api/v1/tasks/{id}/pause': {
    post: {
      summary: 'Keep a task that waits from being started',
      scope: 'tasks:cancel',
      tenants: true,
      parameters: [taskId, header('If-Match', 'Only when the task still has this ETag.')],
      answers: { 202: ['Paused.', ref('Accepted')] },
      problems: ['invalid-id', 'not-found', 'not-legal-now', 'precondition-failed'],
    },
  },
  '/api/v1/tasks/{id}/resume': {
    post: {
      summary: 'Let a paused task go on',
      scope: 'tasks:cancel',
      tenants: true,
      parameters: [taskId, header('If-Match', 'Only when the task still has this ETag.')],
      answers: { 202: ['It waits again for what it waited for.', ref('Accepted')] },
      problems: ['invalid-id', 'not-found', 'not-legal-now', 'precondition-failed'],
    },
  },
  '/api/v1/tasks/{id}/redrive': {
    post: {
      summary: 'Queue a parked task again',
      scope: 'tasks:redrive',
      tenants: true,
      parameters: [taskId, header('If-Match', 'Only when the task still has this ETag.')],
      body: ref('Redrive'),
      optionalBody: true,
      answers: { 202: ['Queued.', ref('Accepted')] },
      problems: ['invalid-id', 'not-found', 'not-legal-now', 'precondition-failed', 'too-large'],
    },
  },
  '/api/v1/tasks/{id}/history': {
    get: {
      summary: 'Every transition of a task, oldest first',
      scope: 'read',
      tenants: true,
      parameters: [taskId, ...paging],
      answers: { 200: ['A page.', ref('History')] },
      problems: ['invalid-id', 'not-found', 'invalid-cursor'],
    },
  },
  '/api/v1/tasks/{id}/events': {
    get: {
      summary: 'Transitions of a task as they happen, until it is settled',
      scope: 'read',
      tenants: true,
      parameters: [taskId, ...lastEventId],
      answers: { 200: stream },
      problems: ['invalid-id', 'not-found', 'too-many-streams'],
    },
  },
  '/api/v1/tasks/{id}/chunks': {
    get: {
      summary: 'Partial results of a task, oldest first',
      scope: 'read',
      tenants: true,
      parameters: [
        taskId,
        inQuery('after', { type: 'string' }, '`<attempt>.<number>` of the last one known.'),
        paging[0]!,
      ],
      answers: { 200: ['A page.', ref('ChunkList')] },
      problems: ['invalid-id', 'not-found', 'invalid-request'],
    },
  },
  '/api/v1/tasks/{id}/chunks/events': {
    get: {
      summary: 'The same as they come, from the first one on, until the task is settled',
      scope: 'read',
      tenants: true,
      parameters: [taskId, ...lastEventId],
      answers: { 200: stream },
      problems: ['invalid-id', 'not-found', 'invalid-request', 'too-many-streams'],
    },
  },
  '/api/v1/events': {
    get: {
      summary: 'Transitions of all actors as they happen',
      scope: 'read',
      parameters: [...['definition', 'task', 'agent', 'status'].map((name) => inQuery(name)), ...lastEventId],
      answers: { 200: stream },
      problems: ['invalid-request', 'too-many-streams'],
    },
  },
  '/api/v1/tickets': {
    post: {
      summary: 'A one-time ticket for an event stream',
      scope: 'read',
      tenants: true,
      audited: false,
      answers: { 201: ['The ticket.', ref('Ticket')] },
      problems: ['too-many-streams'],
    },
  },
  '/api/v1/bulk': {
    get: {
      summary: 'Bulk actions: running ones, and those of the last days',
      scope: 'read',
      tenants: true,
      parameters: paging,
      answers: { 200: ['A page.', ref('BulkActionList')] },
      problems: ['invalid-request', 'invalid-cursor'],
    },
  },
  '/api/v1/bulk/{id}': {
    get: {
      summary: 'One bulk action and how far it has come',
      scope: 'read',
      tenants: true,
      parameters: [inPath('id')],
      answers: { 200: ['The action.', ref('BulkAction')] },
      problems: ['invalid-id', 'not-found'],
    },
    delete: {
      summary: 'Stop a bulk action; what it did stays done',
      scope: 'tasks:cancel',
      tenants: true,
      parameters: [inPath('id')],
      answers: { 200: ['As it is now.', ref('BulkAction')] },
      problems: ['invalid-id', 'not-found', 'not-legal-now'],
    },
  },
  '/api/v1/bulk/{id}/pause': {
    post: {
      summary: 'Pause a bulk action',
      scope: 'tasks:cancel',
      tenants: true,
      parameters: [inPath('id')],
      answers: { 200: ['As it is now.', ref('BulkAction')] },
      problems: ['invalid-id', 'not-found', 'not-legal-now'],
    },
  },
  '/api/v1/bulk/{id}/resume': {
    post: {
      summary: 'Let a paused bulk action go on',
      scope: 'tasks:cancel',
      tenants: true,
      parameters: [inPath('id')],
      answers: { 200: ['As it is now.', ref('BulkAction')] },
      problems: ['invalid-id', 'not-found', 'not-legal-now'],
    },
  },
  '/api/v1/agents': {
    post: {
      summary: 'Register an agent, or a new generation of it',
      scope: 'agents:register',
      audited: false,
      body: ref('Register'),
      answers: { 201: ['Admitted: everything that it needs to work.', ref('Registration')] },
      problems: [
        'invalid-request',
        'invalid-json',
        'invalid-id',
        'unsupported-media-type',
        'max-agents',
        'ingress-stopped',
      ],
    },
    get: {
      summary: 'List agents',
      scope: 'read',
      parameters: paging,
      answers: { 200: ['A page.', ref('AgentList')] },
      problems: ['invalid-request', 'invalid-cursor'],
    },
  },
  '/api/v1/agents/{id}': {
    get: {
      summary: 'One agent',
      scope: 'read',
      parameters: [agentId],
      answers: { 200: ['The agent.', ref('Agent')] },
      problems: ['invalid-id', 'not-found'],
    },
    put: {
      summary: 'Pause, resume, drain or retire an agent',
      scope: 'agents:control',
      parameters: [agentId],
      body: ref('AgentUpdate'),
      answers: { 200: ['As it is now.', ref('Agent')], 202: ['Asked for, and not decided yet.', ref('Agent')] },
      problems: ['invalid-request', 'invalid-id', 'not-found', 'not-legal-now'],
    },
  },
  '/api/v1/agents/{id}/registration': {
    get: {
      summary: 'The present registration of an agent: what it needs to go on at this site of a pair',
      scope: 'agents:register',
      parameters: [agentId],
      answers: { 200: ['As its registration was answered, for this site.', ref('Registration')] },
      problems: ['invalid-id', 'not-found', 'not-legal-now', 'not-active'],
    },
  },
  '/api/v1/agents/{id}/inbox': {
    get: {
      summary: 'Messages for an agent that comes over HTTP; waits for the first one',
      scope: 'agents:work',
      parameters: [
        agentId,
        inQuery('wait', { type: 'integer', minimum: 0, maximum: limits.preferWaitSecondsMax }, 'Seconds.'),
        inQuery('limit', { type: 'integer', minimum: 1, maximum: limits.inboxMessagesMax }),
        inQuery('pending', { type: 'boolean' }, 'What was delivered before and not acknowledged.'),
      ],
      answers: { 200: ['The messages; none when none came in time.', ref('Inbox')] },
      problems: ['invalid-request', 'invalid-id'],
    },
  },
  '/api/v1/agents/{id}/acks': {
    post: {
      summary: 'Acknowledge messages',
      scope: 'agents:work',
      audited: false,
      parameters: [agentId],
      body: ref('Acks'),
      answers: { 200: ['How many were pending.', { type: 'object' }] },
      problems: ['invalid-request', 'invalid-json', 'invalid-id', 'unsupported-media-type'],
    },
  },
  '/api/v1/agents/{id}/reports': {
    post: {
      summary: 'Report: one, or an array; what is wrong with them comes as messages',
      scope: 'agents:work',
      audited: false,
      parameters: [agentId],
      body: ref('Reports'),
      answers: { 202: ['Appended to the outbox of the agent.', { type: 'object' }] },
      problems: ['invalid-request', 'invalid-json', 'invalid-id', 'not-found', 'too-large', 'unsupported-media-type'],
    },
  },
  '/api/v1/status': {
    get: {
      summary: 'The state of the site',
      scope: 'read',
      tenants: true,
      answers: { 200: ['The status.', ref('Status')] },
    },
  },
  '/api/v1/audit': {
    get: {
      summary: 'What operators asked for and what came of it, newest first',
      scope: 'admin',
      parameters: [
        inQuery('subject'),
        inQuery('action', { type: 'string' }, 'Method and route, as `PUT /api/v1/agents/{id}`.'),
        inQuery('target', { type: 'string' }, 'The address that was asked, as `/api/v1/agents/a-0-x`.'),
        inQuery('after', { type: 'string', format: 'date-time' }),
        inQuery('before', { type: 'string', format: 'date-time' }),
        ...paging,
      ],
      answers: { 200: ['A page; the header Link names the next one.', ref('AuditList')] },
      problems: ['invalid-request', 'invalid-cursor'],
    },
  },
  '/api/v1/conflicts': {
    get: {
      summary: 'Where the two sites of a pair wrote different histories, and what became of it; newest first',
      scope: 'read',
      parameters: [
        inQuery('actor', { type: 'string' }, 'Address, as `task/t-0-x`.'),
        inQuery('machine', { type: 'string' }, 'Definition, as `task`.'),
        ...paging,
      ],
      answers: { 200: ['A page; the header Link names the next one.', ref('ConflictList')] },
      problems: ['invalid-request', 'invalid-cursor'],
    },
  },
  '/api/v1/conflicts/{id}': {
    get: {
      summary: 'One conflict with both branches',
      scope: 'read',
      parameters: [inPath('id')],
      answers: { 200: ['The conflict.', ref('Conflict')] },
      problems: ['not-found'],
    },
  },
  '/api/v1/queues': {
    get: {
      summary: 'Queues: what waits and who could take it, by task type',
      scope: 'read',
      answers: { 200: ['The queues of all shards.', ref('QueueList')] },
    },
  },
  '/api/v1/queues/{type}/pause': {
    post: {
      summary: 'Give no more tasks of a type to agents',
      scope: 'admin',
      parameters: [inPath('type')],
      answers: { 200: ['Paused. What runs goes on.', ref('QueueState')] },
      problems: ['invalid-request', 'not-legal-now'],
    },
  },
  '/api/v1/queues/{type}/resume': {
    post: {
      summary: 'Give tasks of a type to agents again',
      scope: 'admin',
      parameters: [inPath('type')],
      answers: { 200: ['Resumed.', ref('QueueState')] },
      problems: ['invalid-request', 'not-legal-now'],
    },
  },
  '/api/v1/limits': {
    get: { summary: 'Named limits', scope: 'read', answers: { 200: ['The limits.', ref('LimitList')] } },
  },
  '/api/v1/limits/{name}': {
    get: {
      summary: 'One limit and what is used of it',
      scope: 'read',
      parameters: [inPath('name')],
      answers: { 200: ['The limit.', ref('Limit')] },
      problems: ['invalid-request', 'not-found'],
    },
    put: {
      summary: 'Set the units and the window of a limit',
      scope: 'admin',
      parameters: [inPath('name')],
      body: ref('LimitUpdate'),
      answers: { 200: ['As it is now.', ref('Limit')], 202: ['Asked for, and not decided yet.', ref('Limit')] },
      problems: ['invalid-request', 'invalid-json', 'unsupported-media-type'],
    },
  },
  ...scheduleOperations,
  ...siteOperations,
  '/api/v1/set-aside': {
    get: {
      summary: 'Entries that could not be applied, with their reasons',
      scope: 'admin',
      parameters: [inQuery('shard', { type: 'integer' }), inQuery('after'), paging[0]!],
      answers: { 200: ['The entries.', ref('SetAsideList')] },
      problems: ['invalid-request'],
    },
  },
  '/api/v1/set-aside/{shard}/{id}/redrive': {
    post: {
      summary: 'Decide an entry that was set aside once more',
      scope: 'admin',
      parameters: [inPath('shard', { type: 'integer' }), inPath('id')],
      answers: { 202: ['Decided; redriven is false when it was set aside again.', ref('Redriven')] },
      problems: ['invalid-request', 'invalid-id', 'not-found'],
    },
  },
  ...visualiserRoutes,
  '/api/v1/openapi.json': {
    get: {
      summary: 'This document',
      scope: 'read',
      tenants: true,
      answers: { 200: ['OpenAPI 3.1.', { type: 'object' }] },
    },
  },
  '/metrics': {
    get: {
      summary: 'Prometheus metrics',
      scope: 'read',
      answers: { 200: ['Metrics.', { type: 'string' }, 'text/plain'] },
    },
  },
  '/healthz': {
    get: { summary: 'The process lives', answers: { 200: ['It does.', { type: 'object' }] } },
  },
  '/readyz': {
    get: {
      summary: 'The process takes requests',
      answers: { 200: ['It does.', ref('Readiness')], 503: ['It does not.', ref('Readiness')] },
    },
  },
  '/version': {
    get: { summary: 'Version of the server', answers: { 200: ['The version.', { type: 'object' }] } },
  },
};

/** Methods of each path, upper case: what 405 names. */
export const methodsOf: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries(routes).map(([path, item]) => [path, Object.keys(item).map((method) => method.toUpperCase())]),
);
