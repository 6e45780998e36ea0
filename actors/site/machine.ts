/**
 * The role of one site of a pair. It is the one word on who is active here; a controller makes the world fit it, and tells it
 * what it found out. An epoch is taken once, by the site whose number it ends with, and is above every epoch ever heard of.
 */
import { assign, setup } from 'xstate';
import type { Definition } from '../../runtime/core/definition.ts';
import { siteOfEpoch } from '../../runtime/protocol/siteepoch.ts';
import type { Stamp } from '../task/events.ts';
import { siteEvents, siteInput, type SiteEvent, type SiteInput } from './events.ts';
import type { SiteContext } from './status.ts';

type Told = SiteEvent & Stamp;

const because = (event: Told, reason: string): Partial<SiteContext> => ({ since: event.at, reason });

const base = setup({
  types: {} as { context: SiteContext; events: Told; input: SiteInput & Stamp },
  actions: {
    note: assign(({ context, event }) =>
      event.type === 'heard' ? { highest: Math.max(context.highest, event.epoch) } : {},
    ),
    take: assign(({ event }) =>
      event.type === 'opened' ? { epoch: event.epoch, highest: event.epoch, since: event.at } : {},
    ),
    because: assign(({ event }) => because(event, 'reason' in event ? event.reason : 'first start')),
    superseded: assign(({ event }) =>
      because(event, event.type === 'heard' ? `the other site took over under epoch ${event.epoch}` : ''),
    ),
    offered: assign(({ event }) => ({ since: event.at })),
  },
  guards: {
    own: ({ context, event }) =>
      event.type === 'opened' && event.epoch > context.highest && siteOfEpoch(event.epoch) === context.number,
    above: ({ context, event }) => event.type === 'heard' && event.epoch > context.epoch,
    unborn: ({ context }) => context.highest === 0,
  },
});

const heard = { actions: 'note' } as const;
const yields = [{ guard: 'above', target: '#site.standby', actions: ['note', 'superseded'] }, heard] as const;
const anew = { target: '#site.promoting.preparing', actions: 'because' } as const;
const fence = { target: '#site.fenced', actions: 'because' } as const;
const abandon = { target: '#site.standby', actions: 'because' } as const;

export const siteMachine = base.createMachine({
  id: 'site',
  context: ({ input }) => ({
    number: input.number,
    mode: input.mode,
    epoch: 0,
    highest: 0,
    reason: 'first start',
    since: input.at,
  }),
  initial: 'standby',
  states: {
    standby: {
      on: {
        begin: { guard: 'unborn', ...anew },
        promote: { target: 'promoting', actions: 'because' },
        force_promote: anew,
        heard,
      },
    },
    promoting: {
      initial: 'catching',
      on: { abandon, heard },
      states: {
        catching: { on: { caught_up: { target: 'preparing' }, force_promote: anew } },
        preparing: { on: { opened: { guard: 'own', target: '#site.active', actions: 'take' } } },
      },
    },
    active: {
      on: { switchover: { target: 'draining', actions: 'because' }, fence, heard: yields },
    },
    draining: {
      initial: 'stopping',
      on: { keep: anew, fence, heard: yields },
      states: {
        stopping: { on: { drained: { target: 'offered', actions: 'offered' } } },
        offered: { on: { force_promote: anew } },
      },
    },
    fenced: {
      on: { keep: anew, force_promote: anew, heard: yields },
    },
  },
});

export const siteDefinition: Definition = {
  id: 'site',
  version: 1,
  machine: siteMachine,
  input: siteInput as never,
  events: siteEvents as never,
  resident: true,
  retentionMs: Infinity,
};
