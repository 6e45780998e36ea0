/**
 * An actor in memory and at rest. In memory it holds XState's own snapshot object, so a step needs no restoring; at rest it
 * is the smallest JSON that gives the same object back (R9).
 */
import type { AnyMachineSnapshot } from 'xstate';
import { stateText, type MachineEvent, type StateValue } from '../protocol/envelope.ts';
import type { Address } from '../protocol/ids.ts';
import type { JsonObject } from '../protocol/json.ts';
import type { ActorView, StoredActor } from '../protocol/snapshot.ts';
import type { LoadedDefinition } from './definition.ts';

export type Timers = Readonly<Record<string, number | readonly [number, MachineEvent]>>;

export interface Actor {
  readonly definition: LoadedDefinition;
  readonly address: Address;
  readonly id: string;
  readonly snapshot: AnyMachineSnapshot;
  /** Counts applied events, creation included: dense, from 1. */
  readonly revision: number;
  /** When the present state was entered, in milliseconds since 1970. */
  readonly since: number;
  readonly timers: Timers;
  readonly recent: readonly string[];
}

export const noTimers: Timers = Object.freeze({});
export const noRecent: readonly string[] = Object.freeze([]);

export function isDone(actor: Actor): boolean {
  return actor.snapshot.status !== 'active';
}

export function stateOf(actor: Actor): StateValue {
  return actor.snapshot.value as StateValue;
}

const stateTexts = new WeakMap<object, string>();

/** The state as text. Actors in one state mostly share its value, so it is put together once. */
export function stateTextOf(actor: Actor): string {
  const value = stateOf(actor);
  if (typeof value === 'string') return value;
  let text = stateTexts.get(value);
  if (text === undefined) stateTexts.set(value, (text = stateText(value)));
  return text;
}

const stateJsons = new WeakMap<object, string>();

function stateJsonOf(actor: Actor): string {
  const value = stateOf(actor);
  if (typeof value === 'string') return JSON.stringify(value);
  let json = stateJsons.get(value);
  if (json === undefined) stateJsons.set(value, (json = JSON.stringify(value)));
  return json;
}

export function viewOf(actor: Actor): ActorView {
  return {
    id: actor.id,
    revision: actor.revision,
    since: actor.since,
    state: stateOf(actor),
    status: isDone(actor) ? 'done' : 'active',
    context: actor.snapshot.context as JsonObject,
  };
}

/** The stored form as JSON text. Member order is fixed, so equal actors give equal bytes. */
export function freeze(actor: Actor): string {
  const { definition, snapshot, revision, since, timers, recent } = actor;
  let text = `{"version":"${definition.versionTag}","revision":${revision},"since":${since},"state":${stateJsonOf(actor)},"context":${JSON.stringify(snapshot.context)}`;
  if (isDone(actor)) text += ',"status":"done"';
  if (snapshot.output !== undefined) text += `,"output":${JSON.stringify(snapshot.output)}`;
  const history = historyOf(snapshot.historyValue as Record<string, { id: string }[]>);
  if (history) text += `,"history":${JSON.stringify(history)}`;
  if (timers !== noTimers) text += `,"timers":${JSON.stringify(timers)}`;
  if (recent.length > 0) text += `,"recent":${JSON.stringify(recent)}`;
  return `${text}}`;
}

function historyOf(nodes: Record<string, { id: string }[]>): Record<string, string[]> | undefined {
  let history: Record<string, string[]> | undefined;
  // XState has them in the order in which they were entered last, and after a restore in that of the machine.
  for (const key in nodes) (history ??= {})[key] = nodes[key]!.map((node) => node.id).sort();
  return history;
}

export type Thawed =
  { ok: true; actor: Actor } | { ok: false; reason: 'unknown-version' | 'unreadable'; detail: string };

/** Restores an actor. A snapshot of another version is lifted by the definition's migrations, or reported, never guessed. */
export function thaw(definition: LoadedDefinition, address: Address, text: string): Thawed {
  let stored: StoredActor;
  try {
    stored = JSON.parse(text) as StoredActor;
    for (let at = Number.parseInt(stored.version, 10); stored.version !== definition.versionTag; at++) {
      const migrate = definition.migrations?.[at];
      if (!migrate || at >= definition.version)
        return {
          ok: false,
          reason: 'unknown-version',
          detail: `the snapshot has version ${stored.version}, the definition ${definition.versionTag}, and no migration leads there`,
        };
      stored = migrate(stored);
    }
    return {
      ok: true,
      actor: {
        definition,
        address,
        id: address.slice(definition.id.length + 1),
        snapshot: definition.plan?.restore(stored.state, stored.context) ?? resolved(definition, stored),
        revision: stored.revision,
        since: stored.since,
        timers: stored.timers ?? noTimers,
        recent: stored.recent ?? noRecent,
      },
    };
  } catch (error) {
    return { ok: false, reason: 'unreadable', detail: error instanceof Error ? error.message : String(error) };
  }
}

function resolved(definition: LoadedDefinition, stored: StoredActor): AnyMachineSnapshot {
  const historyValue: Record<string, unknown[]> = {};
  for (const key in stored.history)
    historyValue[key] = stored.history[key]!.map((id) => definition.stateNodes.get(id)).filter((node) => node);
  return definition.machine.resolveState({
    value: stored.state,
    context: stored.context,
    status: stored.status ?? 'active',
    output: stored.output,
    historyValue,
  } as never) as AnyMachineSnapshot;
}

/** A snapshot of the machine in a state that it did not reach by an event of its own. */
export function rebuilt(
  definition: LoadedDefinition,
  value: StateValue,
  context: JsonObject,
  status: 'active' | 'done',
): AnyMachineSnapshot {
  return (
    definition.plan?.restore(value, context) ??
    (definition.machine.resolveState({ value, context, status } as never) as AnyMachineSnapshot)
  );
}
