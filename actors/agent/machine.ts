/**
 * An agent: whether it may be given work, and whether it is well.
 *
 * registering -> present -> retired, and lost in between when it is not heard of. `present` has two regions: availability
 * (idle, busy, paused, draining) and health (healthy, suspect). Each registration is a new generation; a report of an
 * older one changes nothing, so a dead process never comes back under its successor's name.
 */
import { assign, setup } from 'xstate';
import type { Definition } from '../../runtime/core/definition.ts';
import { effectActions, type Effect } from '../../runtime/core/effect.ts';
import type { MachineEvent } from '../../runtime/protocol/envelope.ts';
import { address } from '../../runtime/protocol/ids.ts';
import { fleetAddress } from '../fleet/address.ts';
import * as schemas from './events.ts';
import type { AgentEvent, AgentInput } from './events.ts';

export interface AgentContext {
  type: string;
  capabilities: readonly string[];
  labels: Readonly<Record<string, string | number>>;
  slots: number;
  version?: string | undefined;
  /** It takes several assignments in one inbox entry. */
  batch?: true | undefined;
  generation: number;
  maxAgents: number;
  registeredAt: number;
  seenAt: number;
  /** Task ids of the attempts it holds; 1 where the task wants to hear of every heartbeat. */
  holding: Readonly<Record<string, 0 | 1>>;
  /** When it last got work: ties go to the one that waits longest. */
  usedAt: number;
  reason?: string | undefined;
}

export const agentDefaults = {
  heartbeatMs: 5_000,
  suspectMs: 15_000,
  /** Counted from the last sign of life. */
  lostMs: 30_000,
  /** How long a lost agent stays known, and one that left. A registration under its name brings it back. */
  lostForgottenMs: 86_400_000,
  retiredForgottenMs: 600_000,
  registeringMs: 10_000,
  /** Signs of life closer together than this are one. */
  seenEveryMs: 1_000,
} as const;

function fleet(context: AgentContext, self: string, type: 'admit' | 'leave'): Effect {
  const event: MachineEvent = type === 'admit' ? { type, agent: self, max: context.maxAgents } : { type, agent: self };
  return { kind: 'send', to: fleetAddress, event };
}

function revokeAll(context: AgentContext, self: string, reason: string): Effect[] {
  return Object.keys(context.holding).map((task) => ({
    kind: 'send',
    to: address('task', task),
    event: { type: 'revoke', agent: self, reason },
  }));
}

/** Heartbeats keep watched attempts alive; an attempt that the agent runs but does not hold any more is called off. */
function heartbeatEffects(context: AgentContext, event: AgentEvent): Effect[] {
  if (event.type !== 'heartbeat') return [];
  const effects: Effect[] = [];
  for (const { task, token } of event.attempts) {
    const held = context.holding[task];
    if (held === 1) effects.push({ kind: 'send', to: address('task', task), event: { type: 'beat', token } });
    if (held === undefined)
      effects.push({
        kind: 'post',
        mailbox: event.self,
        message: { kind: 'cancel', task, token, attempt: '', reason: 'not-held' },
      });
  }
  return effects;
}

const list = (make: (context: AgentContext, event: AgentEvent) => Effect[]) => ({
  type: 'effects' as const,
  params: ({ context, event }: { context: AgentContext; event: AgentEvent }) => ({ list: make(context, event) }),
});

const tell = (kind: string) =>
  list((context, event) => [
    { kind: 'post', mailbox: event.self, message: { kind, generation: String(context.generation) } },
  ]);

const empty = (context: AgentContext) => Object.keys(context.holding).length === 0;

export const agentMachine = setup({
  types: {} as { context: AgentContext; events: AgentEvent; input: AgentInput },
  actions: {
    ...effectActions,
    see: assign(({ event }) => ({ seenAt: event.at })),
    register: assign(({ context, event }) =>
      event.type === 'register'
        ? {
            type: event.input.type,
            capabilities: event.input.capabilities,
            labels: event.input.labels,
            slots: event.input.slots,
            version: event.input.version,
            batch: event.input.batch || undefined,
            maxAgents: event.input.max_agents,
            generation: context.generation + 1,
            registeredAt: event.at,
            seenAt: event.at,
            holding: {},
            reason: undefined,
          }
        : {},
    ),
    occupy: assign(({ context, event }) => {
      if (event.type !== 'occupy') return {};
      const holding = { ...context.holding };
      for (const [task, watched] of event.tasks) holding[task] = watched;
      return { holding, usedAt: event.at };
    }),
    release: assign(({ context, event }) => {
      if (event.type !== 'release') return {};
      const holding = { ...context.holding };
      for (const task of event.tasks) delete holding[task];
      return { holding };
    }),
    dropAll: assign({ holding: {} }),
    because: assign((_, params: { reason: string }) => ({ reason: params.reason })),
  },
  guards: {
    empty: ({ context }) => empty(context),
    full: ({ context }) => Object.keys(context.holding).length >= context.slots,
    notFull: ({ context }) => Object.keys(context.holding).length < context.slots,
    /** The process that reports is the one that registered last. */
    sameGeneration: ({ context, event }) =>
      !('generation' in event) || event.generation === undefined || event.generation === context.generation,
  },
  delays: {
    suspect: () => agentDefaults.suspectMs,
    lost: () => agentDefaults.lostMs - agentDefaults.suspectMs,
    lostForgotten: () => agentDefaults.lostForgottenMs,
    retiredForgotten: () => agentDefaults.retiredForgottenMs,
    registering: () => agentDefaults.registeringMs,
  },
}).createMachine({
  id: 'agent',
  context: ({ input }) => ({
    type: input.type,
    capabilities: input.capabilities,
    labels: input.labels,
    slots: input.slots,
    ...(input.version !== undefined && { version: input.version }),
    ...(input.batch && { batch: true as const }),
    generation: 1,
    maxAgents: input.max_agents,
    registeredAt: input.at,
    seenAt: input.at,
    holding: {},
    usedAt: 0,
  }),
  initial: 'registering',
  entry: {
    type: 'openMailbox',
    params: ({ event }) => ({ mailbox: (event as unknown as { input: AgentInput }).input.self }),
  },
  states: {
    /** The fleet counts the agents of the site and admits at most max_agents. */
    registering: {
      entry: list((context, event) => [
        fleet(context, event.self ?? (event as unknown as { input: AgentInput }).input.self, 'admit'),
      ]),
      on: {
        admitted: 'present',
        rejected: {
          target: 'retired',
          actions: {
            type: 'because',
            params: ({ event }) => ({ reason: event.type === 'rejected' ? event.reason : '' }),
          },
        },
        register: { target: 'registering', reenter: true, actions: 'register' },
        heartbeat: { guard: 'sameGeneration', actions: 'see' },
        seen: { guard: 'sameGeneration', actions: 'see' },
        goodbye: { guard: 'sameGeneration', target: 'retired' },
        retire: 'retired',
      },
      after: { registering: { target: 'registering', reenter: true } },
    },
    present: {
      type: 'parallel',
      on: {
        register: {
          target: 'registering',
          actions: [list((context, event) => revokeAll(context, event.self, 'new_generation')), 'register'],
        },
        retire: {
          target: 'retired',
          actions: [
            list((context, event) => revokeAll(context, event.self, 'agent_retired')),
            tell('shutdown'),
            'dropAll',
          ],
        },
        goodbye: {
          guard: 'sameGeneration',
          target: 'retired',
          actions: [list((context, event) => revokeAll(context, event.self, 'agent_left')), 'dropAll'],
        },
      },
      states: {
        availability: {
          initial: 'idle',
          states: {
            idle: {
              always: { guard: 'full', target: 'busy' },
              on: {
                occupy: { actions: 'occupy' },
                release: { actions: 'release' },
                drain: 'draining',
                pause: 'paused',
              },
            },
            busy: {
              always: { guard: 'notFull', target: 'idle' },
              on: {
                occupy: { actions: 'occupy' },
                release: { actions: 'release' },
                drain: 'draining',
                pause: 'paused',
              },
            },
            paused: {
              on: { release: { actions: 'release' }, resume: 'idle', drain: 'draining' },
            },
            draining: {
              entry: tell('drain'),
              always: { guard: 'empty', target: '#agent.retired', actions: tell('shutdown') },
              on: { release: { actions: 'release' } },
            },
          },
        },
        health: {
          initial: 'healthy',
          states: {
            healthy: {
              on: {
                heartbeat: {
                  guard: 'sameGeneration',
                  target: 'healthy',
                  reenter: true,
                  actions: ['see', list(heartbeatEffects)],
                },
                seen: { guard: 'sameGeneration', target: 'healthy', reenter: true, actions: 'see' },
              },
              after: { suspect: 'suspect' },
            },
            suspect: {
              on: {
                heartbeat: { guard: 'sameGeneration', target: 'healthy', actions: ['see', list(heartbeatEffects)] },
                seen: { guard: 'sameGeneration', target: 'healthy', actions: 'see' },
              },
              after: { lost: '#agent.lost' },
            },
          },
        },
      },
    },
    /** Not heard of: its attempts are taken back, and only a new registration brings it back. */
    lost: {
      entry: [
        list((context, event) => [
          ...revokeAll(context, event.self, 'agent_lost'),
          fleet(context, event.self, 'leave'),
        ]),
        'dropAll',
      ],
      on: {
        register: { target: 'registering', actions: 'register' },
        goodbye: { guard: 'sameGeneration', target: 'retired' },
        retire: 'retired',
      },
      after: { lostForgotten: 'retired' },
    },
    /** Left, or not admitted. Its mailbox stays a while, so that late reports are answered and nothing is orphaned. */
    retired: {
      entry: list((context, event) => [fleet(context, event.self, 'leave')]),
      on: { register: { target: 'registering', actions: 'register' } },
      after: { retiredForgotten: 'forgotten' },
    },
    forgotten: { type: 'final', entry: { type: 'closeMailbox', params: ({ event }) => ({ mailbox: event.self }) } },
  },
});

export const agentDefinition: Definition = {
  id: 'agent',
  version: 1,
  machine: agentMachine,
  input: schemas.inputSchema as never,
  events: schemas.events as never,
  reports: schemas.reports,
  retentionMs: 0,
  resident: true,
  recreate: (_actor, input) => ({ kind: 'event', event: { type: 'register', input } }),
  refusal: (actor, event) =>
    event['generation'] !== undefined && event['generation'] !== actor.context['generation']
      ? 'old-generation'
      : undefined,
  passOver: (context, event, nowMs) =>
    event.type === 'seen' &&
    nowMs - Number(context['seenAt']) < agentDefaults.seenEveryMs &&
    (event['generation'] === undefined || event['generation'] === context['generation']),
  merge: {
    occupy: (waiting, later) => joined(waiting, later),
    release: (waiting, later) => joined(waiting, later),
  },
};

/** Appends in place: the waiting event belongs to the batch alone, and lists may be long. */
function joined(waiting: MachineEvent, later: MachineEvent): MachineEvent {
  (waiting['tasks'] as unknown[]).push(...(later['tasks'] as unknown[]));
  return waiting;
}
