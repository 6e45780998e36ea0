/** Where the next page of a list begins, as an opaque text. */
export type Place = readonly [list: string, ...place: (string | number)[]];

export function encodeCursor(place: Place): string {
  return Buffer.from(JSON.stringify(place)).toString('base64url');
}

/**
 * The place that the cursor names.
 * @param shape what stands after the name of the list
 * @returns undefined when the cursor was not made by this list
 */
export function decodeCursor(
  cursor: string,
  list: string,
  shape: readonly ('number' | 'string')[],
): (string | number)[] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    // A cursor comes from outside: whatever cannot be read was not made here.
    return undefined;
  }
  if (!Array.isArray(value) || value.length !== shape.length + 1 || value[0] !== list) return undefined;
  const place = value.slice(1) as unknown[];
  const fits = place.every((part, index) => typeof part === shape[index] && (typeof part !== 'number' || part >= 0));
  return fits ? (place as (string | number)[]) : undefined;
}
