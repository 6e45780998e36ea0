/**
 * An agent: whether it may be given work, and whether it is well.
 *
 * registering -> present -> retired, and lost in between when it is not heard of. `present` has two regions: availability
 * (idle, busy, paused, draining) and health (healthy, suspect). Each registration is a new generation; a report of an
 * older one changes nothing, so a dead process never comes back under its successor's name.
 */
import { assign, cancel, raise, setup } from 'xstate';
import type { Definition } from '../../runtime/core/definition.ts';
import { effectActions, type Effect } from '../../runtime/core/effect.ts';
import type { MachineEvent } from '../../runtime/protocol/envelope.ts';
import { agentDefaults, enrolled, fleet, heartbeatEffects, revokeAll, type AgentContext } from './enrolment.ts';
import * as schemas from './events.ts';
import type { AgentEvent, AgentInput } from './events.ts';
import { occupied, released, slotsInUse } from './occupancy.ts';

const list = (make: (context: AgentContext, event: AgentEvent) => Effect[]) => ({
  type: 'effects' as const,
  params: ({ context, event }: { context: AgentContext; event: AgentEvent }) => ({ list: make(context, event) }),
});

const tell = (kind: string) =>
  list((context, event) => [
    { kind: 'post', mailbox: event.self, message: { kind, generation: String(context.generation) } },
  ]);

const empty = (context: AgentContext) => Object.keys(context.holding).length === 0;

const quarantine = {
  target: '#agent.quarantined',
  actions: {
    type: 'because',
    params: ({ event }: { event: AgentEvent }) => ({ reason: event.type === 'quarantine' ? event.reason : '' }),
  },
} as const;

export const agentMachine = setup({
  types: {} as { context: AgentContext; events: AgentEvent; input: AgentInput },
  actions: {
    ...effectActions,
    see: assign(({ event }) => ({ seenAt: event.at })),
    register: assign(({ context, event }) =>
      event.type === 'register'
        ? { ...enrolled(event.input, event.at), generation: context.generation + 1, claims: undefined }
        : {},
    ),
    occupy: assign(({ context, event }) => (event.type === 'occupy' ? occupied(context, event.tasks, event.at) : {})),
    release: assign(({ context, event }) => {
      if (event.type !== 'release') return {};
      const { stalled = 0 } = event;
      // Whatever ended otherwise proves that it does something.
      const stalls = stalled < event.tasks.length ? stalled : context.stalls + stalled;
      return { ...released(context, event.tasks), stalls };
    }),
    /** One more stalled attempt, and it is sick again. */
    trust: assign({ stalls: agentDefaults.stallsMax - 1 }),
    dropAll: assign({ holding: {}, claims: undefined }),
    because: assign((_, params: { reason: string }) => ({ reason: params.reason })),
    blameless: assign({ reason: undefined }),
    startProbation: raise({ type: 'probation' } as AgentEvent, { id: 'probation', delay: 'probation' }),
    endProbation: cancel('probation'),
  },
  guards: {
    empty: ({ context }) => empty(context),
    full: ({ context }) => slotsInUse(context) >= context.slots,
    notFull: ({ context }) => slotsInUse(context) < context.slots,
    stalling: ({ context }) => context.stalls >= agentDefaults.stallsMax,
    notStalling: ({ context }) => context.stalls < agentDefaults.stallsMax,
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
    silence: () => agentDefaults.lostMs,
    probation: () => agentDefaults.probationMs,
  },
}).createMachine({
  id: 'agent',
  // What an agent said of itself to a site is old when the other one hears of it; it says so again.
  meta: { merge: { external: ['goodbye', 'drain', 'pause', 'resume', 'retire'], fields: { generation: 'max' } } },
  context: ({ input }) => ({ ...enrolled(input, input.at), generation: 1, usedAt: 0 }),
  initial: 'registering',
  states: {
    /** The fleet counts the agents of the site and admits at most max_agents. */
    registering: {
      entry: list((context, event) => {
        const self = event.self ?? (event as unknown as { input: AgentInput }).input.self;
        return [{ kind: 'openMailbox', mailbox: self }, fleet(context, self, 'admit')];
      }),
      on: {
        admitted: { guard: 'sameGeneration', target: 'present' },
        rejected: {
          guard: 'sameGeneration',
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
        quarantine,
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
        quarantine,
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
              always: { guard: 'stalling', target: 'sick' },
              after: { suspect: 'suspect' },
            },
            /** Alive, and nothing comes of what it is given: no work until it ends something, or after a while. */
            sick: {
              initial: 'heard',
              entry: ['startProbation', { type: 'because', params: { reason: 'consumes_nothing' } }],
              exit: ['endProbation', 'blameless'],
              always: { guard: 'notStalling', target: 'healthy' },
              on: { probation: { target: 'healthy', actions: 'trust' } },
              states: {
                heard: {
                  on: {
                    heartbeat: {
                      guard: 'sameGeneration',
                      target: 'heard',
                      reenter: true,
                      actions: ['see', list(heartbeatEffects)],
                    },
                    seen: { guard: 'sameGeneration', target: 'heard', reenter: true, actions: 'see' },
                  },
                  after: { silence: '#agent.lost' },
                },
              },
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
        quarantine,
      },
      after: { lostForgotten: 'retired' },
    },
    /** What stood in its outbox cannot be trusted: both streams go, and it is not let in before an operator says so. */
    quarantined: {
      entry: [
        list((context, event) => [
          ...revokeAll(context, event.self, 'agent_quarantined'),
          fleet(context, event.self, 'leave'),
          { kind: 'closeMailbox', mailbox: event.self },
        ]),
        'dropAll',
      ],
      // Whoever still has an account with Redis may have written there meanwhile.
      exit: list((_, event) => [{ kind: 'closeMailbox', mailbox: event.self }]),
      on: { resume: 'retired' },
      after: { lostForgotten: 'retired' },
    },
    /** Left, or not admitted. Its mailbox stays a while, so that late reports are answered and nothing is orphaned. */
    retired: {
      entry: list((context, event) => [fleet(context, event.self, 'leave')]),
      on: { register: { target: 'registering', actions: 'register' }, quarantine },
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
  refusal: (actor, event) => {
    if (actor.state === 'quarantined') return 'quarantined';
    return event['generation'] !== undefined && event['generation'] !== actor.context['generation']
      ? 'old-generation'
      : undefined;
  },
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
  if (later['stalled'] === undefined) return waiting;
  return { ...waiting, stalled: Number(waiting['stalled'] ?? 0) + Number(later['stalled']) };
}
