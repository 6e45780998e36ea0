/** Which known word a wrong one was probably meant to be. */

/** The nearest of the known words, or undefined when none is near. */
export function nearest(wrong: string, known: readonly string[]): string | undefined {
  const word = wrong.slice(0, 64);
  const [best] = known
    .map((name) => ({ name, distance: distance(word, name) }))
    .sort((a, b) => a.distance - b.distance);
  return best && best.distance <= Math.max(2, word.length / 3) ? best.name : undefined;
}

/** Edits between two words. */
function distance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i++) {
    const next = [i];
    for (let j = 1; j <= right.length; j++)
      next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (left[i - 1] === right[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[right.length]!;
}
