/**
 * The context of an actor as its JSON gives it back. An actor in memory and one that was read back must have the same
 * members in the same order: otherwise the bytes of the next snapshot would depend on who decided before (R9).
 */
type Context = Readonly<Record<string, unknown>>;

/** A machine keeps what JSON cannot: it would be something else, or nothing, after the next take-over. */
export class NotJson extends Error {
  constructor(path: string, what: string) {
    super(`the context has ${what} at ${path}, which JSON cannot keep`);
    this.name = 'NotJson';
  }
}

/**
 * The context itself where it is such already, otherwise a copy without undefined members. Members that are in `before` as
 * they are were looked at before.
 * @throws NotJson naming the place
 */
export function durable(context: Context, before: Context): Context {
  if (context === before) return context;
  for (const key in context) {
    const value = context[key];
    if (value === undefined || (value !== before[key] && closed(value, key, 0) !== value))
      return copied(context, '', 0, before);
  }
  return context;
}

/** Deeper than anything that ingress lets in: a context that contains itself. */
const depthMax = 1_000;

function closed(value: unknown, path: string, depth: number): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
      if (Number.isFinite(value)) return value;
      throw new NotJson(path, String(value));
    case 'object':
      break;
    default:
      throw new NotJson(path, `a ${typeof value}`);
  }
  if (value === null) return value;
  if (depth > depthMax) throw new NotJson(path.slice(0, 80), `more than ${depthMax} levels`);
  if (Array.isArray(value)) return closedList(value, path, depth);
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null)
    throw new NotJson(path, `a ${(prototype as { constructor?: { name?: string } }).constructor?.name || 'class'}`);
  return closedObject(value as Context, path, depth);
}

function closedObject(value: Context, path: string, depth: number): Context {
  for (const key in value) {
    const child = value[key];
    // Lists of ids are long: most members need no path and no further look.
    if (typeof child === 'string' || Number.isFinite(child)) continue;
    if (child === undefined || closed(child, `${path}.${key}`, depth + 1) !== child)
      return copied(value, `${path}.`, depth + 1);
  }
  return value;
}

/** Member by member: an object that members are deleted from is slow ever after. */
function copied(value: Context, path: string, depth: number, before: Context = {}): Context {
  const whole: Record<string, unknown> = {};
  for (const key in value) {
    const child = value[key];
    if (child === undefined) continue;
    whole[key] = child === before[key] ? child : closed(child, path + key, depth);
  }
  return whole;
}

/** JSON has no holes: null stands where nothing does. */
function closedList(value: readonly unknown[], path: string, depth: number): readonly unknown[] {
  let whole: unknown[] | undefined;
  for (let index = 0; index < value.length; index++) {
    const child = value[index];
    const kept = child === undefined ? null : closed(child, `${path}.${index}`, depth + 1);
    if (kept === child) continue;
    whole ??= [...value];
    whole[index] = kept;
  }
  return whole ?? value;
}
