/** A definition that misbehaves on demand: what a shard must survive. Once it is `calm`, most of it goes well. */
import { assign, setup } from 'xstate';
import * as z from 'zod';
import type { Definition } from '../../runtime/core/definition.ts';
import { effectActions, type Effect } from '../../runtime/core/effect.ts';
import type { Address } from '../../runtime/protocol/ids.ts';

interface GrumpContext {
  count: number;
  text?: string;
  odd?: unknown;
}

type GrumpEvent =
  | { type: 'ok' | 'guard' | 'throw' | 'loop' | 'astray' | 'fanout' | 'odd' | 'later' }
  | { type: 'grow'; size: number }
  | { type: 'pass'; to: string; event: string };

/** Changed by a test, as a new release would change it. */
export const mood = { calm: false };

function grumble(what: string): void {
  if (!mood.calm) throw new Error(`${what} of a grump`);
}

/** A send to nobody: no commit can be made of it. */
const astray = {
  type: 'effects',
  params: () => ({
    list: mood.calm ? [] : [{ kind: 'send', to: undefined as unknown as Address, event: { type: 'ok' } } as const],
  }),
} as const;

const machine = setup({
  types: {} as { context: GrumpContext; events: GrumpEvent },
  actions: {
    ...effectActions,
    count: assign({ count: ({ context }) => context.count + 1 }),
    throw: assign(() => {
      grumble('an action');
      return {};
    }),
    grow: assign({ text: ({ event }) => 'x'.repeat(event.type === 'grow' ? event.size : 0) }),
    /** JSON has no such number. */
    odd: assign({ odd: () => (mood.calm ? 10 : 10n) }),
  },
  guards: {
    bad: () => {
      grumble('a guard');
      return true;
    },
  },
}).createMachine({
  id: 'grump',
  context: { count: 0 },
  initial: 'idle',
  states: {
    idle: {
      on: {
        ok: { actions: 'count' },
        guard: { guard: 'bad', actions: 'count' },
        throw: { actions: ['throw', 'count'] },
        loop: 'left',
        grow: { actions: ['grow', 'count'] },
        odd: { actions: ['odd', 'count'] },
        astray: { actions: ['count', astray] },
        fanout: {
          actions: [
            'count',
            {
              type: 'effects',
              params: ({ event }: { event: GrumpEvent & { self?: string } }) => ({
                list: Array.from({ length: 20_000 }, (): Effect => ({
                  kind: 'send',
                  to: `grump/${event.self ?? ''}`,
                  event: { type: 'ok' },
                })),
              }),
            },
          ],
        },
        pass: {
          actions: [
            'count',
            {
              type: 'send',
              params: ({ event }) => {
                const { to, event: type } = event as { to: Address; event: string };
                return { to, event: { type } };
              },
            },
          ],
        },
        later: { target: 'waiting', actions: 'count' },
      },
    },
    waiting: { after: { 50: { target: 'idle', actions: astray } } },
    left: { always: 'right' },
    right: { always: 'left' },
  },
});

const bare = (type: string) => z.strictObject({ type: z.literal(type) });

export const grumpDefinition: Definition = {
  id: 'grump',
  version: 1,
  machine,
  input: z.strictObject({}) as never,
  events: {
    ok: bare('ok'),
    guard: bare('guard'),
    throw: bare('throw'),
    loop: bare('loop'),
    astray: bare('astray'),
    fanout: bare('fanout'),
    odd: bare('odd'),
    grow: z.strictObject({ type: z.literal('grow'), size: z.number() }),
    later: z.strictObject({ type: z.literal('later') }),
    pass: z.strictObject({ type: z.literal('pass'), to: z.string(), event: z.string() }),
  } as never,
  genesis: () => ({}),
  retentionMs: Infinity,
};
