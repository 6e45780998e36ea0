/**
 * The fleet: counts the agents of the site, so that max_agents holds although agents live in many shards. It is one actor;
 * agents ask it across shards when they register, and tell it when they go.
 */
import { assign, not, setup } from 'xstate';
import * as z from 'zod';
import type { Definition } from '../../runtime/core/definition.ts';
import { effectActions } from '../../runtime/core/effect.ts';
import { address } from '../../runtime/protocol/ids.ts';
import type { JsonObject } from '../../runtime/protocol/json.ts';
import type { Stamp } from '../task/events.ts';

interface FleetContext {
  /** Agent -> the generation that was admitted. */
  members: Readonly<Record<string, number>>;
}

/** `generation`: a word about a former generation may come after one about its successor, and then counts for nothing. */
type FleetEvent = (
  | { type: 'admit'; agent: string; generation: number; max: number }
  | { type: 'leave'; agent: string; generation: number }
) &
  Stamp;

const answer = (event: FleetEvent, type: 'admitted' | 'rejected', more: JsonObject = {}) => ({
  to: address('agent', event.agent),
  event: { type, generation: event.generation, ...more },
});

export const fleetMachine = setup({
  types: {} as { context: FleetContext; events: FleetEvent },
  actions: {
    ...effectActions,
    add: assign(({ context, event }) => ({ members: { ...context.members, [event.agent]: event.generation } })),
    remove: assign(({ context, event }) => {
      const members = { ...context.members };
      delete members[event.agent];
      return { members };
    }),
  },
  guards: {
    room: ({ context, event }) =>
      event.type === 'admit' &&
      (event.agent in context.members
        ? event.generation >= context.members[event.agent]!
        : Object.keys(context.members).length < event.max),
    outdated: ({ context, event }) => event.generation < (context.members[event.agent] ?? 0),
    member: ({ context, event }) => event.generation >= (context.members[event.agent] ?? Infinity),
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
            actions: ['add', { type: 'send', params: ({ event }) => answer(event, 'admitted') }],
          },
          {
            guard: not('outdated'),
            actions: {
              type: 'send',
              params: ({ event }) =>
                answer(event, 'rejected', {
                  reason: `max_agents (${event.type === 'admit' ? event.max : 0}) agents are registered`,
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
