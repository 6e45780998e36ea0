/**
 * The fleet: counts the agents of the site, so that max_agents holds although agents live in many shards. It is one actor;
 * agents ask it across shards when they register, and tell it when they go.
 */
import { assign, setup } from 'xstate';
import * as z from 'zod';
import type { Definition } from '../../runtime/core/definition.ts';
import { effectActions } from '../../runtime/core/effect.ts';
import { address } from '../../runtime/protocol/ids.ts';
import type { Stamp } from '../task/events.ts';

interface FleetContext {
  members: Readonly<Record<string, 1>>;
}

type FleetEvent = ({ type: 'admit'; agent: string; max: number } | { type: 'leave'; agent: string }) & Stamp;

export const fleetMachine = setup({
  types: {} as { context: FleetContext; events: FleetEvent },
  actions: {
    ...effectActions,
    add: assign(({ context, event }) => ({ members: { ...context.members, [event.agent]: 1 as const } })),
    remove: assign(({ context, event }) => {
      const members = { ...context.members };
      delete members[event.agent];
      return { members };
    }),
  },
  guards: {
    room: ({ context, event }) =>
      event.type === 'admit' && (event.agent in context.members || Object.keys(context.members).length < event.max),
    member: ({ context, event }) => event.agent in context.members,
  },
}).createMachine({
  id: 'fleet',
  context: { members: {} },
  initial: 'counting',
  states: {
    counting: {
      on: {
        admit: [
          {
            guard: 'room',
            actions: [
              'add',
              {
                type: 'send',
                params: ({ event }) => ({ to: address('agent', event.agent), event: { type: 'admitted' } }),
              },
            ],
          },
          {
            actions: {
              type: 'send',
              params: ({ event }) => ({
                to: address('agent', event.agent),
                event: {
                  type: 'rejected',
                  reason: `max_agents (${event.type === 'admit' ? event.max : 0}) agents are registered`,
                },
              }),
            },
          },
        ],
        leave: { guard: 'member', actions: 'remove' },
      },
    },
  },
});

export const fleetDefinition: Definition = {
  id: 'fleet',
  version: 1,
  machine: fleetMachine,
  input: z.strictObject({}) as never,
  events: {},
  genesis: () => ({}),
  resident: true,
  retentionMs: Infinity,
};
