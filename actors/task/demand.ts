/**
 * What a task asks of the dispatcher beyond its type: a concurrency key, named limits with their cost, an agent of a
 * certain kind, room of a certain size. All of it is optional, and a task without any has no `demand` at all.
 */
import * as z from 'zod';
import { limits } from '../../config/limits.ts';
import { isName } from '../../runtime/protocol/ids.ts';

const name = z
  .string()
  .max(limits.nameLengthMax)
  .refine(isName, 'is a letter followed by letters, digits, ".", "_" or "-"');
const scalar = z.union([z.string().max(limits.nameLengthMax), z.number()]);

/** Name of a limit; shorter than others, because it is part of an id. */
export const limitName = name.max(limits.limitNameLengthMax);

const sized = <T extends z.ZodType>(value: T, max: number, what: string) =>
  z.record(name, value).refine((record) => Object.keys(record).length <= max, `has more than ${max} ${what}`);

export const resourcesSchema = sized(
  z.number().positive().max(limits.resourceUnitsMax),
  limits.resourcesMax,
  'resources',
);

/** Units by limit, as a task expects them or an agent reports them. */
export const costSchema = (from: 0 | 1) =>
  z
    .record(limitName, z.int().min(from).max(limits.limitUnitsMax))
    .refine(
      (record) => Object.keys(record).length <= limits.limitsPerTaskMax,
      `names more than ${limits.limitsPerTaskMax} limits`,
    );

const comparison = {
  label: name,
  op: z.enum(['=', '!=', '<', '<=', '>', '>=', 'in']).default('='),
  value: z.union([scalar, z.array(scalar).min(1).max(limits.labelsMax)]),
};

function fits({ op, value }: { op: string; value: unknown }): boolean {
  if (op === 'in') return Array.isArray(value);
  return op === '=' || op === '!=' ? !Array.isArray(value) : typeof value === 'number';
}
const rule = '"in" takes a list, "<", "<=", ">" and ">=" a number, "=" and "!=" one value';

export const demandShape = {
  concurrency: z
    .strictObject({
      key: z
        .string()
        .regex(/^[^\p{C}]*$/u, 'has control characters')
        .min(1)
        .max(limits.nameLengthMax)
        .describe('Counts within its task type and tenant.'),
      limit: z.int().min(1).max(limits.concurrencyMax).default(1).describe('Attempts under way at the same time.'),
      strategy: z
        .enum(['queue', 'cancel_in_progress', 'cancel_newest'])
        .default('queue')
        .describe('What happens beyond the limit: wait; cancel the oldest; cancel the newest.'),
    })
    .optional(),
  limits: costSchema(1).optional().describe('Units that an attempt costs, by name of the limit.'),
  requires: z
    .strictObject({
      capabilities: z.array(name).max(limits.capabilitiesMax).default([]),
      labels: z
        .array(z.strictObject(comparison).refine(fits, rule))
        .max(limits.labelsMax)
        .default([])
        .describe('All of them hold for the agent. A label that it does not have is only "!=".'),
    })
    .optional(),
  prefers: z
    .array(z.strictObject({ ...comparison, weight: z.int().min(-100).max(100).default(1) }).refine(fits, rule))
    .max(limits.labelsMax)
    .optional()
    .describe('Among agents that could take it, the one with the highest sum of weights does.'),
  resources: resourcesSchema.optional().describe('What the agent has to have free, and what the attempt holds of it.'),
  slots: z.int().min(1).max(limits.slotsMax).optional().describe('Slots that the attempt holds; default 1.'),
};

export type Demand = z.infer<z.ZodObject<typeof demandShape>>;
export type Requirements = NonNullable<Demand['requires']>;
export type Comparison = Requirements['labels'][number];
export type Preference = NonNullable<Demand['prefers']>[number];

/** What an attempt holds of its agent, where that is more than one slot. */
export interface Claim {
  readonly slots: number;
  readonly resources: Readonly<Record<string, number>>;
}

/** Context of a task that asks for anything; empty when it does not. */
export function withDemand(input: Demand): { demand?: Demand } {
  const { concurrency, limits: costs, requires, prefers, resources, slots } = input;
  const demand: Demand = {};
  if (concurrency) demand.concurrency = concurrency;
  if (costs && Object.keys(costs).length > 0) demand.limits = costs;
  if (requires && requires.capabilities.length + requires.labels.length > 0) demand.requires = requires;
  if (prefers && prefers.length > 0) demand.prefers = prefers;
  if (resources && Object.keys(resources).length > 0) demand.resources = resources;
  if (slots !== undefined && slots > 1) demand.slots = slots;
  return Object.keys(demand).length > 0 ? { demand } : {};
}

/** Undefined for an attempt that takes one slot and nothing else. */
export function claimOf(demand: Demand | undefined): Claim | undefined {
  if (demand?.slots === undefined && demand?.resources === undefined) return undefined;
  return { slots: demand.slots ?? 1, resources: demand.resources ?? {} };
}
