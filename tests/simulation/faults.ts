/** What goes wrong in a run: drawn from the seed beforehand, as data. Times are ticks of half a second. */
import type { Chance } from '../support/chance.ts';

export type Fault =
  | { kind: 'crash' | 'pause'; site: 0 | 1; from: number; until: number }
  /** Nothing passes between the sites. */
  | { kind: 'cut'; from: number; until: number }
  /** The site does not reach the witness. */
  | { kind: 'alone'; site: 0 | 1; from: number; until: number }
  | { kind: 'clock'; site: 0 | 1; from: number; byMs: number };

const kinds = ['crash', 'pause', 'cut', 'alone', 'clock'] as const;

export function drawFaults(chance: Chance, ticks: number): Fault[] {
  return Array.from({ length: 2 + chance.below(6) }, (): Fault => {
    const kind = kinds[chance.below(kinds.length)]!;
    const site = chance.below(2) as 0 | 1;
    const from = chance.below(ticks - 20);
    const until = from + 4 + chance.below(30);
    if (kind === 'cut') return { kind, from, until };
    if (kind === 'clock') return { kind, site, from, byMs: chance.below(40_000) - 20_000 };
    return { kind, site, from, until };
  });
}

export function isUnder(fault: Fault, tick: number): boolean {
  return 'until' in fault && tick >= fault.from && tick < fault.until;
}
