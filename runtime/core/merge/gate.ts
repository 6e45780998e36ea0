/**
 * The gate of a shard: what a commit of a site of a pair must pass inside the store. It is closed at boot, open for one
 * epoch and for a bounded time, and a clock that went back closes it: nobody knows then how long it was really open.
 */
import type { SiteEpoch } from '../../protocol/siteepoch.ts';

export interface Gate {
  readonly epoch: SiteEpoch;
  /** On the clock of the store, in milliseconds since 1970; 0 is closed. */
  readonly openUntilMs: number;
  /** The latest time that the gate has seen. */
  readonly lastSeenMs: number;
}

export const closedGate: Gate = { epoch: 0, openUntilMs: 0, lastSeenMs: 0 };

export type Passage =
  | { readonly passed: true; readonly gate: Gate }
  | { readonly passed: false; readonly gate: Gate; readonly why: Barrier };
export type Barrier = 'closed' | 'other-epoch' | 'past-time' | 'clock-went-back';

/** Opens or prolongs; never for a lower epoch, and never across a step back of the clock. */
export function open(gate: Gate, epoch: SiteEpoch, forMs: number, nowMs: number): Passage {
  if (epoch < gate.epoch) return { passed: false, gate, why: 'other-epoch' };
  if (epoch === gate.epoch && nowMs < gate.lastSeenMs) return shut(gate, 'clock-went-back');
  return { passed: true, gate: { epoch, openUntilMs: nowMs + forMs, lastSeenMs: nowMs } };
}

/** Closed for good for this epoch; a higher one opens it. */
export function close(gate: Gate): Gate {
  return { ...gate, openUntilMs: 0 };
}

export function pass(gate: Gate, epoch: SiteEpoch, nowMs: number): Passage {
  if (gate.openUntilMs === 0) return { passed: false, gate, why: 'closed' };
  if (epoch !== gate.epoch) return { passed: false, gate, why: 'other-epoch' };
  if (nowMs < gate.lastSeenMs) return shut(gate, 'clock-went-back');
  if (nowMs >= gate.openUntilMs) return shut(gate, 'past-time');
  return { passed: true, gate: { ...gate, lastSeenMs: nowMs } };
}

function shut(gate: Gate, why: Barrier): Passage {
  return { passed: false, gate: close(gate), why };
}
