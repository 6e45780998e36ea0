/** The registered definitions as they can be looked at: drawn, lit, restored and replayed. It does nothing. */
import type { Envelope } from '../protocol/envelope.ts';
import { parseAddress, type Address } from '../protocol/ids.ts';
import { thaw } from './actor.ts';
import type { Registry } from './definition.ts';
import { chartOf, type Chart } from './graph.ts';
import { litStates } from './lit.ts';
import { Replay, type Replayed, type Standing } from './replay.ts';

/** Looks at definitions and actors from outside of the runtime. */
export interface Machines {
  charts(): readonly Chart[];
  chart(definition: string): Chart | undefined;
  /** Ids of the states that a state text stands for; empty where the definition does not know it. */
  lit(definition: string, state: string): readonly string[];
  /** How a stored actor stands; a text when it cannot be restored. */
  standing(address: Address, snapshot: string): Standing | string;
  /** Takes history through the machine once more; undefined for an unknown definition. */
  replay(address: Address): ReplayRun | undefined;
}

export interface ReplayRun {
  apply(envelope: Envelope, atMs: number): Replayed;
  standing(): Standing | undefined;
}

export class Catalogue implements Machines {
  readonly #registry: Registry;
  readonly #charts: Map<string, Chart>;

  constructor(registry: Registry) {
    this.#registry = registry;
    this.#charts = new Map(registry.all().map((definition) => [definition.id, chartOf(definition)]));
  }

  charts(): readonly Chart[] {
    return [...this.#charts.values()];
  }

  chart(definition: string): Chart | undefined {
    return this.#charts.get(definition);
  }

  lit(definition: string, state: string): readonly string[] {
    const loaded = this.#registry.get(definition);
    return loaded ? litStates(loaded, state) : [];
  }

  standing(address: Address, snapshot: string): Standing | string {
    const definition = this.#registry.get(parseAddress(address)?.definition ?? '');
    if (!definition) return `there is no definition for ${address}`;
    const thawed = thaw(definition, address, snapshot);
    return thawed.ok ? new Replay(definition, thawed.actor).standing()! : thawed.detail;
  }

  replay(address: Address): ReplayRun | undefined {
    const definition = this.#registry.get(parseAddress(address)?.definition ?? '');
    return definition && new Replay(definition);
  }
}
