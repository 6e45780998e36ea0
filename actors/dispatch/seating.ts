/**
 * Free room of agents during one pass. Plain tasks take turns over the agents, the one longest without work first; a task
 * with wishes gets the agent that it prefers most, then the one where the least stays unused, then the longest idle.
 */
import type { Demand } from '../task/demand.ts';
import { hasSpace, leftover, meets, scoreOf, type Seat } from './fit.ts';
import type { Kind } from './flow.ts';

export interface Place {
  readonly seat: Seat;
  slots: number;
  resources: Readonly<Record<string, number>>;
  /** Tasks that it got in this pass. */
  got: number;
}

export class Seating {
  /** The longest without work first. */
  readonly #places: Place[];
  readonly #able = new Map<string, { place: Place; score: number }[]>();
  #turn: Place[];
  #next = 0;
  free = 0;

  /** @param reserved an agent that is kept free */
  constructor(seats: Iterable<Seat>, reserved: string | undefined) {
    this.#places = [...seats]
      .filter((seat) => seat.freeSlots > 0 && seat.agent !== reserved)
      .sort((left, right) => left.usedAt - right.usedAt || (left.agent < right.agent ? -1 : 1))
      .map((seat) => ({ seat, slots: seat.freeSlots, resources: seat.left, got: 0 }));
    this.#turn = this.#places;
    for (const { slots } of this.#places) this.free += slots;
  }

  find({ signature, demand }: Kind): Place | undefined {
    if (signature === '') return this.#inTurn();
    let able = this.#able.get(signature);
    if (!able) {
      able = this.#places
        .filter(({ seat }) => meets(demand?.requires, seat))
        .map((place) => ({ place, score: scoreOf(demand?.prefers, place.seat.labels) }));
      this.#able.set(signature, able);
    }
    let best: { place: Place; score: number; unused: number } | undefined;
    for (const { place, score } of able) {
      if (!hasSpace(demand, place)) continue;
      const unused = leftover(demand!, place.seat, place);
      const better =
        !best || score > best.score || (score === best.score && isBetter(unused, place, best.unused, best.place));
      if (better) best = { place, score, unused };
    }
    return best?.place;
  }

  take(place: Place, demand: Demand | undefined): void {
    const slots = demand?.slots ?? 1;
    place.slots -= slots;
    place.got++;
    this.free -= slots;
    if (!demand?.resources) return;
    const resources = { ...place.resources };
    for (const name in demand.resources) resources[name] = (resources[name] ?? 0) - demand.resources[name]!;
    place.resources = resources;
  }

  #inTurn(): Place | undefined {
    while (this.#turn.length > 0) {
      if (this.#next >= this.#turn.length) {
        this.#turn = this.#turn.filter(({ slots }) => slots > 0);
        this.#next = 0;
        continue;
      }
      const place = this.#turn[this.#next++]!;
      if (place.slots > 0) return place;
    }
    return undefined;
  }
}

/** Agents are looked at in the order of idleness, so equals stay with the first. */
function isBetter(unused: number, place: Place, bestUnused: number, best: Place): boolean {
  return unused !== bestUnused ? unused < bestUnused : place.got < best.got;
}
