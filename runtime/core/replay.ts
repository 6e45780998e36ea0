/**
 * An actor's history, taken through `step` once more: the same records give the same states (R9), and another record in
 * their midst shows what would have become of it. Effects are computed and never carried out.
 */
import { stateTextOf, type Actor } from './actor.ts';
import type { LoadedDefinition } from './definition.ts';
import type { Effect } from './effect.ts';
import { legalEvents, step } from './step.ts';
import type { Envelope } from '../protocol/envelope.ts';
import type { JsonObject } from '../protocol/json.ts';
import { litStates } from './lit.ts';

export interface Replayed {
  outcome: 'applied' | 'duplicate' | 'refused' | 'retired' | 'faulted';
  /** State after the step; empty before the actor exists. */
  state: string;
  revision: number;
  /** Why nothing changed. */
  reason?: string;
  detail?: string;
  /** What the step would have caused. */
  effects: readonly Effect[];
}

/** How the replayed actor stands. */
export interface Standing {
  revision: number;
  state: string;
  lit: readonly string[];
  context: JsonObject;
  since: number;
  /** Commands that it takes. */
  legal: readonly string[];
  /** Timer -> due time, milliseconds since 1970. */
  timers: Readonly<Record<string, number>>;
}

export class Replay {
  readonly #definition: LoadedDefinition;
  #actor: Actor | undefined;

  constructor(definition: LoadedDefinition, actor?: Actor) {
    this.#definition = definition;
    this.#actor = actor;
  }

  /** @param atMs the time that the step sees */
  apply(envelope: Envelope, atMs: number): Replayed {
    const decision = step(this.#definition, this.#actor, envelope, atMs);
    switch (decision.outcome) {
      case 'applied':
        this.#actor = decision.actor;
        return this.#said('applied', decision.effects);
      case 'retired':
        return this.#said('retired', []);
      case 'duplicate':
        return { ...this.#said('duplicate', []), detail: decision.detail };
      case 'refused':
      case 'faulted': {
        const { outcome, reason, detail } = decision;
        return { ...this.#said(outcome, []), reason, detail };
      }
    }
  }

  standing(): Standing | undefined {
    const actor = this.#actor;
    if (!actor) return undefined;
    const state = stateTextOf(actor);
    return {
      revision: actor.revision,
      state,
      lit: litStates(this.#definition, state),
      context: actor.snapshot.context as JsonObject,
      since: actor.since,
      legal: legalEvents(actor),
      timers: Object.fromEntries(
        Object.entries(actor.timers).map(([timer, due]) => [timer, typeof due === 'number' ? due : due[0]]),
      ),
    };
  }

  #said(outcome: Replayed['outcome'], effects: readonly Effect[]): Replayed {
    const actor = this.#actor;
    return { outcome, state: actor ? stateTextOf(actor) : '', revision: actor?.revision ?? 0, effects };
  }
}
