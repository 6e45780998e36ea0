/** One attempt of a task: its policy, its limits in time, and the messages that begin and end it. Pure. */
import type * as z from 'zod';
import type { BundledMessage, Effect, Message } from '../../runtime/core/effect.ts';
import type { MachineEvent } from '../../runtime/protocol/envelope.ts';
import { address, hash32, type Address } from '../../runtime/protocol/ids.ts';
import type { Json, JsonObject } from '../../runtime/protocol/json.ts';
import { correction } from '../limit/address.ts';
import type { Chunks } from './chunks.ts';
import { claimOf, type Demand } from './demand.ts';
import type { StartContext } from './start.ts';
import type { RetryPolicy, TaskEvent, timeoutsSchema } from './events.ts';

export interface TaskContext extends StartContext {
  type: string;
  parameters: Json;
  priority: number;
  tenant?: string | undefined;
  fingerprint?: string | undefined;
  retry?: Partial<RetryPolicy> | undefined;
  timeouts?: z.infer<typeof timeoutsSchema> | undefined;
  cancelGraceMs?: number | undefined;
  /** How long it stays in Redis when it is over. */
  keepMs?: number | undefined;
  /** W3C trace context of the submit: agents go on with it. */
  traceparent?: string | undefined;
  /** The schedule that submitted it, and the time that it is for. */
  schedule?: { id: string; at: number } | undefined;
  /** The uniqueness key that it holds. */
  claim?: { key: string; until: 'terminal' | 'started' | 'ttl' } | undefined;
  /** What it asks of the dispatcher beyond its type. */
  demand?: Demand | undefined;
  createdAt: number;
  /** When it was last redriven: deadlines count from there. */
  openedAt?: number | undefined;
  /** When it last came into the queue: what ageing counts from. */
  queuedAt: number;
  /** Number of the last assignment: 1 is the first. */
  attempt: number;
  /** Attempts that count against the retry policy. */
  failures: number;
  /** Attempts that ended with the loss of their agent. */
  losses: number;
  /** Attempts that their agents gave back. */
  releases?: number | undefined;
  /** The agent of the attempt under way, or of the last one. */
  agent?: string | undefined;
  token?: string | undefined;
  /** When its limits were charged for the attempt. */
  chargedAt?: number | undefined;
  startedAt?: number | undefined;
  progress?: number | undefined;
  note?: string | undefined;
  chunks?: Chunks | undefined;
  result?: Json | undefined;
  error?: JsonObject | undefined;
  /** Why it is where it is, where that is not plain from the state. */
  reason?: string | undefined;
  finishedAt?: number | undefined;
}

export const taskDefaults = {
  retry: { max_attempts: 5, initial_delay_ms: 1_000, factor: 2, max_delay_ms: 100_000, jitter: 0.1 },
  startToCloseMs: 3_600_000,
  /** How long an agent may hold an assignment without saying that it started. */
  assignedMs: 60_000,
  cancelGraceMs: 30_000,
  /** Agents that may be lost with one task before it is parked as poison. */
  lossesMax: 10,
  /** Attempts of one task that may be given back before it is parked: agents would hand it round for ever. */
  releasesMax: 100,
  retentionMs: 3_600_000,
} as const;

/** Milliseconds before the next attempt. The jitter is a hash of task and failure: spread out, and the same in a replay. */
export function backoffMs(context: Pick<TaskContext, 'failures' | 'retry'>, self: string): number {
  const policy = { ...taskDefaults.retry, ...context.retry };
  const grown = policy.initial_delay_ms * policy.factor ** Math.max(0, context.failures - 1);
  const unit = hash32(`${self}.${context.failures}`) / 0xffffffff;
  return Math.round(Math.min(grown, policy.max_delay_ms) * (1 + policy.jitter * (2 * unit - 1)));
}

export function mayRetry(context: TaskContext): boolean {
  return context.failures + 1 < (context.retry?.max_attempts ?? taskDefaults.retry.max_attempts);
}

export function startToCloseMs(context: TaskContext): number {
  return context.timeouts?.start_to_close_ms ?? taskDefaults.startToCloseMs;
}

/** Milliseconds from now until `limitMs` after the task was opened; Infinity without a limit. */
export function remainingMs(context: TaskContext, limitMs: number | undefined, now: number | undefined): number {
  const opened = Math.max(context.openedAt ?? context.createdAt, context.runAt ?? 0);
  return limitMs === undefined ? Infinity : Math.max(0, opened + limitMs - (now ?? context.createdAt));
}

export function cancelMessage(context: TaskContext, self: string, reason: string): Effect {
  const { agent = '', token = '', attempt } = context;
  return {
    kind: 'post',
    mailbox: agent,
    message: { kind: 'cancel', task: self, token, attempt: String(attempt), reason },
  };
}

type Assignment = { kind: string } & Record<string, Json | undefined>;

/** What the agent is told. Member by member: spreads of ever other shapes cost more than the rest of the transition. */
function assignment(context: TaskContext, event: TaskEvent): Assignment {
  const { type, token = '', traceparent, parents } = context;
  const message: Assignment = { kind: 'assign', task: event.self, type, token };
  if (traceparent !== undefined) message['traceparent'] = traceparent;
  message['attempt'] = context.attempt;
  message['deadline'] = event.at + startToCloseMs(context);
  message['parameters'] = context.parameters;
  if (parents) message['parents'] = parents as unknown as Json;
  return message;
}

/** As the fields of an inbox entry of its own: names and tokens as they are, everything else as JSON. */
function asFields(message: Assignment): Message {
  const fields: Record<string, string> = {};
  for (const name in message) {
    const value = message[name]!;
    fields[name] = typeof value === 'string' && name !== 'parameters' ? value : JSON.stringify(value);
  }
  return fields as Message;
}

/** Hands the task to its agent: the message, and the agent's own count. */
export function handOver(context: TaskContext, event: TaskEvent): Effect[] {
  const { agent = '' } = context;
  const watched = context.timeouts?.heartbeat_ms === undefined ? 0 : 1;
  const claim = claimOf(context.demand);
  const effects: Effect[] = [
    event.type === 'assign' && event.batch
      ? { kind: 'bundle', mailbox: agent, message: assignment(context, event) as BundledMessage }
      : { kind: 'post', mailbox: agent, message: asFields(assignment(context, event)) },
    {
      kind: 'send',
      to: address('agent', agent),
      event: { type: 'occupy', tasks: [claim ? [event.self, watched, claim] : [event.self, watched]] } as MachineEvent,
    },
  ];
  if (context.claim) effects.push(...startedNews(context, event.self));
  return effects;
}

/** To the uniqueness key that is free as soon as an agent has the task. */
function startedNews({ claim, attempt }: TaskContext, self: string): Effect[] {
  if (claim?.until !== 'started' || attempt !== 1) return [];
  return [{ kind: 'send', to: claim.key as Address, event: { type: 'started', task: self } }];
}

/** Events after which the agent needs no word to stop: its own reports, and its loss. */
const agentKnows = new Set(['complete', 'fail', 'release', 'cancelled', 'revoke']);

/** The clock ended an attempt for which the agent had done nothing, or of which it said nothing any more. */
function isStall(event: TaskEvent): boolean {
  return event.type === 'overdue' || (event.type as string).startsWith('xstate.after.assigned.');
}

/** Ends the attempt: the agent gets its slot back and, unless it knows already, is told to stop. */
export function letGo(context: TaskContext, event: TaskEvent): Effect[] {
  const { agent } = context;
  if (agent === undefined || event.type === 'revoke') return [];
  const effects: Effect[] = [
    {
      kind: 'send',
      to: address('agent', agent),
      event: { type: 'release', tasks: [event.self], ...(isStall(event) && { stalled: 1 }) },
    },
  ];
  if (!agentKnows.has(event.type)) effects.push(cancelMessage(context, event.self, 'revoked'));
  if ((event.type === 'complete' || event.type === 'fail') && event.cost) effects.push(...corrections(context, event));
  return effects;
}

/** The agent says what the attempt really cost: only limits that the task named are corrected. */
function corrections(context: TaskContext, event: TaskEvent & { cost?: Record<string, number> | undefined }): Effect[] {
  const charged = context.demand?.limits ?? {};
  return Object.entries(event.cost ?? {})
    .filter(([name, units]) => Object.hasOwn(charged, name) && units !== charged[name])
    .map(([name, units]) => correction(name, units - charged[name]!, context.chargedAt ?? event.at));
}
