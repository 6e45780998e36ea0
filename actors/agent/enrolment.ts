/** What is known of an agent from its registration on, its times, and what it sends to others. Pure. */
import type { Effect } from '../../runtime/core/effect.ts';
import type { MachineEvent } from '../../runtime/protocol/envelope.ts';
import { address } from '../../runtime/protocol/ids.ts';
import { fleetAddress } from '../fleet/address.ts';
import type { Claim } from '../task/demand.ts';
import type { AgentEvent, Registration } from './events.ts';

export interface AgentContext {
  type: string;
  capabilities: readonly string[];
  labels: Readonly<Record<string, string | number>>;
  resources: Readonly<Record<string, number>>;
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
  /** What they hold, for those that take more than one slot. */
  claims?: Readonly<Record<string, Claim>> | undefined;
  /** When it last got work: ties go to the one that waits longest. */
  usedAt: number;
  /** Attempts in a row that ended because it did nothing for them. */
  stalls: number;
  /** Why it is where it is: not admitted, sick, quarantined. */
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
  /** Stalled attempts in a row after which it gets no work, and how long until it is tried again with one more. */
  stallsMax: 3,
  probationMs: 60_000,
  /** Attempts that one heartbeat may have called off; the next one calls off the next. */
  strangersPerHeartbeatMax: 100,
} as const;

/** The word to the fleet that counts the agents of the site. */
export function fleet(context: AgentContext, self: string, type: 'admit' | 'leave'): Effect {
  const { generation, maxAgents } = context;
  const event: MachineEvent = { type, agent: self, generation, ...(type === 'admit' && { max: maxAgents }) };
  return { kind: 'send', to: fleetAddress, event };
}

export function revokeAll(context: AgentContext, self: string, reason: string): Effect[] {
  return Object.keys(context.holding).map((task) => ({
    kind: 'send',
    to: address('task', task),
    event: { type: 'revoke', agent: self, reason },
  }));
}

/** Heartbeats keep watched attempts alive; an attempt that the agent runs but does not hold any more is called off. */
export function heartbeatEffects(context: AgentContext, event: AgentEvent): Effect[] {
  if (event.type !== 'heartbeat') return [];
  const effects: Effect[] = [];
  let strangers = 0;
  for (const { task, token } of event.attempts) {
    const held = context.holding[task];
    if (held === 1) effects.push({ kind: 'send', to: address('task', task), event: { type: 'beat', token } });
    if (held === undefined && ++strangers <= agentDefaults.strangersPerHeartbeatMax)
      effects.push({
        kind: 'post',
        mailbox: event.self,
        message: { kind: 'cancel', task, token, attempt: '', reason: 'not-held' },
      });
  }
  return effects;
}

/** What a process that comes anew starts from; `generation` is raised where there was one before. */
export function enrolled(input: Registration, at: number) {
  return {
    type: input.type,
    capabilities: input.capabilities,
    labels: input.labels,
    resources: input.resources,
    slots: input.slots,
    version: input.version,
    batch: input.batch || undefined,
    maxAgents: input.max_agents,
    registeredAt: at,
    seenAt: at,
    holding: {},
    stalls: 0,
    reason: undefined,
  };
}
