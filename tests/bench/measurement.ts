/** What one run of one system gives, and what several runs of it come to. */

/** Name of a figure -> its value; the unit stands last in the name. */
export type Figures = Record<string, number>;

export interface Spread {
  median: number;
  min: number;
  max: number;
}

/** Of the runs that have the figure; undefined when none has. */
export function spreadOf(runs: readonly Figures[], figure: string): Spread | undefined {
  const sorted = runs.flatMap((run) => run[figure] ?? []).sort((left, right) => left - right);
  if (sorted.length === 0) return undefined;
  const middle = Math.floor((sorted.length - 1) / 2);
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle]! + sorted[middle + 1]!) / 2;
  return { median, min: sorted[0]!, max: sorted[sorted.length - 1]! };
}
