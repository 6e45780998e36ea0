/**
 * A definition: an XState machine, the schemas of what may reach it from outside, and the few pure functions by which the
 * runtime, the dispatcher and the read models look at it. Any machine can be registered that keeps to four rules, checked
 * when it is loaded: no invoke and no spawned children (effects do that work), no event named `xstate.*` and no `*`
 * handler (they would take what is not theirs), no empty handler (it would look like a refusal), context closed under JSON.
 */
import type { AnyStateMachine, AnyStateNode } from 'xstate';
import * as z from 'zod';
import { limits } from '../../config/limits.ts';
import { isName, hash32 } from '../protocol/ids.ts';
import type { MachineEvent } from '../protocol/envelope.ts';
import type { JsonObject } from '../protocol/json.ts';
import type { ActorView, StoredActor } from '../protocol/snapshot.ts';
import type { Effect } from './effect.ts';
import { Plan } from './plan.ts';

export type Recreation =
  /** The same request once more: answered with the present state. */
  | { kind: 'duplicate' }
  /** Another request for a name that is taken. */
  | { kind: 'conflict'; detail: string }
  /** The request means an event to the actor that is there. */
  | { kind: 'event'; event: MachineEvent };

/** Something that happened, for metrics: a name of a closed set, and how much. */
export interface Measure {
  readonly name: string;
  readonly value: number;
}

export interface Definition {
  /** Name, the first part of every address. */
  id: string;
  /** Rises when stored snapshots of the former version need a migration. */
  version: number;
  machine: AnyStateMachine;
  /** Schema of the input that creates an actor. */
  input: z.ZodType<JsonObject>;
  /** Schemas of the events that may come from outside the runtime, by type. Derived events need none. */
  events: Readonly<Record<string, z.ZodType<MachineEvent>>>;
  /** Event types that agents' reports may carry; a subset of `events`. All others are commands. */
  reports?: readonly string[];
  /** What a create means for an actor that exists; without it: duplicate. */
  recreate?: (actor: ActorView, input: JsonObject) => Recreation;
  /** Input for an actor that comes into being by the first event that is sent to it. */
  genesis?: (id: string) => JsonObject;
  /** Reason code of a refusal, where the machine knows better than `not-legal-now` (a stale token, say). */
  refusal?: (actor: ActorView, event: MachineEvent) => string | undefined;
  /**
   * What is answered to an actor whose event was refused: the addressed one is over, or was never there (undefined), and
   * the sender waits for it.
   */
  unheard?: (id: string, actor: ActorView | undefined, event: MachineEvent) => Effect[];
  /** Whether a report would tell the actor nothing new: passed over, so that chatter costs neither steps nor history. */
  passOver?: (context: JsonObject, event: MachineEvent, nowMs: number) => boolean;
  /** Joins an event that waits for an actor with a later one of the same type, so that a batch costs one transition. */
  merge?: Readonly<Record<string, (waiting: MachineEvent, later: MachineEvent) => MachineEvent>>;
  /** What a transition from one context to another adds to metrics. */
  measure?: (before: JsonObject, after: JsonObject) => readonly Measure[];
  /** Milliseconds that the snapshot of a finished actor stays in Redis, or what its context says; Infinity keeps it. */
  retentionMs: number | ((context: JsonObject) => number);
  /** Whether actors stay in the memory of their shard from take-over on (few and often used: agents). */
  resident?: boolean;
  /** Snapshots of former versions: the function lifts the stored form from `version` to `version + 1`. */
  migrations?: Readonly<Record<number, (stored: StoredActor) => StoredActor>>;
}

/** A definition that passed the checks, with what the runtime derives from it once. */
export interface LoadedDefinition extends Definition {
  readonly versionTag: string;
  readonly stateNodes: ReadonlyMap<string, AnyStateNode>;
  /** Its transitions worked out beforehand, where the machine allows it. */
  readonly plan: Plan | undefined;
}

/** @throws Error naming the definition, the state and the rule, when the machine cannot be run durably */
export function loadDefinition(definition: Definition): LoadedDefinition {
  const fail = (where: string, rule: string): never => {
    throw new Error(`definition "${definition.id}": ${where}: ${rule}`);
  };
  if (!isName(definition.id)) fail('id', 'a name is a letter followed by letters, digits, ".", "_" or "-"');
  if (!Number.isInteger(definition.version) || definition.version < 1) fail('version', 'is a whole number from 1');
  const stateNodes = new Map<string, AnyStateNode>();
  const visit = (node: AnyStateNode): void => {
    stateNodes.set(node.id, node);
    if (node.invoke.length > 0) fail(`state "${node.id}"`, 'invoke is not durable; use the effects "send" or "spawn"');
    for (const [type, transitions] of node.transitions) {
      if (type.includes('*'))
        fail(`state "${node.id}"`, `the handler "${type}" would take every event; name the events`);
      if (type.startsWith('xstate.') && !type.startsWith('xstate.after.') && !type.startsWith('xstate.done.state.'))
        fail(`state "${node.id}"`, `the event "${type}" is reserved`);
      for (const transition of transitions)
        if (!transition.target && transition.actions.length === 0 && !transition.reenter)
          fail(
            `state "${node.id}"`,
            `the handler of "${type}" is empty: it would look like a refusal; give it an action`,
          );
    }
    for (const child of Object.values(node.states)) visit(child);
  };
  visit(definition.machine.root);
  for (const type of definition.reports ?? [])
    if (!definition.events[type]) fail(`report "${type}"`, 'has no schema in events');
  for (const type of Object.keys(definition.events))
    if (type.startsWith('xstate.')) fail(`event "${type}"`, 'names that begin with "xstate." are reserved');
  // An endless `always` loop would otherwise hold the shard for ever (R10).
  definition.machine.options = { ...definition.machine.options, maxIterations: limits.microstepsMax };
  const versionTag = `${definition.version}-${structuralHash(definition.machine)}`;
  const events: Record<string, z.ZodType<MachineEvent>> = {};
  for (const [type, schema] of Object.entries(definition.events)) events[type] = z.compile(schema);
  const input = z.compile(definition.input);
  return { ...definition, input, events, versionTag, stateNodes, plan: Plan.of(definition.machine) };
}

/** Changes when states, transitions or their targets do: what a stored actor stands in. Guards and actions may change. */
export function structuralHash(machine: AnyStateMachine): string {
  const lines: string[] = [];
  const visit = (node: AnyStateNode): void => {
    lines.push(`${node.id} ${node.type} ${node.history || ''}`);
    for (const [type, transitions] of node.transitions)
      for (const transition of transitions) {
        const targets = (transition.target ?? []).map((target) => target.id).join(',');
        lines.push(`${type}>${targets}${transition.reenter ? '!' : ''}`);
      }
    for (const child of Object.values(node.states)) visit(child);
  };
  visit(machine.root);
  return hash32(lines.join('\n')).toString(16).padStart(8, '0');
}

/** All definitions of a site, by id. */
export class Registry {
  readonly #definitions = new Map<string, LoadedDefinition>();

  constructor(definitions: readonly Definition[]) {
    for (const definition of definitions) {
      if (this.#definitions.has(definition.id)) throw new Error(`definition "${definition.id}" is registered twice`);
      this.#definitions.set(definition.id, loadDefinition(definition));
    }
  }

  get(id: string): LoadedDefinition | undefined {
    return this.#definitions.get(id);
  }

  all(): LoadedDefinition[] {
    return [...this.#definitions.values()];
  }
}
