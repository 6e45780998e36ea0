/** What is asked of many tasks at once, and what a bulk action is told while it goes on. */
import * as z from 'zod';
import { limits } from '../../config/limits.ts';
import { name, events as taskEvents } from '../task/events.ts';
import { taskStatuses, type TaskStatus } from '../task/status.ts';

const over: readonly TaskStatus[] = ['succeeded', 'cancelled', 'expired'];

/** Statuses that a cancel can still change. */
export const cancellable: readonly TaskStatus[] = taskStatuses.filter((status) => !over.includes(status));

const time = z.iso.datetime({ offset: true });
const text = z.string().min(1).max(limits.reasonLengthMax);

/** Which tasks: every member that is given has to hold. */
export const filterSchema = z
  .strictObject({
    status: z
      .array(z.enum(cancellable as [TaskStatus, ...TaskStatus[]]))
      .min(1)
      .optional()
      .describe('One of these; default: all that are not over.'),
    type: name.optional(),
    tenant: name.optional(),
    agent: z.string().min(1).max(limits.idLengthMax).optional().describe('It has the attempt, or had the last one.'),
    created_after: time.optional(),
    created_before: time.optional(),
    error: text.optional().describe('Part of the message of its last error, in any case of letters.'),
  })
  .refine(
    (filter) => Object.values(filter).some((value) => value !== undefined),
    'names nothing: all tasks would match',
  );

const rate = z
  .int()
  .min(1)
  .max(limits.bulkTasksPerSecondMax)
  .default(limits.bulkTasksPerSecondDefault)
  .describe('Tasks a second, at most.');

const asked = {
  filter: filterSchema,
  dry_run: z.boolean().default(false).describe('Only counts the tasks that match.'),
  rate_per_second: rate,
};

export const bulkCancelSchema = z.strictObject({
  ...asked,
  reason: z.string().max(limits.reasonLengthMax).optional().describe('What the history of each task says.'),
});

/** Parked tasks are the only ones that can be redriven. */
export const bulkRedriveSchema = z.strictObject({
  ...asked,
  parameters: taskEvents.redrive.shape.parameters.describe('Other parameters than before, the same for all.'),
});

export type BulkFilter = z.infer<typeof filterSchema>;

export const inputSchema = z.strictObject({
  action: z.enum(['cancel', 'redrive']),
  filter: z.record(z.string(), z.unknown()),
  rate_per_second: rate,
  reason: z.string().optional(),
  parameters: z.unknown().optional(),
  subject: z.string().max(limits.idLengthMax * 2),
  tenant: name.optional().describe('Of the token that asked.'),
  matched: z.int().min(0),
});

const worker = z.string().max(limits.idLengthMax);
const count = z.int().min(0);

export const events = {
  /**
   * A worker begins a page: the tasks that matched after `from`; without `next` they are the last ones. Where the actor has
   * a page that was begun and not reported, that one is done once more.
   */
  take: z.strictObject({
    type: z.literal('take'),
    worker,
    from: z.string().optional(),
    ids: z.array(z.string().max(limits.idLengthMax)).max(limits.bulkPageEntriesMax),
    next: z.string().optional(),
  }),
  /** It has told every task of the page. */
  page: z.strictObject({ type: z.literal('page'), worker, applied: count, refused: z.record(z.string(), count) }),
  /** It could not finish the page, which begins anew. */
  give_back: z.strictObject({ type: z.literal('give_back'), worker, note: z.string().max(limits.reasonLengthMax) }),
  pause: z.strictObject({ type: z.literal('pause') }),
  resume: z.strictObject({ type: z.literal('resume') }),
  stop: z.strictObject({ type: z.literal('stop') }),
};

export type BulkEvent = { [K in keyof typeof events]: z.infer<(typeof events)[K]> }[keyof typeof events];
export type BulkInput = z.infer<typeof inputSchema>;
