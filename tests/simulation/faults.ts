/** What goes wrong in a run: drawn from the seed beforehand, as data. Times are ticks of half a second. */
import type { Chance } from '../support/chance.ts';

/** Who decides which site is active: the witness, or the operator, who may also be wrong. */
export type Mode = 'witness' | 'manual';

export type Fault =
  | { kind: 'crash' | 'pause'; site: 0 | 1; from: number; until: number }
  /** Nothing passes between the sites. */
  | { kind: 'cut'; from: number; until: number }
  /** The site does not reach the witness, or nobody does. */
  | { kind: 'alone'; site: 0 | 1; from: number; until: number }
  | { kind: 'no witness'; from: number; until: number }
  | { kind: 'clock'; site: 0 | 1; from: number; byMs: number }
  /** The clock runs wrong by so many milliseconds a tick. */
  | { kind: 'drift'; site: 0 | 1; from: number; until: number; byMs: number }
  /** The operator promotes a site although the other may be alive; or moves the work over as planned. */
  | { kind: 'force'; site: 0 | 1; from: number }
  | { kind: 'switchover'; from: number };

const witnessed = ['crash', 'pause', 'cut', 'alone', 'no witness', 'clock', 'drift', 'switchover'] as const;
const manual = ['crash', 'pause', 'cut', 'clock', 'force', 'force', 'switchover'] as const;

export function drawFaults(chance: Chance, mode: Mode, ticks: number): Fault[] {
  const faults = drawSingle(chance, mode, ticks);
  if (mode === 'witness') return faults;
  // What an operator does who sees nothing of the other site, while that one starts anew.
  return faults.flatMap((fault): Fault[] => {
    if (fault.kind !== 'cut' || !chance.happens(0.7)) return [fault];
    const site = chance.below(2) as 0 | 1;
    const from = fault.from + 1 + chance.below(2);
    const restart: Fault = { kind: 'crash', site: (1 - site) as 0 | 1, from: from + 1, until: from + 2 };
    return [fault, { kind: 'force', site, from }, ...(chance.happens(0.5) ? [restart] : [])];
  });
}

function drawSingle(chance: Chance, mode: Mode, ticks: number): Fault[] {
  const kinds: readonly Fault['kind'][] = mode === 'witness' ? witnessed : manual;
  return Array.from({ length: 2 + chance.below(5) }, (): Fault => {
    const kind = kinds[chance.below(kinds.length)]!;
    const site = chance.below(2) as 0 | 1;
    const from = 2 + chance.below(ticks - 15);
    const until = from + 3 + chance.below(18);
    const byMs = chance.below(40_000) - 20_000;
    switch (kind) {
      case 'cut':
      case 'no witness':
        return { kind, from, until };
      case 'clock':
        return { kind, site, from, byMs };
      case 'drift':
        return { kind, site, from, until, byMs: chance.below(40) - 20 };
      case 'force':
        return { kind, site, from };
      case 'switchover':
        return { kind, from };
      default:
        return { kind, site, from, until };
    }
  });
}

export function isUnder(fault: Fault, tick: number): boolean {
  return 'until' in fault && tick >= fault.from && tick < fault.until;
}
