/** What an agent actor is told from outside: its registration, what its reports say of it, and what operators ask. */
import * as z from 'zod';
import { limits } from '../../config/limits.ts';
import { isUnique } from '../../runtime/protocol/ids.ts';
import type { Claim } from '../task/demand.ts';
import { name, type Stamp } from '../task/events.ts';

const text = z.string().max(limits.reasonLengthMax);

/** Body of a registration. */
export const registerSchema = z.strictObject({
  type: name.describe('The one task type that this agent serves.'),
  id: z
    .string()
    .max(limits.idLengthMax - 16)
    .refine(isUnique, 'is 1 to 100 letters, digits, ".", "_", "~" or "-"')
    .optional()
    .describe('Stable name: a registration under the same name is a new generation of the same agent.'),
  capabilities: z.array(name).max(limits.capabilitiesMax).default([]),
  labels: z
    .record(name, z.union([z.string().max(limits.nameLengthMax), z.number()]))
    .refine((labels) => Object.keys(labels).length <= limits.labelsMax, `has more than ${limits.labelsMax} labels`)
    .default({}),
  resources: z
    .record(name, z.number().min(0).max(Number.MAX_SAFE_INTEGER))
    .refine((all) => Object.keys(all).length <= limits.resourcesMax, `has more than ${limits.resourcesMax} resources`)
    .default({})
    .describe('What it has of each, for example {"gpu": 1, "memory_mb": 4096}; tasks may claim parts of it.'),
  slots: z.int().min(1).max(limits.slotsMax).default(1).describe('Attempts that it runs at the same time.'),
  version: z.string().max(limits.nameLengthMax).optional(),
  batch: z.boolean().optional().describe('Assignments of one moment come in one inbox entry, in its field `batch`.'),
});

/** Input of the machine: the registration without its name, and what the site allows. */
export const inputSchema = registerSchema.omit({ id: true }).extend({
  max_agents: z.int().min(1).max(100_000).describe('[orchestrator] max_agents of the site.'),
});

export const events = {
  heartbeat: z.strictObject({
    type: z.literal('heartbeat'),
    generation: z.int().min(1).optional(),
    attempts: z
      .array(z.looseObject({ task: z.string().max(limits.idLengthMax), token: z.string().max(128) }))
      .max(limits.slotsMax)
      .default([]),
  }),
  /** Any other report: the agent is alive. Made by the intake, at most one per batch. */
  seen: z.strictObject({ type: z.literal('seen'), generation: z.int().min(1).optional() }),
  goodbye: z.strictObject({
    type: z.literal('goodbye'),
    generation: z.int().min(1).optional(),
    reason: text.optional(),
  }),
  drain: z.strictObject({ type: z.literal('drain') }),
  pause: z.strictObject({ type: z.literal('pause') }),
  resume: z.strictObject({ type: z.literal('resume') }),
  retire: z.strictObject({ type: z.literal('retire') }),
};

export const reports = ['heartbeat', 'seen', 'goodbye'] as const;

export type Registration = z.infer<typeof inputSchema>;

export type DerivedEvent =
  | { type: 'register'; input: Registration }
  | { type: 'admitted'; generation?: number }
  | { type: 'rejected'; reason: string; generation?: number }
  | { type: 'occupy'; tasks: readonly (readonly [task: string, watched: 0 | 1, claim?: Claim])[] }
  /** `stalled`: how many of the attempts ended because the agent did nothing for them. */
  | { type: 'release'; tasks: readonly string[]; stalled?: number }
  | { type: 'probation' }
  /** Made by the host, which reads the outbox. */
  | { type: 'quarantine'; reason: string };

type External = { [K in keyof typeof events]: z.infer<(typeof events)[K]> }[keyof typeof events];
export type AgentEvent = (External | DerivedEvent) & Stamp;
export type AgentInput = Registration & Stamp;
