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

/** Size of a text as UTF-8, in bytes, without encoding it when it is surely below the bound. */
export function exceedsBytes(text: string, bytesMax: number): boolean {
  if (text.length > bytesMax) return true;
  if (text.length * 3 <= bytesMax) return false;
  let bytes = 0;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    bytes += unit < 0x80 ? 1 : unit < 0x800 ? 2 : unit >= 0xd800 && unit <= 0xdfff ? 2 : 3;
  }
  return bytes > bytesMax;
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
  let keys = 0;
  const stack: { value: unknown; path: string; depth: number }[] = [{ value, path: '', depth: 0 }];
  for (let item = stack.pop(); item; item = stack.pop()) {
    const { path, depth } = item;
    const where = path === '' ? 'the value' : path;
    if (depth > bounds.depthMax) return `${where} is nested deeper than ${bounds.depthMax} levels`;
    if (typeof item.value === 'string') {
      const problem = textProblem(item.value);
      if (problem) return `${where} ${problem}`;
    } else if (typeof item.value === 'number') {
      if (!Number.isFinite(item.value)) return `${where} is not a finite number`;
    } else if (typeof item.value === 'object' && item.value !== null) {
      const list = Array.isArray(item.value);
      for (const [key, child] of Object.entries(item.value)) {
        if (++keys > bounds.keysMax) return `the value has more than ${bounds.keysMax} members`;
        if (!list) {
          if (key === '__proto__') return `${where} has a member named __proto__`;
          const problem = textProblem(key);
          if (problem) return `a member name in ${where} ${problem}`;
        }
        stack.push({ value: child, path: `${path}/${key.slice(0, 40)}`, depth: depth + 1 });
      }
    }
  }
  return undefined;
}

// eslint-disable-next-line no-control-regex -- NUL is exactly what is searched for
const unstorable = /\u0000|[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/;

/** Why a text cannot be stored, or undefined when it can. */
export function textProblem(text: string): string | undefined {
  if (!unstorable.test(text)) return undefined;
  return text.includes('\u0000') ? 'contains a NUL character' : 'contains a lone surrogate';
}
