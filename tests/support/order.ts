/**
 * Two definitions that the product knows nothing of: an order (parallel, nested and history states, guards, `always`, `after`,
 * a delayed raise) and the stock in another shard that it asks. Registered as a user would register theirs.
 */
import { assign, raise, setup } from 'xstate';
import * as z from 'zod';
import type { Definition } from '../../runtime/core/definition.ts';
import { effectActions } from '../../runtime/core/effect.ts';
import type { MachineEvent } from '../../runtime/protocol/envelope.ts';
import { address, type Address } from '../../runtime/protocol/ids.ts';

interface OrderContext {
  stock: string;
  price: number;
  paid: number;
  weight: number;
  reminders: number;
  holds: number;
}

type OrderEvent = (
  { type: 'pay'; amount: number } | { type: 'hold' | 'resume' | 'reserved' | 'rejected' | 'remind' }
) & {
  self: string;
};

type OrderInput = Pick<OrderContext, 'stock' | 'price' | 'weight'>;

const orderMachine = setup({
  types: {} as { context: OrderContext; events: OrderEvent; input: OrderInput },
  actions: {
    ...effectActions,
    pay: assign({ paid: ({ context, event }) => context.paid + (event.type === 'pay' ? event.amount : 0) }),
    remember: assign({ reminders: ({ context }) => context.reminders + 1 }),
    hold: assign({ holds: ({ context }) => context.holds + 1 }),
  },
  guards: {
    enough: ({ context, event }) => event.type === 'pay' && context.paid + event.amount >= context.price,
    part: ({ event }) => event.type === 'pay' && event.amount > 0,
    heavy: ({ context }) => context.weight > 1_000,
  },
}).createMachine({
  id: 'order',
  context: ({ input }) => ({ ...input, paid: 0, reminders: 0, holds: 0 }),
  initial: 'open',
  states: {
    open: {
      type: 'parallel',
      on: { hold: { target: 'held', actions: 'hold' }, rejected: 'refused' },
      onDone: 'sent',
      states: {
        payment: {
          initial: 'due',
          states: {
            due: {
              entry: raise({ type: 'remind' } as OrderEvent, { id: 'reminder', delay: 250 }),
              on: {
                pay: [
                  { guard: 'enough', target: 'paid', actions: 'pay' },
                  { guard: 'part', actions: 'pay' },
                ],
                remind: { actions: 'remember' },
              },
            },
            paid: { type: 'final' },
          },
        },
        parcel: {
          initial: 'asking',
          states: {
            asking: {
              entry: {
                type: 'send',
                params: ({ context, event }) => ({
                  to: address('stock', context.stock),
                  event: {
                    type: 'reserve',
                    order: event.self ?? (event as unknown as { input: { self: string } }).input.self,
                  },
                }),
              },
              on: { reserved: 'packing' },
            },
            packing: {
              initial: 'wrapping',
              states: {
                wrapping: { after: { 300: 'labelling' } },
                labelling: { after: { 300: '#order.open.parcel.packed' } },
              },
            },
            packed: { type: 'final' },
          },
        },
        back: { type: 'history', history: 'deep' },
      },
    },
    held: { on: { resume: 'open.back' }, after: { 60_000: 'refused' } },
    sent: {
      initial: 'weighing',
      states: {
        weighing: { always: [{ guard: 'heavy', target: 'freight' }, { target: 'letter' }] },
        freight: { after: { 200: '#order.delivered' } },
        letter: { after: { 100: '#order.delivered' } },
      },
    },
    delivered: { type: 'final' },
    refused: { type: 'final' },
  },
});

interface StockContext {
  left: number;
  orders: readonly string[];
}

type StockEvent = { type: 'reserve'; order: string } | { type: 'fill'; by: number };

const stockMachine = setup({
  types: {} as { context: StockContext; events: StockEvent },
  actions: {
    ...effectActions,
    take: assign(({ context, event }) =>
      event.type === 'reserve' ? { left: context.left - 1, orders: [...context.orders, event.order] } : {},
    ),
    fill: assign(({ context, event }) => (event.type === 'fill' ? { left: context.left + event.by } : {})),
  },
  guards: { some: ({ context }) => context.left > 0 },
}).createMachine({
  id: 'stock',
  context: { left: 0, orders: [] },
  initial: 'keeping',
  states: {
    keeping: {
      on: {
        fill: { actions: 'fill' },
        reserve: [
          {
            guard: 'some',
            actions: ['take', { type: 'send', params: ({ event }) => answer(event, 'reserved') }],
          },
          { actions: { type: 'send', params: ({ event }) => answer(event, 'rejected') } },
        ],
      },
    },
  },
});

function answer(event: StockEvent, type: string): { to: Address; event: MachineEvent } {
  return { to: address('order', event.type === 'reserve' ? event.order : ''), event: { type } };
}

export const definitions: readonly Definition[] = [
  {
    id: 'order',
    version: 1,
    machine: orderMachine,
    input: z.strictObject({ stock: z.string(), price: z.number(), weight: z.number() }) as never,
    events: {
      pay: z.strictObject({ type: z.literal('pay'), amount: z.number().positive() }),
      hold: z.strictObject({ type: z.literal('hold') }),
      resume: z.strictObject({ type: z.literal('resume') }),
    } as never,
    retentionMs: Infinity,
  },
  {
    id: 'stock',
    version: 1,
    machine: stockMachine,
    input: z.strictObject({}) as never,
    events: { fill: z.strictObject({ type: z.literal('fill'), by: z.int() }) } as never,
    genesis: () => ({}),
    retentionMs: Infinity,
  },
];
