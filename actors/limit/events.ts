/** What may be said of a limit from outside. */
import * as z from 'zod';
import { limits } from '../../config/limits.ts';

/** Body of a PUT. */
export const limitSchema = z.strictObject({
  units: z.int().min(1).max(limits.limitUnitsMax).describe('Units in each window.'),
  window_ms: z
    .int()
    .min(100)
    .max(limits.limitWindowMs)
    .describe('Length of a window; windows are aligned to the clock.'),
});
