/** How this site follows the other one, and when both are compared. */
import { assign, setup } from 'xstate';
import type * as z from 'zod';
import type { Definition } from '../../runtime/core/definition.ts';
import type { Stamp } from '../task/events.ts';
import {
  linkStates,
  syncEvents,
  syncInput,
  type LinkState,
  type SyncEvent,
  type SyncInput,
  type driftSchema,
  type refusalSchema,
} from './events.ts';

export interface SyncContext {
  intervalMs: number;
  /** Links that the other site has and this one lacks, and the age of the oldest of them. */
  lagEntries: number;
  lagMs: number;
  observedAt?: number | undefined;
  /** Snapshots that a full copy has brought so far. */
  copied?: number | undefined;
  refusal?: z.infer<typeof refusalSchema> | undefined;
  lastCheck?: { at: number; equal: boolean; drift: readonly z.infer<typeof driftSchema>[] } | undefined;
}

type Told = SyncEvent & Stamp;

const base = setup({
  types: {} as { context: SyncContext; events: Told; input: SyncInput & Stamp },
  actions: {
    observe: assign(({ event }) =>
      event.type === 'observed'
        ? {
            lagEntries: event.lag_entries,
            lagMs: event.lag_ms,
            copied: event.copied,
            refusal: event.refusal,
            observedAt: event.at,
          }
        : {},
    ),
    compared: assign(({ event }) =>
      event.type === 'checked' ? { lastCheck: { at: event.at, equal: event.equal, drift: event.drift } } : {},
    ),
  },
  guards: {
    is: ({ event }, params: { link: LinkState }) => event.type === 'observed' && event.link === params.link,
  },
  delays: { interval: ({ context }) => context.intervalMs },
});

const observed = linkStates
  .filter((link) => link !== 'paused')
  .map((link) => ({ guard: { type: 'is', params: { link } }, target: `.${link}`, actions: 'observe' }) as const);
const following = { on: { pause: 'paused' } } as const;

export const syncMachine = base.createMachine({
  id: 'sync',
  context: ({ input }) => ({ intervalMs: input.interval_ms, lagEntries: 0, lagMs: 0 }),
  type: 'parallel',
  states: {
    link: {
      initial: 'connecting',
      on: { observed: [...observed] },
      states: {
        idle: following,
        connecting: following,
        catching_up: following,
        streaming: following,
        lagging: following,
        disconnected: following,
        reconciling: following,
        copying: following,
        refused: following,
        // What was seen of mirrors that are being stopped does not end the pause.
        paused: { on: { resume: 'connecting', observed: { actions: 'observe' } } },
      },
    },
    check: {
      initial: 'resting',
      states: {
        resting: { on: { check: 'due' }, after: { interval: 'due' } },
        due: { on: { checked: { target: 'resting', actions: 'compared' } } },
      },
    },
  },
});

export const syncDefinition: Definition = {
  id: 'sync',
  version: 1,
  machine: syncMachine,
  input: syncInput as never,
  events: syncEvents as never,
  resident: true,
  retentionMs: Infinity,
};
