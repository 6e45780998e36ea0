/**
 * What one shard may spend of a limit until the window ends. The dispatcher spends from it in the commit that assigns; when
 * it is short it asks the limit, and what is not spent when the window ends is void.
 */
import { assign, setup } from 'xstate';
import * as z from 'zod';
import type { Definition } from '../../runtime/core/definition.ts';
import { effectActions } from '../../runtime/core/effect.ts';
import { shardOfId } from '../../runtime/protocol/ids.ts';
import type { Stamp } from '../task/events.ts';
import type { Answer } from './account.ts';
import { limitAddress, nameOfId } from './address.ts';

export interface Allotment {
  name: string;
  /** Units that may be spent before `untilMs`. */
  free: number;
  untilMs: number;
  /** What the limit had left when it denied, and why it did. */
  left?: number | undefined;
  denial?: 'spent' | 'unknown' | 'too_large' | undefined;
  deniedUntilMs?: number | undefined;
  /** Units of a whole window, as last heard. */
  ofUnits?: number | undefined;
}

type AllotmentEvent = (
  Answer | { type: 'want'; least: number; units: number } | { type: 'spend'; units: number } | { type: 'again' }
) &
  Stamp;

/** An answer that is missing for so long is asked for again. */
const answerMs = 30_000;

export const allotmentMachine = setup({
  types: {} as { context: Allotment; events: AllotmentEvent; input: { name: string } },
  actions: {
    ...effectActions,
    spend: assign(({ context, event }) => (event.type === 'spend' ? { free: context.free - event.units } : {})),
    receive: assign(({ context, event }) => {
      if (event.type !== 'grant') return {};
      const kept = context.untilMs === event.untilMs ? context.free : 0;
      return {
        free: kept + event.units,
        untilMs: event.untilMs,
        ofUnits: event.ofUnits,
        ...{ denial: undefined, left: undefined, deniedUntilMs: undefined },
      };
    }),
    heed: assign(({ event }) =>
      event.type === 'deny'
        ? { denial: event.reason, left: event.left, deniedUntilMs: event.untilMs, ofUnits: event.ofUnits }
        : {},
    ),
    forget: assign({ denial: undefined, left: undefined, deniedUntilMs: undefined }),
  },
  delays: {
    answer: () => answerMs,
    window: ({ context, event }) =>
      context.deniedUntilMs === undefined ? Infinity : Math.max(1, context.deniedUntilMs - event.at),
  },
}).createMachine({
  id: 'allotment',
  context: ({ input }) => ({ name: input.name, free: 0, untilMs: 0 }),
  initial: 'idle',
  on: {
    spend: { actions: 'spend' },
    grant: { target: '.idle', actions: 'receive' },
    deny: { target: '.denied', actions: 'heed' },
    again: { target: '.idle', actions: 'forget' },
  },
  states: {
    idle: { on: { want: 'asking' } },
    asking: {
      entry: {
        type: 'send',
        params: ({ context, event }) => ({
          to: limitAddress(context.name),
          event: {
            type: 'draw',
            shard: shardOfId(event.self) ?? 0,
            least: event.type === 'want' ? event.least : 0,
            units: event.type === 'want' ? event.units : 0,
          },
        }),
      },
      // The answer is on its way already.
      on: { again: { actions: 'forget' } },
      after: { answer: 'idle' },
    },
    denied: {
      on: { want: 'asking' },
      after: { window: { target: 'idle', actions: 'forget' } },
    },
  },
});

export const allotmentDefinition: Definition = {
  id: 'allotment',
  version: 1,
  machine: allotmentMachine,
  input: z.strictObject({ name: z.string() }) as never,
  events: {},
  genesis: (id) => ({ name: nameOfId(id) }),
  resident: true,
  retentionMs: Infinity,
};
