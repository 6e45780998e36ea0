/**
 * A definition that counts what the relay brings: every `add` that a tally takes is passed on to its neighbour in another
 * shard and to one tally that hears from all. Lost or repeated deliveries show in the sums.
 */
import { assign, setup } from 'xstate';
import * as z from 'zod';
import type { Definition } from '../../runtime/core/definition.ts';
import { effectActions } from '../../runtime/core/effect.ts';
import { address, type Address } from '../../runtime/protocol/ids.ts';

interface TallyContext {
  taken: number;
  heard: number;
}

type TallyEvent = { type: 'add'; next: string } | { type: 'added' };

export const tallyOfAll = 'y-0-all';

export function tallyOf(shard: number): string {
  return `y-${shard}-sum`;
}

export function tallyAddress(id: string): Address {
  return address('tally', id);
}

const machine = setup({
  types: {} as { context: TallyContext; events: TallyEvent },
  actions: {
    ...effectActions,
    take: assign({ taken: ({ context }) => context.taken + 1 }),
    hear: assign({ heard: ({ context }) => context.heard + 1 }),
  },
}).createMachine({
  id: 'tally',
  context: { taken: 0, heard: 0 },
  initial: 'counting',
  states: {
    counting: {
      on: {
        add: {
          actions: [
            'take',
            {
              type: 'send',
              params: ({ event }) => ({ to: tallyAddress((event as { next: string }).next), event: { type: 'added' } }),
            },
            { type: 'send', params: { to: tallyAddress(tallyOfAll), event: { type: 'added' } } },
          ],
        },
        added: { actions: 'hear' },
      },
    },
  },
});

export const definitions: readonly Definition[] = [
  {
    id: 'tally',
    version: 1,
    machine,
    input: z.strictObject({}) as never,
    events: { add: z.strictObject({ type: z.literal('add'), next: z.string() }) as never },
    genesis: () => ({}),
    retentionMs: Infinity,
  },
];
