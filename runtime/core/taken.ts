/**
 * Which entries of another shard were taken over. Their numbers are dense per (source, target), so the set is exact and
 * small: all numbers up to one, and the few beyond it that came before a missing one. Order of arrival does not matter: an
 * entry that a frozen owner read and did not commit comes later than its successors, and is still taken exactly once (R1).
 *
 * As text: `17` is 1 to 17; `17 19 20` is 1 to 17, 19 and 20.
 */
import { limits } from '../../config/limits.ts';

export type Taken = string;
export const noneTaken: Taken = '0';

/** The set with one more number, or undefined when the number is in it already: a repeated delivery. */
export function take(taken: Taken, number: number): Taken | undefined {
  const [upTo = 0, ...beyond] = taken.split(' ').map(Number);
  if (number <= upTo || beyond.includes(number)) return undefined;
  const rest = [...beyond, number].sort((left, right) => left - right);
  let last = upTo;
  // A number that stays away while so many came after it was deleted by hand: it is given up.
  if (rest.length > limits.relayGapEntriesMax) last = rest[0]! - 1;
  while (rest[0] === last + 1) last = rest.shift()!;
  return [last, ...rest].join(' ');
}
