/** The events of a uniqueness key. */
import * as z from 'zod';
import { limits } from '../../config/limits.ts';
import { isId } from '../../runtime/protocol/ids.ts';
import { inputSchema } from '../task/events.ts';

export const claimSchema = z.strictObject({
  type: z.literal('claim'),
  task: z.string().max(limits.idLengthMax).refine(isId, 'is no id').describe('Id that the task is to have.'),
  input: inputSchema,
  until: z.enum(['terminal', 'started', 'ttl']),
  for_ms: z.int().min(1).optional(),
  on_conflict: z.enum(['reject', 'return_existing', 'replace']),
});

export type Claim = z.infer<typeof claimSchema>;
