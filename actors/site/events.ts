/** What the role of a site is told: wishes of operators, and facts that its controller found out. */
import * as z from 'zod';
import { limits } from '../../config/limits.ts';

const epoch = z.int().min(1);
const reason = z.string().min(1).max(limits.reasonLengthMax);

export const siteInput = z.strictObject({
  number: z.union([z.literal(1), z.literal(2)]),
  mode: z.enum(['manual', 'witness']),
});

export const siteEvents = {
  /** Becomes active once it has everything that the other site still gives. */
  promote: z.strictObject({ type: z.literal('promote'), reason }),
  /** Becomes active with what is here. */
  force_promote: z.strictObject({ type: z.literal('force_promote'), reason }),
  /** Hands over to the other site. */
  switchover: z.strictObject({ type: z.literal('switchover'), reason }),
  /** The first start of a pair. */
  begin: z.strictObject({ type: z.literal('begin') }),
  /** An epoch that the other site has, or had. */
  heard: z.strictObject({ type: z.literal('heard'), epoch }),
  /** Nothing that the other site has is missing here. */
  caught_up: z.strictObject({ type: z.literal('caught_up') }),
  /** All gates are open under a new epoch. */
  opened: z.strictObject({ type: z.literal('opened'), epoch }),
  abandon: z.strictObject({ type: z.literal('abandon'), reason }),
  /** No process decides any more, and the gates are closed. */
  drained: z.strictObject({ type: z.literal('drained') }),
  /** The other site did not take over. */
  keep: z.strictObject({ type: z.literal('keep'), reason }),
  /** It may not be active any longer, and nobody has taken over yet. */
  fence: z.strictObject({ type: z.literal('fence'), reason }),
} as const;

export type SiteInput = z.infer<typeof siteInput>;
export type SiteEvent = z.infer<(typeof siteEvents)[keyof typeof siteEvents]>;
