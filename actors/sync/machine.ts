/** How this site follows the other one, and when both are compared. */
import { assign, setup } from 'xstate';
import type { Definition } from '../../runtime/core/definition.ts';
import type { Stamp } from '../task/events.ts';
import {
  linkStates,
  syncEvents,
  syncInput,
  type LinkState,
  type SyncEvent,
  type SyncInput,
  type SyncContext,
} from './events.ts';

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
