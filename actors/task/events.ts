/**
 * What a task is told from outside: its input and its events, with their schemas. The API, the streams and the OpenAPI
 * document share these.
 */
import * as z from 'zod';
import { limits } from '../../config/limits.ts';
import { isName } from '../../runtime/protocol/ids.ts';
import { exceedsBytes } from '../../runtime/protocol/json.ts';
import { uniqueSchema } from '../unique/schema.ts';
import { costSchema, demandShape } from './demand.ts';
import { settledParentsSchema, startShape, type Obstacle, type ParentNews } from './start.ts';

export const name = z
  .string()
  .max(limits.nameLengthMax)
  .refine(isName, 'is a letter followed by letters, digits, ".", "_" or "-"');

/** Any JSON. Not `z.json()`: it was parsed from JSON already, and a recursive schema cannot be compiled. */
const payload = z
  .unknown()
  .refine((value) => value !== undefined, 'is missing')
  .refine(
    (value) => value === undefined || !exceedsBytes(JSON.stringify(value), limits.payloadBytesMax),
    `is larger than ${limits.payloadBytesMax} bytes as JSON`,
  );

const yearMs = 366 * 24 * 3_600_000;
const duration = (from: number) => z.int().min(from).max(yearMs);

/** Retry policy: `delay = min(initial_delay_ms * factor ^ (failures - 1), max_delay_ms)`, plus or minus `jitter` of it. */
export const retrySchema = z.strictObject({
  max_attempts: z.int().min(1).max(100).default(5).describe('Failed attempts after which the task is parked.'),
  initial_delay_ms: duration(0).default(1_000),
  factor: z.number().min(1).max(10).default(2),
  max_delay_ms: duration(0).default(100_000),
  jitter: z.number().min(0).max(1).default(0.1).describe('Share of the delay that varies.'),
});

export const timeoutsSchema = z.strictObject({
  schedule_to_start_ms: duration(1).optional().describe('From submit to the first start; the task expires.'),
  start_to_close_ms: duration(1)
    .optional()
    .describe('One attempt, from its start; default [orchestrator] task_timeout.'),
  schedule_to_close_ms: duration(1).optional().describe('From submit to the end, retries included; the task expires.'),
  heartbeat_ms: duration(1).optional().describe('A running attempt that is not mentioned for this long is taken back.'),
});

/** Body of a submit. */
export const submitSchema = z.strictObject({
  type: name.describe('Task type; agents register for one.'),
  parameters: payload.default({}).describe('Given to the agent as it is; at most 256 KiB of JSON.'),
  priority: z.int().min(-1_000).max(1_000).default(0).describe('Higher first.'),
  tenant: name.optional(),
  retry: retrySchema.partial().optional(),
  timeouts: timeoutsSchema.optional(),
  cancel_grace_ms: duration(0).optional().describe('How long an agent may take to obey a cancel; default 30000.'),
  keep_ms: z
    .int()
    .min(limits.taskKeepLeastMs)
    .max(limits.taskKeepMostMs)
    .optional()
    .describe('How long it can be read from Redis when it is over; default [retention] finished_task_minutes.'),
  unique: uniqueSchema.optional().describe('There is to be one task of its kind at a time.'),
  ...demandShape,
  ...startShape,
});

/** Input of the machine: the submit, and what the API adds. */
export const inputSchema = submitSchema.omit({ unique: true }).extend({
  claim: z
    .strictObject({ key: z.string().max(2 * limits.idLengthMax), until: z.enum(['terminal', 'started', 'ttl']) })
    .optional()
    .describe('The uniqueness key that it holds.'),
  settled_parents: settledParentsSchema,
  fingerprint: z.string().max(64).optional().describe('Hash of the body, for submits with an Idempotency-Key.'),
  schedule: z
    .strictObject({ id: z.string().max(limits.idLengthMax), at: z.int().describe('Milliseconds since 1970.') })
    .optional()
    .describe('The schedule that submitted it, and the time that it is for.'),
  traceparent: z.string().max(128).optional().describe('W3C trace context of the submit.'),
});

export type { KnownEnding } from './start.ts';

const token = z.string().min(1).max(128);
const reason = z.string().max(limits.reasonLengthMax);
const attempt = { token, agent: z.string().max(limits.idLengthMax) };
/** What the attempt really cost; the budget is corrected by it. */
const cost = costSchema(0).optional();

export const errorSchema = z.looseObject({
  message: z.string().max(limits.errorMessageLengthMax),
  code: z.string().max(limits.nameLengthMax).optional(),
});

export const events = {
  cancel: z.strictObject({ type: z.literal('cancel'), reason: reason.optional() }),
  pause: z.strictObject({ type: z.literal('pause') }),
  resume: z.strictObject({ type: z.literal('resume') }),
  redrive: z.strictObject({ type: z.literal('redrive'), parameters: payload.optional() }),
  start: z.strictObject({ type: z.literal('start'), ...attempt }),
  progress: z.strictObject({
    type: z.literal('progress'),
    ...attempt,
    progress: z.number().min(0).max(1).optional(),
    note: reason.optional(),
  }),
  /** A partial result: the next one of its attempt. */
  chunk: z.strictObject({
    type: z.literal('chunk'),
    ...attempt,
    attempt: z.int().min(1),
    number: z.int().min(1),
    chunk: z
      .unknown()
      .refine((value) => value !== undefined, 'is missing')
      .refine(
        (value) => value === undefined || !exceedsBytes(JSON.stringify(value), limits.chunkBytesMax),
        `is larger than ${limits.chunkBytesMax} bytes as JSON`,
      ),
  }),
  complete: z.strictObject({ type: z.literal('complete'), ...attempt, result: payload, cost }),
  fail: z.strictObject({
    type: z.literal('fail'),
    ...attempt,
    error: errorSchema,
    retryable: z.boolean().default(true),
    cost,
  }),
  release: z.strictObject({ type: z.literal('release'), ...attempt, reason: reason.optional() }),
  cancelled: z.strictObject({ type: z.literal('cancelled'), ...attempt }),
};

/** Events that come as reports of agents; the others are commands. */
export const reports = ['start', 'progress', 'chunk', 'complete', 'fail', 'release', 'cancelled'] as const;

/** Events that only the runtime itself sends. */
export type DerivedEvent =
  /** `batch`: the agent takes several assignments in one inbox entry. */
  | { type: 'assign'; agent: string; token: string; attempt: number; batch?: true }
  | { type: 'revoke'; agent: string; reason: string }
  | { type: 'beat'; token: string }
  | { type: 'overdue' }
  /** Made of a branch of history that lost, in which the task had come to its end. */
  | { type: 'settle'; state: string; result?: unknown; error?: Record<string, unknown>; reason?: string }
  /** A child wants to hear how the task ends; a parent says how it ended. */
  | { type: 'await'; child: string }
  | ({ type: 'parent' } & ParentNews)
  /** Raised: what keeps it from the queue. */
  | { type: Obstacle };

type External = { [K in keyof typeof events]: z.infer<(typeof events)[K]> }[keyof typeof events];

/** What `step` adds to every event: the time of the batch and the actor's own id. */
export interface Stamp {
  at: number;
  self: string;
}

export type TaskEvent = (External | DerivedEvent) & Stamp;
export type TaskInput = z.infer<typeof inputSchema> & Stamp;
export type RetryPolicy = z.infer<typeof retrySchema>;
