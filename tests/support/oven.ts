/**
 * A definition for tests of `step`: clocks that may never ring, a guard that throws, a loop without end, regions with a
 * memory of where they were, and context that JSON cannot keep.
 */
import { assign, cancel, raise, setup } from 'xstate';
import * as z from 'zod';
import { loadDefinition, type Definition } from '../../runtime/core/definition.ts';
import { effectActions } from '../../runtime/core/effect.ts';
import type { Address } from '../../runtime/protocol/ids.ts';

interface OvenContext {
  bakeMs: number | null;
  bells: number;
  note?: unknown;
}
type OvenEvent =
  | {
      type:
        'bake' | 'stop' | 'open' | 'shut' | 'break' | 'spin' | 'spoil' | 'flood' | 'odd' | 'remind' | 'forget' | 'slam';
    }
  | { type: 'note'; text?: string | undefined }
  | { type: 'ring'; loud: boolean };

export const ovenAddress: Address = 'oven/o-0-kitchen';

const machine = setup({
  types: {} as { context: OvenContext; events: OvenEvent; input: { bake_ms?: number } },
  actions: {
    ...effectActions,
    count: assign({ bells: ({ context }) => context.bells + 1 }),
    keep: assign({ note: ({ event }) => (event.type === 'note' ? event.text : undefined) }),
    spoil: assign({ note: () => new Date(0) }),
    /** Not among the effects: a machine must not get away with it. */
    odd: () => undefined,
    remind: raise({ type: 'ring', loud: true }, { id: 'reminder', delay: 500 }),
    forget: cancel('reminder'),
  },
  guards: {
    broken: () => {
      throw new Error('the guard fell over');
    },
  },
  delays: { bake: ({ context }) => context.bakeMs ?? Infinity },
}).createMachine({
  id: 'oven',
  context: ({ input }) => ({ bakeMs: input.bake_ms ?? null, bells: 0 }),
  initial: 'cold',
  states: {
    cold: {
      on: {
        bake: 'hot',
        break: { guard: 'broken', target: 'hot' },
        spin: 'dizzy',
        spoil: { actions: 'spoil' },
        odd: { actions: 'odd' },
        flood: {
          actions: {
            type: 'effects',
            params: {
              list: Array.from({ length: 10_001 }, () => ({ kind: 'openMailbox' as const, mailbox: 'a-0-x' })),
            },
          },
        },
        note: { actions: 'keep' },
        remind: { actions: 'remind' },
        forget: { actions: 'forget' },
        ring: { actions: 'count' },
      },
    },
    hot: {
      type: 'parallel',
      on: { stop: 'aside', ring: { actions: 'count' } },
      after: { bake: 'done' },
      states: {
        door: {
          initial: 'shut',
          // The whole region is left and entered: XState then has it last.
          on: { slam: { target: 'door', reenter: true } },
          states: { shut: { on: { open: 'ajar', note: { actions: 'count' } } }, ajar: { on: { shut: 'shut' } } },
        },
        light: {
          initial: 'dim',
          on: { note: { actions: 'keep' } },
          states: { dim: { after: { 200: 'bright' } }, bright: {} },
        },
        was: { type: 'history', history: 'deep' },
      },
    },
    aside: { on: { bake: 'hot.was', stop: 'cold' } },
    dizzy: { always: 'dizzier' },
    dizzier: { always: 'dizzy' },
    done: { type: 'final', entry: 'count' },
  },
});

const plain = (type: string): z.ZodType => z.strictObject({ type: z.literal(type) });

export const ovenDefinition: Definition = {
  id: 'oven',
  version: 1,
  machine,
  input: z.strictObject({ bake_ms: z.int().min(0).optional() }) as never,
  events: {
    ...Object.fromEntries(
      ['bake', 'stop', 'open', 'shut', 'break', 'spin', 'spoil', 'flood', 'odd', 'remind', 'forget', 'slam'].map(
        (type) => [type, plain(type)],
      ),
    ),
    note: z.strictObject({ type: z.literal('note'), text: z.string().optional() }),
    ring: z.strictObject({ type: z.literal('ring'), loud: z.boolean() }),
  } as never,
  reports: ['ring'],
  retentionMs: 3_000,
};

export const oven = loadDefinition(ovenDefinition);
