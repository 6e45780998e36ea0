/** What the mirror of a site is told: how it stands, and what operators want. */
import * as z from 'zod';
import { limits } from '../../config/limits.ts';

const count = z.int().min(0);
const text = z.string().max(limits.errorMessageLengthMax);

export const linkStates = [
  'idle',
  'connecting',
  'catching_up',
  'streaming',
  'lagging',
  'disconnected',
  'reconciling',
  'copying',
  'refused',
  'paused',
] as const;
export type LinkState = (typeof linkStates)[number];

export const syncInput = z.strictObject({ interval_ms: z.int().min(1_000) });

export const refusalSchema = z.strictObject({ name: text, detail: text, remedy: text });
export const driftSchema = z.strictObject({ shard: count, actor: text, detail: text });

export const syncEvents = {
  /** How the mirrors of all shards stand together. */
  observed: z.strictObject({
    type: z.literal('observed'),
    link: z.enum(linkStates).exclude(['paused']),
    lag_entries: count,
    lag_ms: count,
    copied: count.optional(),
    refusal: refusalSchema.optional(),
  }),
  pause: z.strictObject({ type: z.literal('pause') }),
  resume: z.strictObject({ type: z.literal('resume') }),
  /** Both sites are to be compared now, and not at the next interval; in full, and not by a sample of every shard. */
  check: z.strictObject({ type: z.literal('check'), full: z.boolean().optional() }),
  checked: z.strictObject({
    type: z.literal('checked'),
    equal: z.boolean(),
    full: z.boolean().optional(),
    /** Actors that were found alike. */
    compared: count.optional(),
    drift: z.array(driftSchema).max(limits.driftReportMax),
  }),
} as const;

export type SyncInput = z.infer<typeof syncInput>;
export type SyncEvent = z.infer<(typeof syncEvents)[keyof typeof syncEvents]>;

export interface SyncContext {
  intervalMs: number;
  /** Links that the other site has and this one lacks, and the age of the oldest of them. */
  lagEntries: number;
  lagMs: number;
  observedAt?: number | undefined;
  /** Snapshots that a full copy has brought so far. */
  copied?: number | undefined;
  refusal?: z.infer<typeof refusalSchema> | undefined;
  lastCheck?:
    | {
        at: number;
        equal: boolean;
        full?: boolean | undefined;
        compared?: number | undefined;
        drift: readonly z.infer<typeof driftSchema>[];
      }
    | undefined;
}
