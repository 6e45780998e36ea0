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
      event.type === 'checked'
        ? {
            lastCheck: {
              ...{ at: event.at, equal: event.equal, full: event.full, compared: event.compared, drift: event.drift },
            },
          }
        : {},
    ),
  },
  guards: {
    is: ({ event }, params: { link: LinkState }) => event.type === 'observed' && event.link === params.link,
    full: ({ event }) => (event.type === 'check' || event.type === 'checked') && event.full === true,
  },
  delays: { interval: ({ context }) => context.intervalMs },
});

const observed = linkStates
  .filter((link) => link !== 'paused')
  .map((link) => ({ guard: { type: 'is', params: { link } }, target: `.${link}`, actions: 'observe' }) as const);
const inFull = { guard: 'full', target: 'due_in_full' } as const;
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
        resting: { on: { check: [inFull, { target: 'due' }] }, after: { interval: 'due' } },
        due: { on: { check: inFull, checked: { target: 'resting', actions: 'compared' } } },
        // The sample that was under way when this was asked for is no answer to it.
        due_in_full: { on: { checked: { guard: 'full', target: 'resting', actions: 'compared' } } },
      },
    },
  },
});

export const syncDefinition: Definition = {
  id: 'sync',
  version: 2,
  machine: syncMachine,
  input: syncInput as never,
  events: syncEvents as never,
  resident: true,
  retentionMs: Infinity,
  // A check in full came with version 2; what was stored before stays as it is.
  migrations: { 1: (stored) => ({ ...stored, version: '2-c5f7e9e2' }) },
};
