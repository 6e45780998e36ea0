/**
 * Two kinds of wrong: an operating error is an outcome and is handled; a broken invariant is a bug, stops the work at
 * hand and says which promise it breaks.
 */
export class InvariantBroken extends Error {
  readonly invariant: string;
  constructor(invariant: string, detail: string) {
    super(`${invariant} is broken: ${detail}`);
    this.name = 'InvariantBroken';
    this.invariant = invariant;
  }
}

export function invariant(holds: boolean, id: string, detail: () => string): asserts holds {
  if (!holds) throw new InvariantBroken(id, detail());
}

/** For the default branch of an exhaustive switch. */
export function unreachable(value: never): never {
  throw new InvariantBroken('exhaustive', `unexpected ${JSON.stringify(value)}`);
}
