/** Random lives of a task: what its machine takes is a record, as a journal would have it. */
import { createRegistry } from '../../actors/application.ts';
import type { TaskContext } from '../../actors/task/attempt.ts';
import type { JsonObject } from '../../runtime/protocol/json.ts';
import { viewOf, type Actor } from '../../runtime/core/actor.ts';
import { step } from '../../runtime/core/step.ts';
import type { Envelope, MachineEvent } from '../../runtime/protocol/envelope.ts';
import type { JournalRecord } from '../../runtime/protocol/journal.ts';
import type { Chance } from './chance.ts';

const definition = createRegistry().get('task')!;
const base = {
  type: 'echo',
  tenant: 'acme',
  priority: 7,
  parameters: { a: 1 },
  retry: { max_attempts: 3 },
  timeouts: {
    schedule_to_start_ms: 50_000,
    schedule_to_close_ms: 200_000,
    start_to_close_ms: 5_000,
    heartbeat_ms: 3_000,
  },
};

/** Tasks of all kinds: that are queued at once, that are delayed, that wait for others. */
function inputOf(kind: number): object {
  const kinds = [
    {},
    { delay_ms: 30 },
    { depends_on: ['t-1-p', 't-1-q'], on_failure: 'skip' },
    { depends_on: ['t-1-p'] },
  ];
  return { ...base, ...kinds[kind % kinds.length] };
}

export interface Lived {
  record: JournalRecord;
  /** Wall clock of the decision. */
  at: number;
  actor: Actor;
}

/** @param next what is tried next; undefined ends the life */
export function* taskLife(
  id: string,
  next: (actor: Actor, number: number) => MachineEvent | undefined,
  pauseMs: () => number = () => 10,
  kind = 0,
): Generator<Lived> {
  const input = inputOf(kind) as JsonObject;
  let at = 1_000;
  let actor: Actor | undefined;
  for (let number = 0; ; number++) {
    const event = actor && next(actor, number);
    if (actor && !event) return;
    at += pauseMs();
    const due = event && actor?.timers[event.type];
    if (due !== undefined) at = Math.max(at, typeof due === 'number' ? due : due[0]);
    const envelope: Envelope = {
      ...(event && due !== undefined ? { id: event.type, origin: 'timer' } : { id: `e${number}`, origin: 'dispatch' }),
      ...(event ? { event } : { input }),
      to: `task/${id}`,
    };
    const decision = step(definition, actor, envelope, at);
    if (decision.outcome !== 'applied') continue;
    actor = decision.actor;
    const { to, ...rest } = envelope;
    const { revision, state } = viewOf(actor);
    yield { record: { ...rest, actor: to, revision, state }, at, actor };
  }
}

/** Mostly what fits: a report, a command, a loss, or one of the task's own clocks. */
export function randomEvent(chance: Chance, actor: Actor, number: number): MachineEvent {
  const { token = 'none', agent = 'a-0-x', attempt } = viewOf(actor).context as unknown as TaskContext;
  const about = { token, agent };
  const timers = Object.keys(actor.timers);
  if (timers.length > 0 && chance.happens(0.1)) return { type: timers[chance.below(timers.length)]! };
  const events: MachineEvent[] = [
    { type: 'assign', agent: `a-0-${chance.below(3)}`, token: `t${number}`, attempt: attempt + 1 },
    { type: 'start', ...about },
    { type: 'progress', ...about, progress: chance.below(10) / 10 },
    { type: 'progress', ...about, note: 'still there' },
    { type: 'complete', ...about, result: { words: number } },
    { type: 'fail', ...about, error: { message: `m${number}` }, retryable: chance.happens(0.5) },
    { type: 'release', ...about },
    { type: 'cancelled', ...about },
    { type: 'revoke', agent, reason: ['agent_lost', 'new_generation', 'agent_retired'][chance.below(3)]! },
    { type: 'redrive' },
    { type: 'resume' },
    { type: 'parent', task: 't-1-p', status: 'succeeded', result: number },
    { type: 'parent', task: 't-1-q', status: ['succeeded', 'parked', 'expired'][chance.below(3)]! },
    ...(chance.happens(0.1) ? [{ type: 'pause' }] : []),
    { type: 'redrive', parameters: { b: number } },
  ];
  if (chance.happens(0.05)) return { type: 'cancel', ...(chance.happens(0.5) && { reason: 'changed my mind' }) };
  return events[chance.below(events.length)]!;
}
