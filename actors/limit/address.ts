/**
 * A limit counts for the whole site, so it is one actor, in shard 0. What a shard may spend of it stands in an allotment
 * of that shard, so that the dispatcher decides without asking anybody.
 */
import type { Effect } from '../../runtime/core/effect.ts';
import { address, makeId, type Address } from '../../runtime/protocol/ids.ts';

export function limitAddress(name: string): Address {
  return address('limit', makeId('l', 0, name));
}

export function allotmentAddress(shard: number, name: string): Address {
  return address('allotment', makeId('m', shard, name));
}

/** The name that an id of a limit or of an allotment ends with. */
export function nameOfId(id: string): string {
  return id.replace(/^[a-z]+-\d+-/, '');
}

/** Tells the limit that an attempt cost more (or less, below zero) than it was charged. */
export function correction(name: string, units: number, chargedAt: number): Effect {
  return { kind: 'send', to: limitAddress(name), event: { type: 'correct', units, chargedAt } };
}
