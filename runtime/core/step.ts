/**
 * `step`: the only caller of XState's transition. Pure: the same actor, envelope and time give the same bytes (R2).
 *
 * XState's exported `transition()` builds a throw-away actor per call; calling the machine's own methods with one inert
 * scope that is used again does about eight times as many transitions per second, so that is what happens here, and
 * nowhere else.
 */
import type { AnyMachineSnapshot, AnyActorScope } from 'xstate';
import { getNextTransitions } from 'xstate';
import { limits } from '../../config/limits.ts';
import { type Envelope, type MachineEvent, type StateValue } from '../protocol/envelope.ts';
import { parseAddress } from '../protocol/ids.ts';
import type { JsonObject } from '../protocol/json.ts';
import type { Actor } from './actor.ts';
import { isDone, noRecent, noTimers, rebuilt, stateOf, viewOf, type Timers } from './actor.ts';
import { durable, NotJson } from './context.ts';
import type { LoadedDefinition } from './definition.ts';
import type { Effect } from './effect.ts';

export type Decision =
  | { outcome: 'applied'; actor: Actor; effects: Effect[] }
  /** The retention of a finished actor ran out: its snapshot leaves the store. */
  | { outcome: 'retired' }
  | { outcome: 'duplicate'; detail: string }
  | { outcome: 'refused'; reason: string; detail: string; legal: readonly string[] }
  /** Not even a refusal can be stated: the entry is set aside (R10). */
  | { outcome: 'faulted'; reason: string; detail: string };

/** Timer id that ends the retention of a finished actor; not an event of the machine. */
export const retireTimer = 'runtime.retire';

interface Asked {
  type: string;
  params: unknown;
}

/** What the actions of the transition under way asked for. One list, because a transition never awaits. */
let asked: Asked[] = [];

const inertScope = {
  self: { id: 'actor', sessionId: 'actor', _parent: undefined, send: () => undefined },
  id: 'actor',
  sessionId: 'actor',
  logger: () => undefined,
  defer: () => undefined,
  stopChild: () => undefined,
  emit: () => undefined,
  actionExecutor: (action: Asked) => {
    asked.push(action);
  },
  system: {
    _sendInspectionEvent: () => undefined,
    _bookId: () => 'x:0',
    _register: () => 'x:0',
    _unregister: () => undefined,
    _set: () => undefined,
    _relay: () => undefined,
    get: () => undefined,
    getAll: () => ({}),
    inspect: () => ({ unsubscribe: () => undefined }),
    scheduler: { schedule: () => undefined, cancel: () => undefined },
    getSnapshot: () => ({ _scheduledEvents: {} }),
    start: () => undefined,
  },
} as unknown as AnyActorScope;

/**
 * Decides one envelope.
 * @param definition of the addressed actor
 * @param actor present state, or undefined when there is none
 * @param envelope what is asked
 * @param nowMs wall clock of the batch, in milliseconds; machines see it as `event.at`, and their own id as `event.self`
 */
export function step(
  definition: LoadedDefinition,
  actor: Actor | undefined,
  envelope: Envelope,
  nowMs: number,
): Decision {
  try {
    if (envelope.input) {
      return actor
        ? recreate(definition, actor, envelope, envelope.input, nowMs)
        : create(definition, envelope, nowMs, envelope.input);
    }
    const event = envelope.event!;
    if (envelope.origin === 'timer') return fire(definition, actor, envelope, nowMs);
    if (envelope.origin === 'merge') return merge(definition, actor, envelope, event, nowMs);
    if (actor) return advance(definition, actor, envelope, event, nowMs);
    if (!definition.genesis) return refused('unknown-actor', `there is no ${envelope.to}`, []);
    const birth: Envelope = { id: envelope.id, to: envelope.to, origin: 'actor' };
    const born = create(definition, birth, nowMs, definition.genesis(idOf(envelope)));
    if (born.outcome !== 'applied') return born;
    // Birth and first event are one record, so they are one revision.
    const told = advance(definition, { ...born.actor, revision: 0 }, envelope, event, nowMs);
    return told.outcome === 'applied' ? { ...told, effects: [...born.effects, ...told.effects] } : told;
  } catch (error) {
    const reason = error instanceof NotJson ? 'context-not-json' : 'machine-threw';
    return { outcome: 'faulted', reason, detail: messageOf(error) };
  }
}

function create(definition: LoadedDefinition, envelope: Envelope, nowMs: number, input: JsonObject): Decision {
  const parsed = isExternal(envelope) ? definition.input.safeParse(input) : undefined;
  if (parsed && !parsed.success) return refused('invalid-input', issueText(parsed.error.issues), []);
  const id = idOf(envelope);
  asked = [];
  const data = parsed ? parsed.data : input;
  const given = stamped(data, nowMs, id);
  const snapshot = (definition.plan?.initial(given, inertScope) ??
    definition.machine.getInitialSnapshot(inertScope, given)) as AnyMachineSnapshot;
  if (snapshot.status === 'error')
    return { outcome: 'faulted', reason: 'machine-threw', detail: messageOf(snapshot.error) };
  const base: Actor = {
    definition,
    address: envelope.to,
    id,
    snapshot,
    revision: 0,
    since: nowMs,
    timers: noTimers,
    recent: noRecent,
  };
  const born = settle(base, snapshot, envelope, nowMs);
  if (born.outcome !== 'applied' || !isCommand(envelope)) return born;
  // Where a later one like it is an event, this one coming again would be such an event: it is known by its id.
  if (definition.recreate?.(viewOf(born.actor), data).kind !== 'event') return born;
  return { ...born, actor: { ...born.actor, recent: [envelope.id] } };
}

function recreate(
  definition: LoadedDefinition,
  actor: Actor,
  envelope: Envelope,
  input: JsonObject,
  nowMs: number,
): Decision {
  const parsed = isExternal(envelope) ? definition.input.safeParse(input) : undefined;
  if (parsed && !parsed.success) return refused('invalid-input', issueText(parsed.error.issues), []);
  const meaning = definition.recreate?.(viewOf(actor), parsed ? parsed.data : input) ?? { kind: 'duplicate' };
  switch (meaning.kind) {
    case 'duplicate':
      return { outcome: 'duplicate', detail: `${actor.address} exists` };
    case 'conflict':
      return refused('conflict', meaning.detail, legalEvents(actor));
    case 'event':
      if (isExternal(envelope) && actor.recent.includes(envelope.id))
        return { outcome: 'duplicate', detail: `command ${envelope.id} was applied` };
      return advance(definition, actor, { ...envelope, origin: 'actor' }, meaning.event, nowMs, envelope);
  }
}

/** A timer that is not set any more, or not due, was read before its actor went on: nothing that happened (R1). */
function fire(definition: LoadedDefinition, actor: Actor | undefined, envelope: Envelope, nowMs: number): Decision {
  const timer = actor?.timers[envelope.id];
  const due = typeof timer === 'number' ? timer : timer?.[0];
  if (!actor || due === undefined || due > nowMs)
    return { outcome: 'duplicate', detail: `timer ${envelope.id} is not due` };
  if (envelope.id === retireTimer) return { outcome: 'retired' };
  return advance(definition, actor, envelope, typeof timer === 'object' ? timer[1] : envelope.event!, nowMs);
}

/** Of a merge: `MERGE` joins fields, `CORRECTION` changes what was told as final, any other event is the machine's own. */
function merge(
  definition: LoadedDefinition,
  actor: Actor | undefined,
  envelope: Envelope,
  event: MachineEvent,
  nowMs: number,
): Decision {
  if (!actor) return refused('unknown-actor', `there is no ${envelope.to}`, []);
  if (event.type !== 'MERGE' && event.type !== 'CORRECTION') return advance(definition, actor, envelope, event, nowMs);
  const value = (event['state'] ?? actor.snapshot.value) as StateValue;
  const context = { ...(actor.snapshot.context as JsonObject), ...(event['context'] as JsonObject | undefined) };
  const status = isDone(actor) ? 'done' : 'active';
  asked = [];
  return settle(actor, { ...rebuilt(definition, value, context, status), status } as never, envelope, nowMs);
}

function advance(
  definition: LoadedDefinition,
  actor: Actor,
  envelope: Envelope,
  event: MachineEvent,
  nowMs: number,
  asSent: Envelope = envelope,
): Decision {
  let taken: MachineEvent = event;
  if (isExternal(envelope)) {
    if (actor.recent.includes(envelope.id))
      return { outcome: 'duplicate', detail: `command ${envelope.id} was applied` };
    // Names such as `constructor` are no events of anybody.
    const schema = Object.hasOwn(definition.events, event.type) ? definition.events[event.type] : undefined;
    const allowed = schema && (envelope.origin === 'report') === (definition.reports?.includes(event.type) ?? false);
    if (!allowed && envelope.origin !== 'relay')
      return refused(
        'unknown-event',
        `"${event.type}" is no ${envelope.origin} of ${definition.id}`,
        legalEvents(actor),
      );
    if (schema) {
      const parsed = schema.safeParse(event);
      if (!parsed.success) return refused('invalid-event', issueText(parsed.error.issues), legalEvents(actor));
      taken = parsed.data;
    }
  }
  if (isDone(actor)) return refusedBy(definition, actor, event);
  asked = [];
  const before = actor.snapshot;
  const told = stamped(taken, nowMs, actor.id);
  const snapshot = (definition.plan?.transition(before, told, inertScope) ??
    definition.machine.transition(before, told as never, inertScope)) as AnyMachineSnapshot;
  if (snapshot === before && asked.length === 0) return refusedBy(definition, actor, event);
  if (snapshot.status === 'error')
    return { outcome: 'faulted', reason: 'machine-threw', detail: messageOf(snapshot.error) };
  return settle(actor, snapshot, asSent, nowMs);
}

/** Turns what the transition asked for into effects, timers and the next actor. */
function settle(actor: Actor, snapshot: AnyMachineSnapshot, envelope: Envelope, nowMs: number): Decision {
  const requests = asked;
  asked = [];
  const effects: Effect[] = [];
  let timers: Timers = actor.timers;
  if (envelope.origin === 'timer') timers = without(timers, envelope.id);
  for (const { type, params } of requests) {
    switch (type) {
      case 'xstate.raise': {
        const { event, id, delay } = params as { event: MachineEvent; id?: string; delay?: number };
        // A delay of Infinity is how a machine says "no such timer".
        if (typeof delay !== 'number' || delay === Infinity) break;
        const timer = id ?? event.type;
        const dueMs = nowMs + Math.max(0, Math.round(delay));
        timers = { ...timers, [timer]: event.type === timer ? dueMs : [dueMs, event] };
        break;
      }
      case 'xstate.cancel': {
        timers = without(timers, (params as { sendId: string }).sendId);
        break;
      }
      case 'effects':
        effects.push(...(params as { list: readonly Effect[] }).list);
        break;
      case 'send':
      case 'spawn':
      case 'post':
      case 'openMailbox':
      case 'closeMailbox':
        effects.push({ kind: type, ...(params as object) } as Effect);
        break;
      case 'xstate.assign':
      case 'xstate.log':
        break;
      default:
        return {
          outcome: 'faulted',
          reason: 'unknown-effect',
          detail: `the machine asks for "${type}", which is no effect`,
        };
    }
  }
  if (effects.length > limits.effectsPerStepMax)
    return { outcome: 'faulted', reason: 'too-many-effects', detail: `${effects.length} effects in one step` };
  if (snapshot.status !== 'active') {
    const kept = actor.definition.retentionMs;
    const retentionMs = typeof kept === 'number' ? kept : kept(snapshot.context as JsonObject);
    timers = retentionMs === Infinity ? noTimers : { [retireTimer]: nowMs + retentionMs };
  }
  let recent = actor.recent;
  if (isCommand(envelope) && (envelope.event || actor.revision > 0))
    recent = [...recent.slice(1 - limits.recentCommandsMax), envelope.id];
  const context = durable(snapshot.context as JsonObject, snapshot === actor.snapshot ? {} : actor.snapshot.context);
  if (context !== snapshot.context) (snapshot as { context: unknown }).context = context;
  const since = sameState(stateOf(actor), snapshot.value as StateValue) ? actor.since : nowMs;
  return {
    outcome: 'applied',
    effects,
    actor: {
      definition: actor.definition,
      address: actor.address,
      id: actor.id,
      snapshot,
      revision: actor.revision + 1,
      since,
      timers,
      recent,
    },
  };
}

/** Rebuilt, because an object that had a member deleted is slow from then on. */
function without(timers: Timers, timer: string): Timers {
  if (!Object.hasOwn(timers, timer)) return timers;
  let rest: Record<string, Timers[string]> | undefined;
  for (const id in timers) if (id !== timer) (rest ??= {})[id] = timers[id]!;
  return rest ?? noTimers;
}

function sameState(left: StateValue, right: StateValue): boolean {
  if (left === right) return true;
  if (typeof left === 'string' || typeof right === 'string') return false;
  for (const key in left) {
    const child = right[key];
    if (child === undefined || !sameState(left[key]!, child)) return false;
  }
  for (const key in right) if (!(key in left)) return false;
  return true;
}

/** Types of the commands that the actor's state takes: what a refusal answers and what a page offers as buttons. */
export function legalEvents(actor: Actor): string[] {
  if (isDone(actor)) return [];
  const types = new Set<string>();
  for (const transition of getNextTransitions(actor.snapshot)) {
    const type = transition.eventType;
    if (actor.definition.events[type] && !actor.definition.reports?.includes(type)) types.add(type);
  }
  return [...types].sort();
}

function refusedBy(definition: LoadedDefinition, actor: Actor, event: MachineEvent): Decision {
  const reason = definition.refusal?.(viewOf(actor), event) ?? (isDone(actor) ? 'finished' : 'not-legal-now');
  return refused(reason, `"${event.type}" does not change ${actor.address} in its present state`, legalEvents(actor));
}

function refused(reason: string, detail: string, legal: readonly string[]): Decision {
  return { outcome: 'refused', reason, detail: detail.slice(0, limits.reasonLengthMax), legal };
}

function isExternal(envelope: Envelope): boolean {
  return envelope.origin === 'command' || envelope.origin === 'report' || envelope.origin === 'relay';
}

function isCommand(envelope: Envelope): boolean {
  return envelope.origin === 'command' || envelope.origin === 'relay';
}

function idOf(envelope: Envelope): string {
  return parseAddress(envelope.to)?.id ?? '';
}

function issueText(issues: readonly { path: readonly PropertyKey[]; message: string }[]): string {
  return issues
    .slice(0, 5)
    .map((issue) => (issue.path.length > 0 ? `${issue.path.map(String).join('.')}: ${issue.message}` : issue.message))
    .join('; ');
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, limits.reasonLengthMax);
}

/** What a machine sees: member by member, because a spread of ever other shapes is many times slower. */
function stamped<Given extends JsonObject>(
  given: Given,
  at: number,
  self: string,
): Given & { at: number; self: string } {
  const whole: Record<string, unknown> = {};
  for (const member in given) whole[member] = given[member];
  whole['at'] = at;
  whole['self'] = self;
  return whole as Given & { at: number; self: string };
}
