/** What a submit may ask of its uniqueness, and what its key is told. */
import * as z from 'zod';
import { limits } from '../../config/limits.ts';

const yearMs = 366 * 24 * 3_600_000;

export const uniqueSchema = z
  .strictObject({
    key: z
      .string()
      .regex(/^[^\p{C}]*$/u, 'has control characters')
      .min(1)
      .max(limits.nameLengthMax)
      .optional()
      .describe('What there is to be one of; without it, what `by` names.'),
    by: z
      .array(z.enum(['type', 'parameters']))
      .max(2)
      .optional()
      .describe('What counts beside the key and the tenant. Default: type; without a key: type and parameters.'),
    until: z
      .enum(['terminal', 'started', 'ttl'])
      .default('terminal')
      .describe('The key is held until its task is over, until an agent has it, or for for_ms whatever becomes of it.'),
    for_ms: z.int().min(1).max(yearMs).optional().describe('The key is held no longer than this.'),
    on_conflict: z
      .enum(['reject', 'return_existing', 'replace'])
      .default('reject')
      .describe('Refuse, answer with the task that is there, or cancel that one and start when it has stopped.'),
  })
  .superRefine(({ key, by, until, for_ms }, check) => {
    if (key === undefined && by?.length === 0)
      check.addIssue({
        code: 'custom',
        path: ['by'],
        message: 'is empty, and there is no key: nothing would be unique',
      });
    if (until === 'ttl' && for_ms === undefined)
      check.addIssue({ code: 'custom', path: ['for_ms'], message: 'is missing: until "ttl" needs it' });
  });

export type Unique = z.infer<typeof uniqueSchema>;
