/**
 * The queue of one task type, where it has to be remembered that operators paused it. It lives in the shard of the type;
 * a type that nobody ever paused has none. A paused queue takes tasks in and gives none to agents; what runs goes on.
 */
import { setup } from 'xstate';
import * as z from 'zod';
import type { Definition } from '../../runtime/core/definition.ts';
import { name } from '../task/events.ts';

interface QueueContext {
  type: string;
}

export const queueMachine = setup({
  types: {} as {
    context: QueueContext;
    events: { type: 'pause' } | { type: 'resume' };
    input: QueueContext;
  },
}).createMachine({
  id: 'queue',
  context: ({ input }) => ({ type: input.type }),
  initial: 'serving',
  states: {
    serving: { on: { pause: 'paused' } },
    paused: { on: { resume: 'serving' } },
  },
});

export const queueDefinition: Definition = {
  id: 'queue',
  version: 1,
  machine: queueMachine,
  input: z.strictObject({ type: name }) as never,
  events: {
    pause: z.strictObject({ type: z.literal('pause') }),
    resume: z.strictObject({ type: z.literal('resume') }),
  } as never,
  resident: true,
  retentionMs: Infinity,
};
