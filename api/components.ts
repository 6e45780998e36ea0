/** Schemas of the OpenAPI document: requests from the schemas that check them, answers as the routes shape them. */
import * as z from 'zod';
import { registerSchema } from '../actors/agent/events.ts';
import { agentStatuses } from '../actors/agent/status.ts';
import { scheduleSchema, scheduleUpdateSchema } from '../actors/schedule/schema.ts';
import { submitSchema } from '../actors/task/events.ts';
import { limitSchema } from '../actors/limit/events.ts';
import { taskStatuses } from '../actors/task/status.ts';
import { bulkCancelSchema, bulkRedriveSchema } from '../actors/bulk/events.ts';
import { statusSchema } from './agents.ts';
import { acksSchema, reportsSchema } from './gateway.ts';
import { problemCodes } from './problem.ts';
import { redriveSchema } from './tasks.ts';
import { reasonCodes } from './waiting.ts';
import { scheduleComponent } from './schedules/components.ts';
import { siteListComponent } from './sites/components.ts';
import { whatIfSchema } from './visualiser/actors.ts';
import { actorComponents } from './visualiser/components.ts';

export type Schema = Record<string, unknown>;

export const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });

const string: Schema = { type: 'string' };
const integer: Schema = { type: 'integer' };
const time: Schema = { type: 'string', format: 'date-time' };
const json: Schema = { description: 'Any JSON value.' };
const count: Schema = { type: 'integer', minimum: 0 };
const counts: Schema = { type: ['object', 'null'], additionalProperties: count };

const object = (properties: Record<string, Schema>, optional: readonly string[] = []): Schema => ({
  type: 'object',
  properties,
  required: Object.keys(properties).filter((name) => !optional.includes(name)),
});

const list = (name: string): Schema =>
  object({ items: { type: 'array', items: ref(name) }, next: { type: ['string', 'null'], description: 'Cursor.' } });

/** As JSON Schema, with what it shares inlined: a reference inside of a part of a document would lead nowhere. */
function fromZod(schema: z.ZodType): Schema {
  const { $schema: _, ...whole } = z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
    // `z.json()` refers to itself; what it says is: anything.
    override: ({ zodSchema, jsonSchema }) => {
      if (!(zodSchema instanceof z.ZodLazy)) return;
      for (const name of Object.keys(jsonSchema)) delete jsonSchema[name as keyof typeof jsonSchema];
    },
  });
  return withoutDefinitions(whole);
}

function withoutDefinitions(schema: Schema): Schema {
  const { $defs, ...rest } = schema;
  const definitions = ($defs ?? {}) as Record<string, Schema>;
  const inline = (value: unknown, depth: number): unknown => {
    if (Array.isArray(value)) return value.map((part) => inline(part, depth));
    if (typeof value !== 'object' || value === null) return value;
    const { $ref, ...members } = value as Schema;
    const name = typeof $ref === 'string' ? /^#\/\$defs\/(.+)$/.exec($ref)?.[1] : undefined;
    const target = name === undefined ? {} : isAnything(definitions[name]) || depth > 8 ? {} : definitions[name];
    return Object.fromEntries(
      Object.entries({ ...target, ...members }).map(([key, part]) => [key, inline(part, depth + (name ? 1 : 0))]),
    );
  };
  return inline(rest, 0) as Schema;
}

/** The definition of `z.json()`: a union that takes every JSON value. */
function isAnything(definition: Schema | undefined): boolean {
  return Array.isArray(definition?.['anyOf']) && definition['anyOf'].length >= 6;
}

const task = object(
  {
    id: string,
    type: string,
    status: { enum: [...taskStatuses] },
    priority: integer,
    tenant: string,
    parameters: json,
    attempt: { ...count, description: 'Number of the present or last attempt.' },
    failures: { ...count, description: 'Attempts that count towards retry.max_attempts.' },
    agent: { ...string, description: 'Agent that holds or held the attempt.' },
    progress: { type: 'number', minimum: 0, maximum: 1 },
    note: string,
    result: json,
    error: { type: 'object' },
    reason: string,
    unique: { ...string, description: 'Id of the uniqueness key that it claimed.' },
    schedule: { ...string, description: 'The schedule that submitted it.' },
    scheduled_for: { ...time, description: 'The time that the schedule submitted it for.' },
    waiting_for: {
      type: 'array',
      items: {
        type: 'object',
        properties: { code: { enum: [...reasonCodes] } },
        required: ['code'],
        additionalProperties: true,
      },
      description: 'What a task that is not over waits for: every reason that holds now.',
    },
    explanation: { ...string, description: 'The same in one sentence, with the remedy.' },
    created_at: time,
    started_at: time,
    finished_at: time,
    status_since: time,
    revision: { ...integer, description: 'Counts transitions; also the ETag.' },
  },
  ['tenant', 'parameters', 'attempt', 'failures', 'agent', 'progress', 'note', 'result', 'error', 'reason'].concat([
    'unique',
    'schedule',
    'scheduled_for',
    'waiting_for',
    'explanation',
    'started_at',
    'finished_at',
    'status_since',
  ]),
);

const agent = object(
  {
    id: string,
    type: string,
    status: { enum: [...agentStatuses] },
    capabilities: { type: 'array', items: string },
    labels: { type: 'object', additionalProperties: { type: ['string', 'number'] } },
    resources: { type: 'object', additionalProperties: { type: 'number' } },
    slots: integer,
    slots_in_use: count,
    tasks: { type: 'array', items: string },
    version: string,
    generation: { ...integer, description: 'Counts registrations under this id.' },
    reason: string,
    registered_at: time,
    seen_at: time,
    revision: integer,
  },
  ['resources', 'slots_in_use', 'tasks', 'version', 'reason', 'seen_at'],
);

const registration = object({
  id: string,
  generation: integer,
  status: { enum: [...agentStatuses] },
  shard: integer,
  slots: integer,
  heartbeat_interval_ms: integer,
  redis: object(
    { url: string, nodes: { type: 'array', items: string }, group: string, inbox: string, outbox: string },
    ['nodes'],
  ),
  http: object({ token: string, inbox: string, acks: string, reports: string }),
  links: object({ self: string }),
});

const accepted = object(
  {
    id: string,
    status: { enum: ['submitted', ...taskStatuses], description: 'submitted: stored, and not decided yet.' },
    links: object({ self: string, history: string, events: string }),
    existing: { const: true, description: 'The uniqueness key was held: this is the task that holds it.' },
  },
  ['existing'],
);

const status = object({
  site: object({ name: string, role: string, version: string, shards: integer, max_agents: integer }),
  health: object({
    redis: string,
    postgres: string,
    shards_held: count,
    slowest_shard_ms: count,
    findings: { type: 'array', items: { type: 'object' } },
  }),
  tasks: { ...counts, description: 'By status; null while PostgreSQL does not answer.' },
  agents: { ...counts, description: 'By status; null while PostgreSQL does not answer.' },
  lanes: {
    type: 'array',
    items: object({
      type: string,
      queued: count,
      running: count,
      agents: count,
      slots: count,
      free_slots: count,
      wanted_agents: { ...count, description: 'Agents with which everything that waits would run.' },
      oldest_queued_ms: { type: 'number' },
    }),
  },
  sync: object({ state: string, detail: string, lag_entries: integer, lag_ms: integer }, [
    'detail',
    'lag_entries',
    'lag_ms',
  ]),
  projection: object({ lag_seconds: { type: 'number' } }),
});

const bulkAction = object(
  {
    id: string,
    action: { enum: ['cancel', 'redrive'] },
    status: { enum: ['submitted', 'running', 'paused', 'stopping', 'finished', 'stopped'] },
    filter: { type: 'object' },
    rate_per_second: count,
    reason: string,
    subject: string,
    matched: { ...count, description: 'Tasks that matched when it was asked for.' },
    applied: { ...count, description: 'Tasks that took it.' },
    refused: { ...count, description: 'Tasks that did not, because they had gone on meanwhile.' },
    refusals: { type: 'object', additionalProperties: count, description: 'The same by reason.' },
    note: { ...string, description: 'Why the last try of a page did not work out; it is tried again.' },
    created_at: time,
    finished_at: time,
    links: object({ self: string }),
  },
  ['filter', 'rate_per_second', 'reason', 'subject', 'applied', 'refused', 'refusals', 'note'].concat([
    'created_at',
    'finished_at',
  ]),
);

const queue = object({
  ...{ type: string, paused: { type: 'boolean' }, queued: count, running: count, agents: count },
  ...{ slots: count, free_slots: count, wanted_agents: count, oldest_queued_ms: { type: 'number' } },
  tenants: { ...count, description: 'Tenants with tasks that wait.' },
  behind_keys: { ...count, description: 'Tasks that wait behind a concurrency key.' },
});

const branchEntry = object({
  ...{ revision: integer, at: time, event: string, origin: string, to: string },
  from: { type: ['string', 'null'] },
});

const conflict = object(
  {
    ...{ id: string, actor: string, machine: string, found_at: time },
    fork: object({ ...{ epoch: integer, sequence: integer, revision: integer }, at: { type: ['string', 'null'] } }),
    winner: object({ ...{ site: string, epoch: integer }, before: string, after: string }),
    loser: object({ site: string, epoch: integer, state: string }),
    inputs: {
      type: 'array',
      items: object(
        {
          ...{ command_id: string, event: string, origin: string, by: string, sequence: integer, at: time },
          outcome: { enum: ['kept', 'applied', 'superseded'] },
          ...{ reason: string, state: string },
        },
        ['by', 'reason'],
      ),
    },
    correction: object({ told: string, stands: string }),
    unjoined: string,
    branches: {
      type: 'array',
      items: object(
        {
          ...{ site: string, epoch: integer, won: { type: 'boolean' } },
          entries: { type: 'array', items: branchEntry },
          truncated: { const: true, description: 'There is more: the history of the actor has it.' },
        },
        ['truncated'],
      ),
    },
  },
  ['correction', 'unjoined', 'branches'],
);

const limit = object(
  {
    name: string,
    units: { ...count, description: 'Units in each window; absent where tasks name a limit that nobody has set.' },
    window_ms: count,
    used: { ...count, description: 'Units handed out in this window; more than `units` where attempts cost more.' },
    window_ends_at: time,
  },
  ['units', 'window_ms', 'window_ends_at'],
);

export function components(): Record<string, Schema> {
  return {
    Submit: fromZod(submitSchema),
    Redrive: fromZod(redriveSchema),
    BulkCancel: fromZod(bulkCancelSchema),
    BulkRedrive: fromZod(bulkRedriveSchema),
    BulkCount: object({ action: string, matched: count, dry_run: { const: true } }),
    BulkAction: bulkAction,
    BulkActionList: list('BulkAction'),
    ScheduleCreate: fromZod(scheduleSchema),
    ScheduleUpdate: fromZod(scheduleUpdateSchema),
    Schedule: scheduleComponent,
    ScheduleList: list('Schedule'),
    Register: fromZod(registerSchema),
    AgentUpdate: fromZod(statusSchema),
    Acks: fromZod(acksSchema),
    Reports: fromZod(reportsSchema),
    Inbox: object({
      messages: {
        type: 'array',
        items: { type: 'object' },
        description: 'Those of scripts/agents/README.md, with `id`.',
      },
    }),
    Task: task,
    Accepted: accepted,
    BulkOutcome: object({
      accepted: count,
      refused: count,
      items: {
        type: 'array',
        items: {
          oneOf: [
            { allOf: [ref('Accepted'), object({ index: count })] },
            object({ index: count, error: ref('Problem') }),
          ],
        },
      },
    }),
    TaskList: list('Task'),
    Transition: object(
      {
        revision: integer,
        event: string,
        state: string,
        outcome: { enum: ['applied', 'duplicate', 'refused', 'retired'] },
        reason: string,
        origin: string,
        by: string,
        payload: json,
        at: time,
        position: string,
      },
      ['reason', 'by', 'payload'],
    ),
    History: list('Transition'),
    Chunk: object({
      attempt: count,
      number: { ...count, description: 'From 1 in each attempt, without gaps.' },
      chunk: json,
    }),
    ChunkList: list('Chunk'),
    Agent: agent,
    AgentList: list('Agent'),
    Registration: registration,
    Status: status,
    Ticket: object({ ticket: string, expires_in: { ...integer, description: 'Seconds.' } }),
    Audit: object(
      {
        id: { ...string, description: 'Of the request; its answer had it as X-Request-Id.' },
        at: time,
        subject: string,
        token: { ...string, description: '`jti` of the token.' },
        tenant: string,
        address: string,
        action: { ...string, description: 'Method and route.' },
        target: string,
        detail: { ...string, description: 'The beginning of the body.' },
        status: { ...integer, description: 'Of the answer; absent when none was seen to end.' },
        code: string,
        trace: string,
      },
      ['token', 'tenant', 'detail', 'status', 'code', 'trace'],
    ),
    AuditList: list('Audit'),
    SetAsideList: object({ items: { type: 'array', items: { type: 'object' } } }),
    Redriven: object({ id: string, shard: integer, redriven: { type: 'boolean' } }),
    WhatIf: fromZod(whatIfSchema),
    ...actorComponents,
    Readiness: object({
      status: { enum: ['ready', 'not ready'] },
      redis: string,
      postgres: string,
      findings: { type: 'array', items: { type: 'object' } },
    }),
    Queue: queue,
    Conflict: conflict,
    ConflictList: object({ conflicts: { type: 'array', items: ref('Conflict') }, next: { type: ['string', 'null'] } }),
    QueueList: object({ items: { type: 'array', items: ref('Queue') } }),
    QueueState: object({ type: string, paused: { type: 'boolean' } }),
    LimitUpdate: fromZod(limitSchema),
    Limit: limit,
    SiteList: siteListComponent,
    LimitList: object({ items: { type: 'array', items: ref('Limit') } }),
    Problem: {
      ...object(
        {
          type: { type: 'string', format: 'uri' },
          title: string,
          status: integer,
          code: { enum: Object.keys(problemCodes) },
          detail: string,
          where: { ...string, description: 'JSON pointer into the body, or the name of a header or parameter.' },
          remedy: string,
          state: { description: 'Present state of the machine that refused.' },
          holder: { ...string, description: 'Id of the task that holds the uniqueness key.' },
          legal: { type: 'array', items: string, description: 'Events that this state takes.' },
        },
        ['where', 'remedy', 'state', 'holder', 'legal'],
      ),
      description: 'RFC 9457. api/README.md has a paragraph for each code.',
    },
  };
}
