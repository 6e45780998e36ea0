/** Ways to build it wrong; the checkers must see each. They exist in the simulated site alone. */
export const mutants = [
  'highest length wins',
  'skip the common ancestor',
  're-inject without dedup',
  'the passive site appends',
  'the gate ignores backward time',
  'epochs not unique per site',
  'state replicated instead of the log',
  'superseded dropped',
  'result of a revoked attempt accepted',
  'gate open at boot',
] as const;
export type Mutant = (typeof mutants)[number];
