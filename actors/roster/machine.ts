/**
 * The roster of one tenant: which schedules it has, so that there are not more than there may be. It lives in the shard of
 * these schedules, so one that registers is admitted in the commit that makes it.
 */
import { assign, not, setup } from 'xstate';
import * as z from 'zod';
import type { Definition } from '../../runtime/core/definition.ts';
import { effectActions } from '../../runtime/core/effect.ts';
import type { Address } from '../../runtime/protocol/ids.ts';
import type { Stamp } from '../task/events.ts';

interface RosterContext {
  /** Addresses, in the order in which they came. */
  members: readonly Address[];
}

type RosterEvent = { type: 'admit' | 'leave'; schedule: Address; max: number } & Stamp;

export const rosterMachine = setup({
  types: {} as { context: RosterContext; events: RosterEvent },
  actions: {
    ...effectActions,
    add: assign(({ context, event }) => ({ members: [...without(context, event), event.schedule] })),
    strike: assign(({ context, event }) => ({ members: without(context, event) })),
  },
  guards: {
    room: ({ context, event }) => without(context, event).length < event.max,
    member: ({ context, event }) => context.members.includes(event.schedule),
  },
}).createMachine({
  id: 'roster',
  context: { members: [] },
  initial: 'counting',
  states: {
    counting: {
      on: {
        admit: [
          { guard: 'room', actions: ['add', answer('admitted')] },
          { guard: not('room'), actions: answer('rejected') },
        ],
        leave: { guard: 'member', actions: 'strike' },
      },
    },
  },
});

function without({ members }: RosterContext, { schedule }: RosterEvent): Address[] {
  return members.filter((member) => member !== schedule);
}

function answer(type: 'admitted' | 'rejected') {
  return {
    type: 'send',
    params: ({ event }: { event: RosterEvent }) => ({ to: event.schedule, event: { type } }),
  } as const;
}

export const rosterDefinition: Definition = {
  id: 'roster',
  version: 1,
  machine: rosterMachine,
  input: z.strictObject({}) as never,
  events: {},
  genesis: () => ({}),
  resident: true,
  retentionMs: Infinity,
};
