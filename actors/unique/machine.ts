/**
 * A uniqueness key: makes the task that claims it, and is held by it. It is one actor of one shard, so of two submits that
 * come at the same time, to whatever process, one makes a task; and key and task are in one commit, or the task in the
 * outbound of that commit, so no crash leaves one without the other.
 *
 * free -> held -> free; gone when nobody wanted it for a while.
 */
import { assign, setup } from 'xstate';
import * as z from 'zod';
import { limits } from '../../config/limits.ts';
import type { Definition } from '../../runtime/core/definition.ts';
import { effectActions, type Effect } from '../../runtime/core/effect.ts';
import { address } from '../../runtime/protocol/ids.ts';
import type { JsonObject } from '../../runtime/protocol/json.ts';
import type { Stamp } from '../task/events.ts';
import type { ParentNews } from '../task/start.ts';
import { claimSchema, type Claim } from './events.ts';

interface UniqueContext {
  /** Task that holds it, or held it last. */
  holder?: string | undefined;
  until?: Claim['until'] | undefined;
  /** Milliseconds from the claim after which it is free whatever the holder does. */
  forMs?: number | undefined;
}

type UniqueEvent = (Claim | ({ type: 'parent' } & ParentNews) | { type: 'started'; task: string }) & Stamp;

/** A new task, which says how it ends; it waits for the one that it replaces. */
function begin({ task, input }: Claim, self: string, replaced: string | undefined): Effect[] {
  const to = address('task', task);
  const waits = replaced === undefined ? {} : { depends_on: [replaced], on_failure: 'run' };
  return [
    ...(replaced === undefined
      ? []
      : [
          {
            kind: 'send',
            to: address('task', replaced),
            event: { type: 'cancel', reason: `replaced by ${task}` },
          } satisfies Effect,
        ]),
    { kind: 'spawn', to, input: { ...(input as unknown as JsonObject), ...waits } },
    { kind: 'send', to, event: { type: 'await', child: address('unique', self) } },
  ];
}

const take = (replacing: boolean) =>
  [
    {
      type: 'effects',
      params: ({ context, event }: { context: UniqueContext; event: UniqueEvent }) => ({
        list: event.type === 'claim' ? begin(event, event.self, replacing ? context.holder : undefined) : [],
      }),
    },
    'hold',
  ] as const;

export const uniqueMachine = setup({
  types: {} as { context: UniqueContext; events: UniqueEvent },
  actions: {
    ...effectActions,
    hold: assign(({ event }) =>
      event.type === 'claim' ? { holder: event.task, until: event.until, forMs: event.for_ms } : {},
    ),
    note: assign({}),
  },
  guards: {
    replaces: ({ context, event }) =>
      event.type === 'claim' && event.on_conflict === 'replace' && event.task !== context.holder,
    /** Parked is no end: the task may be redriven. */
    over: ({ context, event }) =>
      event.type === 'parent' && event.task === context.holder && context.until !== 'ttl' && event.status !== 'parked',
    mine: ({ context, event }) => event.type !== 'claim' && event.task === context.holder,
    begun: ({ context, event }) =>
      event.type === 'started' && event.task === context.holder && context.until === 'started',
  },
  delays: {
    ttl: ({ context }) => context.forMs ?? Infinity,
    idle: () => limits.uniqueKeyIdleMs,
  },
}).createMachine({
  id: 'unique',
  context: {},
  initial: 'free',
  states: {
    free: {
      on: { claim: { target: 'held', actions: take(false) } },
      after: { idle: { target: 'gone' } },
    },
    held: {
      on: {
        claim: { guard: 'replaces', target: 'held', reenter: true, actions: take(true) },
        parent: [
          { guard: 'over', target: 'free' },
          { guard: 'mine', actions: 'note' },
        ],
        started: [
          { guard: 'begun', target: 'free' },
          { guard: 'mine', actions: 'note' },
        ],
      },
      after: { ttl: { target: 'free' } },
    },
    gone: { type: 'final' },
  },
});

export const uniqueDefinition: Definition = {
  id: 'unique',
  version: 1,
  machine: uniqueMachine,
  input: z.strictObject({}) as never,
  events: { claim: claimSchema as never },
  genesis: () => ({}),
  refusal: (actor, event) => {
    if (event.type !== 'claim' || actor.state !== 'held') return undefined;
    return event['task'] === actor.context['holder'] ? 'claimed' : 'taken';
  },
  retentionMs: 0,
};
