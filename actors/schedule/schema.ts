/** What a schedule is told from outside: its body as REST takes it, its input and its events. */
import * as z from 'zod';
import { limits } from '../../config/limits.ts';
import { isName } from '../../runtime/protocol/ids.ts';
import { inputSchema, submitSchema } from '../task/events.ts';
import { nextNominal, type Timing } from './occurrence.ts';
import { patternProblem } from './pattern.ts';
import { zoneProblem } from './zone.ts';

const yearMs = 366 * 24 * 3_600_000;

const name = z
  .string()
  .max(limits.scheduleNameLengthMax)
  .refine(isName, 'is a letter followed by letters, digits, ".", "_" or "-"');

const shape = {
  cron: z
    .string()
    .max(limits.nameLengthMax)
    .superRefine((pattern, check) => {
      const problem = patternProblem(pattern);
      if (problem !== undefined) check.addIssue({ code: 'custom', message: problem });
    })
    .optional()
    .describe('Five fields, or six with the second first; or @hourly, @daily, @weekly, @monthly, @yearly.'),
  interval_ms: z
    .int()
    .min(limits.scheduleIntervalMinMs)
    .max(yearMs)
    .optional()
    .describe('Instead of cron; counted from start_at, or from the creation. Knows no daylight saving.'),
  timezone: z
    .string()
    .max(limits.nameLengthMax)
    .superRefine((zone, check) => {
      const problem = zoneProblem(zone);
      if (problem !== undefined) check.addIssue({ code: 'custom', message: problem });
    })
    .default('UTC')
    .describe('IANA time zone in which the cron pattern is read.'),
  start_at: z.iso.datetime({ offset: true }).optional().describe('No run before it.'),
  end_at: z.iso.datetime({ offset: true }).optional().describe('No run at it or after it.'),
  jitter_ms: z
    .int()
    .min(0)
    .max(limits.scheduleJitterMaxMs)
    .optional()
    .describe('Each run is late by up to so much, always by the same for the same time.'),
  overlap: z
    .enum(['skip', 'queue', 'allow', 'replace'])
    .default('skip')
    .describe(
      'While a task of it is not over: leave the run out, keep it until then, start it all the same, or cancel that task.',
    ),
  queue_max: z
    .int()
    .min(1)
    .max(limits.scheduleQueueMax)
    .default(1)
    .describe('With overlap "queue": runs that wait; further ones are left out.'),
  catch_up: z
    .enum(['none', 'last', 'all'])
    .default('last')
    .describe('Of runs that were missed because nothing was up: none, the last, or all up to catch_up_max.'),
  catch_up_max: z.int().min(1).max(limits.scheduleCatchUpMax).default(10),
  catch_up_window_ms: z.int().min(0).max(yearMs).default(86_400_000).describe('Older ones are not made up.'),
};

/** A run is a task like any other, but when it starts is the matter of the schedule. */
const waits = { delay_ms: true, run_at: true, depends_on: true, on_failure: true, ref: true, tenant: true } as const;

type Shape = z.infer<z.ZodObject<typeof shape>>;

function whole<T extends Shape>(body: T, check: z.RefinementCtx): void {
  const problem = wholeProblem(body);
  if (problem) check.addIssue({ code: 'custom', ...problem });
}

/** What the members are together. */
function wholeProblem(body: Shape): { path: string[]; message: string } | undefined {
  if (body.cron === undefined && body.interval_ms === undefined)
    return { path: ['cron'], message: 'is missing: a schedule has cron or interval_ms' };
  if (body.cron !== undefined && body.interval_ms !== undefined)
    return { path: ['interval_ms'], message: 'excludes cron: a schedule has one of them' };
  const timing = timingOf(body, 0);
  const { startAt, endAt } = timing;
  if (endAt !== undefined && startAt !== undefined && endAt <= startAt)
    return { path: ['end_at'], message: 'is not after start_at' };
  if (endAt !== undefined && startAt !== undefined && nextNominal(timing, startAt - 1) === undefined)
    return { path: ['end_at'], message: 'comes before the first run: it would never run' };
  return undefined;
}

/** @param createdAt where intervals are counted from when there is no start */
export function timingOf(body: Shape, createdAt: number): Timing {
  return {
    ...(body.cron !== undefined && { cron: body.cron.trim() }),
    ...(body.interval_ms !== undefined && { intervalMs: body.interval_ms }),
    timezone: body.timezone,
    ...(body.start_at !== undefined && { startAt: Date.parse(body.start_at) }),
    ...(body.end_at !== undefined && { endAt: Date.parse(body.end_at) }),
    ...(body.jitter_ms !== undefined && { jitterMs: body.jitter_ms }),
    catchUp: body.catch_up,
    catchUpMax: body.catch_up_max,
    catchUpWindowMs: body.catch_up_window_ms,
    createdAt,
  };
}

/** The first time that a body comes to after `now`, in milliseconds; undefined when there is none. */
export function firstTime(body: Shape, now: number): number | undefined {
  return nextNominal(timingOf(body, now), now);
}

const template = submitSchema.omit({ ...waits, unique: true }).describe('What is submitted each time.');

/** Body of POST /api/v1/schedules. */
export const scheduleSchema = z
  .strictObject({ name, tenant: submitSchema.shape.tenant, ...shape, task: template })
  .superRefine(whole);

/** Body of PUT /api/v1/schedules/{id}: everything but the name and the tenant, anew. */
export const scheduleUpdateSchema = z.strictObject({ ...shape, task: template }).superRefine(whole);

const machine = {
  ...shape,
  task: inputSchema.omit({ ...waits, claim: true, schedule: true }),
  task_shard: z.int().min(0).max(limits.shardsMax).describe('Where tasks of the type live.'),
};

export const scheduleInput = z.strictObject({ name, tenant: submitSchema.shape.tenant, ...machine }).superRefine(whole);

export const scheduleEvents = {
  pause: z.strictObject({ type: z.literal('pause') }),
  resume: z.strictObject({ type: z.literal('resume') }),
  trigger: z.strictObject({ type: z.literal('trigger') }),
  update: z.strictObject({ type: z.literal('update'), ...machine }).superRefine(whole),
  remove: z.strictObject({ type: z.literal('remove') }),
};

export type ScheduleInput = z.infer<typeof scheduleInput>;
export type ScheduleUpdate = z.infer<typeof scheduleEvents.update>;
