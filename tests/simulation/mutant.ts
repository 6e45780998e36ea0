/** Ways to build it wrong; the checkers must see each. */
export const mutants = ['gate ignores backward time', 'superseded dropped'] as const;
export type Mutant = (typeof mutants)[number];
