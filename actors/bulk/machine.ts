/**
 * One thing that is done to many tasks, page by page, at a rate. The actor keeps the place, the page and the counts; a worker
 * of the API finds the tasks of a page, tells each of them, and reports. A page that was not reported, because the worker
 * died, is done once more, and the tasks recognise commands that they have heard: nothing is left out and nothing done twice.
 */
import { and, assign, setup } from 'xstate';
import { limits } from '../../config/limits.ts';
import type { Definition } from '../../runtime/core/definition.ts';
import type { JsonObject } from '../../runtime/protocol/json.ts';
import type { Stamp } from '../task/events.ts';
import * as schemas from './events.ts';
import type { BulkContext } from './context.ts';
import type { BulkEvent, BulkInput } from './events.ts';

type Told = BulkEvent & Stamp;

function planned(event: Told & { type: 'take' }): NonNullable<BulkContext['page']> {
  return { ids: event.ids, ...(event.next !== undefined && { next: event.next }) };
}

function counted(context: BulkContext, event: Told & { type: 'page' }): Partial<BulkContext> {
  const refused = { ...context.refused };
  for (const [reason, count] of Object.entries(event.refused)) refused[reason] = (refused[reason] ?? 0) + count;
  const done = { worker: undefined, note: undefined, page: undefined, cursor: context.page?.next };
  return { ...done, applied: context.applied + event.applied, refused };
}

/** What it takes at the rate to tell the tasks of the page. */
function restMs({ ratePerSecond }: BulkContext, event: Told): number {
  if (event.type !== 'page') return limits.bulkRetryMs;
  const told = Object.values(event.refused).reduce((sum, count) => sum + count, event.applied);
  return Math.ceil((1_000 * told) / ratePerSecond);
}

const base = setup({
  types: {} as { context: BulkContext; events: Told; input: BulkInput & Stamp },
  actions: {
    plan: assign(({ event }) => (event.type === 'take' ? { worker: event.worker, page: planned(event) } : {})),
    again: assign(({ event }) => (event.type === 'take' ? { worker: event.worker } : {})),
    count: assign(({ context, event }) => (event.type === 'page' ? counted(context, event) : {})),
    note: assign(({ event }) => (event.type === 'give_back' ? { worker: undefined, note: event.note } : {})),
    drop: assign({ worker: undefined }),
    finish: assign(({ event }) => ({ finishedAt: event.at })),
  },
  guards: {
    own: ({ context, event }) => 'worker' in event && event.worker === context.worker,
    begun: ({ context }) => context.page !== undefined,
    here: ({ context, event }) => event.type === 'take' && event.from === context.cursor,
    nothing: ({ event }) => event.type === 'take' && event.ids.length === 0 && event.next === undefined,
    last: ({ context }) => context.page?.next === undefined,
  },
  delays: {
    lease: () => limits.bulkLeaseMs,
    rest: ({ context, event }) => restMs(context, event),
  },
});

const toEnd = { guard: and(['own', 'last']), target: 'finished', actions: 'count' } as const;
const operator = { pause: 'paused', stop: 'stopped' } as const;

export const bulkMachine = base.createMachine({
  id: 'bulk',
  meta: { merge: { external: ['pause', 'resume', 'stop'], precedence: ['finished', 'stopped'] } },
  context: ({ input }) => ({
    action: input.action,
    filter: input.filter as JsonObject,
    ratePerSecond: input.rate_per_second,
    ...(input.reason !== undefined && { reason: input.reason }),
    ...(input.parameters !== undefined && { parameters: input.parameters }),
    subject: input.subject,
    ...(input.tenant !== undefined && { tenant: input.tenant }),
    createdAt: input.at,
    matched: input.matched,
    applied: 0,
    refused: {},
  }),
  initial: 'ready',
  states: {
    ready: {
      on: {
        take: [
          { guard: 'begun', target: 'taken', actions: 'again' },
          { guard: and(['here', 'nothing']), target: 'finished' },
          { guard: 'here', target: 'taken', actions: 'plan' },
        ],
        ...operator,
      },
    },
    taken: {
      on: {
        page: [toEnd, { guard: 'own', target: 'resting', actions: 'count' }],
        give_back: { guard: 'own', target: 'resting', actions: 'note' },
        pause: 'paused',
        // What the worker does now still counts.
        stop: 'stopping',
      },
      after: { lease: { target: 'ready', actions: 'drop' } },
    },
    resting: { on: operator, after: { rest: 'ready' } },
    paused: {
      on: {
        page: [toEnd, { guard: 'own', actions: 'count' }],
        give_back: { guard: 'own', actions: 'note' },
        resume: { target: 'ready', actions: 'drop' },
        stop: 'stopped',
      },
    },
    stopping: {
      on: {
        page: { guard: 'own', target: 'stopped', actions: 'count' },
        give_back: { guard: 'own', target: 'stopped', actions: 'note' },
      },
      after: { lease: { target: 'stopped', actions: 'drop' } },
    },
    finished: { type: 'final', entry: 'finish' },
    stopped: { type: 'final', entry: 'finish' },
  },
});

export const bulkDefinition: Definition = {
  id: 'bulk',
  version: 1,
  machine: bulkMachine,
  input: schemas.inputSchema as never,
  events: schemas.events as never,
  retentionMs: limits.bulkKeepMs,
};
