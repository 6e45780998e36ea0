/**
 * A named limit: so many units per window for the whole site (requests, tokens, money). It hands units out to the
 * allotments of the shards, and never more than a window has.
 */
import { assign, setup } from 'xstate';
import * as z from 'zod';
import type { Definition } from '../../runtime/core/definition.ts';
import { effectActions, type Effect } from '../../runtime/core/effect.ts';
import type { Stamp } from '../task/events.ts';
import { limitSchema } from './events.ts';
import { corrected, drawn, reset, type Account, type Draw } from './account.ts';
import { allotmentAddress, nameOfId } from './address.ts';

type LimitEvent = (
  | ({ type: 'set' } & z.infer<typeof limitSchema>)
  | ({ type: 'draw' } & Draw)
  | { type: 'correct'; units: number; chargedAt: number }
) &
  Stamp;

/** Whoever was denied asks once more. */
function callWaiting(context: Account, self: string): Effect[] {
  return Object.keys(context.waiting).map((shard) => ({
    kind: 'send',
    to: allotmentAddress(Number(shard), nameOfId(self)),
    event: { type: 'again' },
  }));
}

export const limitMachine = setup({
  types: {} as { context: Account; events: LimitEvent },
  actions: {
    ...effectActions,
    set: assign(({ context, event }) =>
      event.type === 'set' ? { ...reset(context, event.units, event.window_ms, event.at), waiting: {} } : {},
    ),
    draw: assign(({ context, event }) => (event.type === 'draw' ? drawn(context, event, event.at).account : {})),
    correct: assign(({ context, event }) => {
      if (event.type !== 'correct') return {};
      const account = corrected(context, event.units, event.chargedAt, event.at);
      return event.units < 0 ? { ...account, waiting: {} } : account;
    }),
  },
}).createMachine({
  id: 'limit',
  context: { windowAt: 0, used: 0, waiting: {} },
  initial: 'counting',
  states: {
    counting: {
      on: {
        set: {
          actions: [
            { type: 'effects', params: ({ context, event }) => ({ list: callWaiting(context, event.self) }) },
            'set',
          ],
        },
        draw: {
          actions: [
            {
              type: 'send',
              params: ({ context, event }) => ({
                to: allotmentAddress(event.shard, nameOfId(event.self)),
                event: drawn(context, event, event.at).answer,
              }),
            },
            'draw',
          ],
        },
        correct: {
          actions: [
            {
              type: 'effects',
              params: ({ context, event }) => ({ list: event.units < 0 ? callWaiting(context, event.self) : [] }),
            },
            'correct',
          ],
        },
      },
    },
  },
});

export const limitDefinition: Definition = {
  id: 'limit',
  version: 1,
  machine: limitMachine,
  input: z.strictObject({}) as never,
  events: { set: limitSchema.extend({ type: z.literal('set') }) as never },
  genesis: () => ({}),
  resident: true,
  retentionMs: Infinity,
};
