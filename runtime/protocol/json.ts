/** JSON values as they travel through streams and snapshots. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };
export type JsonObject = { readonly [key: string]: Json | undefined };

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Parses JSON into a value: an error is an outcome, not an exception. */
export function parseJson(text: string): { ok: true; value: unknown } | { ok: false; error: string } {
  try {
    return { ok: true, value: JSON.parse(text) };
  } catch (error) {
    return { ok: false, error: error instanceof Error ? error.message : String(error) };
  }
}

/** Size of a text as UTF-8, in bytes. */
export function utf8Bytes(text: string): number {
  let bytes = 0;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    bytes += unit < 0x80 ? 1 : unit < 0x800 ? 2 : unit >= 0xd800 && unit <= 0xdfff ? 2 : 3;
  }
  return bytes;
}

/** Whether a text is larger as UTF-8; it is not looked through where its length answers that. */
export function exceedsBytes(text: string, bytesMax: number): boolean {
  if (text.length > bytesMax) return true;
  return text.length * 3 > bytesMax && utf8Bytes(text) > bytesMax;
}

export interface JsonBounds {
  depthMax: number;
  keysMax: number;
}

/**
 * Why a value cannot be stored, or undefined when it can. NUL and lone surrogates fail a whole batch in PostgreSQL for
 * ever, so they are refused at ingress; so are `__proto__` keys, numbers beyond JSON and shapes beyond the bounds.
 * @returns a sentence that names the place as a JSON pointer
 */
export function storageProblem(value: unknown, bounds: JsonBounds): string | undefined {
  if (typeof value !== 'object' || value === null) return leafProblem(value, '');
  let keys = 0;
  const stack: { value: object; path: string; depth: number }[] = [{ value, path: '', depth: 0 }];
  for (let item = stack.pop(); item; item = stack.pop()) {
    const { path, depth } = item;
    const list = Array.isArray(item.value);
    // What JSON.parse made has no inherited members, and its own are all enumerable.
    for (const key in item.value) {
      const child = (item.value as Record<string, unknown>)[key];
      if (++keys > bounds.keysMax) return `the value has more than ${bounds.keysMax} members`;
      if (!list) {
        if (key === '__proto__') return `${path || 'the value'} has a member named __proto__`;
        const problem = textProblem(key);
        if (problem) return `a member name in ${path || 'the value'} ${problem}`;
      }
      if (depth + 1 > bounds.depthMax) return `${pathTo(path, key)} is nested deeper than ${bounds.depthMax} levels`;
      if (typeof child === 'object' && child !== null)
        stack.push({ value: child, path: pathTo(path, key), depth: depth + 1 });
      else {
        const problem = leafProblem(child, path, key);
        if (problem) return problem;
      }
    }
  }
  return undefined;
}

/** Paths are only written down for what they lead to: most values are fine, and there may be very many. */
function pathTo(path: string, key: string | number | undefined): string {
  return key === undefined ? path : `${path}/${String(key).slice(0, 40)}`;
}

function leafProblem(value: unknown, path: string, key?: string | number): string | undefined {
  const problem =
    typeof value === 'string'
      ? textProblem(value)
      : typeof value === 'number' && !Number.isFinite(value)
        ? 'is not a finite number'
        : undefined;
  return problem === undefined ? undefined : `${pathTo(path, key) || 'the value'} ${problem}`;
}

/** Why a text cannot be stored, or undefined when it can. */
export function textProblem(text: string): string | undefined {
  if (text.includes('\u0000')) return 'contains a NUL character';
  return text.isWellFormed() ? undefined : 'contains a lone surrogate';
}
