/** A small definition for tests of `step`: every feature of a machine that the runtime has to carry, by its own event. */
import { assign, cancel, emit, enqueueActions, raise, setup } from 'xstate';
import * as z from 'zod';
import { loadDefinition, type Definition, type LoadedDefinition } from '../../runtime/core/definition.ts';
import { effectActions } from '../../runtime/core/effect.ts';

interface LampContext {
  presses: number;
  label?: string | undefined;
  kept?: unknown;
}

type LampEvent = { type: string; at?: number; self?: string; [member: string]: unknown };

const bare = (type: string) => z.strictObject({ type: z.literal(type) });
const commands = ['press', 'halt', 'guard', 'throw', 'loop', 'emit', 'queue', 'arm', 'rearm', 'disarm'] as const;

/** @param interpreted with a transition that only XState's own interpreter takes */
export function lampDefinition(interpreted: boolean, more: Partial<Definition> = {}): LoadedDefinition {
  const machine = setup({
    types: {} as { context: LampContext; events: LampEvent; input: { presses: number; fragile: boolean } },
    actions: {
      ...effectActions,
      count: assign(({ context }) => ({ presses: context.presses + 1 })),
      label: assign(({ event }) => ({ label: event['text'] as string | undefined })),
      keep: assign(({ event }) => ({ kept: event['nothing'] === true ? new Date(0) : { odd: undefined, even: 2 } })),
      throw: () => undefined,
      fail: assign(() => {
        throw new Error('an action failed');
      }),
      arm: raise({ type: 'chime', volume: 3 }, { id: 'bell', delay: 700 }),
    },
    guards: {
      bad: () => {
        throw new Error('a guard failed');
      },
      fragile: ({ event }) => (event as unknown as { input: { fragile: boolean } }).input.fragile,
    },
    delays: { dim: 1_000, never: Infinity, fraction: 0.4 },
  }).createMachine({
    id: 'lamp',
    context: ({ input }: { input: { presses: number; fragile: boolean } }) => {
      if (input.fragile) throw new Error('no such lamp');
      return { presses: input.presses };
    },
    initial: 'off',
    states: {
      off: {
        on: {
          press: { target: 'on', actions: 'count' },
          label: { actions: 'label' },
          keep: { actions: 'keep' },
          seen: { actions: 'count' },
          halt: 'halted',
          guard: { guard: 'bad', actions: 'count' },
          throw: { actions: 'fail' },
          loop: 'left',
          emit: { actions: emit({ type: 'lit' }) },
          queue: {
            actions: enqueueActions(({ enqueue }) => {
              enqueue('count');
              enqueue({ type: 'post', params: { mailbox: 'a-0-x', message: { kind: 'queued' } } });
            }),
          },
          arm: { actions: 'arm' },
          rearm: { actions: ['arm', 'count'] },
          disarm: { actions: [cancel('bell'), 'count'] },
          chime: { actions: 'count' },
          shout: {
            actions: {
              type: 'effects',
              params: ({ event }: { event: LampEvent }) => ({
                list: Array.from({ length: Number(event['times']) }, () => ({
                  kind: 'post' as const,
                  mailbox: 'a-0-x',
                  message: { kind: 'shout' },
                })),
              }),
            },
          },
        },
      },
      on: {
        on: { press: { target: 'off', actions: 'count' } },
        after: { dim: 'off', never: 'halted' },
      },
      left: { entry: raise({ type: 'swap' }), on: { swap: 'right' } },
      right: { entry: raise({ type: 'swap' }), on: { swap: 'left' } },
      halted: { type: 'final' },
      ...(interpreted && { aside: { always: 'off' } }),
    },
  } as never);
  return loadDefinition({
    id: 'lamp',
    version: 1,
    machine: machine as never,
    input: z.strictObject({ presses: z.int().default(0), fragile: z.boolean().default(false) }) as never,
    events: {
      ...Object.fromEntries(commands.map((type) => [type, bare(type)])),
      label: z.strictObject({ type: z.literal('label'), text: z.string().max(20).optional() }),
      keep: z.strictObject({ type: z.literal('keep'), nothing: z.boolean().default(false) }),
      seen: bare('seen'),
      shout: z.strictObject({ type: z.literal('shout'), times: z.int() }),
    } as never,
    reports: ['seen'],
    retentionMs: 5_000,
    ...more,
  });
}
