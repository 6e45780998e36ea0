/** Parts of requests, checked: ids, preferences, pages, and bodies against schemas. */
import type { Request } from 'express';
import type * as z from 'zod';
import { limits } from '../config/limits.ts';
import { isId } from '../runtime/protocol/ids.ts';
import { textProblem } from '../runtime/protocol/json.ts';
import { Problem } from './problem.ts';

/** The id in the path. @throws Problem when it is none */
export function idOf(request: Request, prefix: 't' | 'a'): string {
  const id = String(request.params['id']);
  if (!isId(id) || !id.startsWith(`${prefix}-`))
    throw new Problem('invalid-id', `"${id.slice(0, 64)}" is no ${prefix === 't' ? 'task' : 'agent'} id`, {
      where: 'id',
      remedy: `ids look like ${prefix}-3-01JD2Q8Z0G5M6N7P8Q9RSTVWXY`,
    });
  return id;
}

/** RFC 7240: `wait=n` in seconds, and `respond-async`. */
export function preferencesOf(request: Request): { waitMs: number | undefined; async: boolean } {
  const header = request.get('Prefer') ?? '';
  const wait = /(?:^|[,;\s])wait\s*=\s*"?(\d{1,9})"?/i.exec(header)?.[1];
  return {
    waitMs: wait === undefined ? undefined : Math.min(Number(wait), limits.preferWaitSecondsMax) * 1000,
    async: /(?:^|[,;\s])respond-async\b/i.test(header),
  };
}

/** Query members of a list, each at most once. @throws Problem for a member that the list does not know */
export function queryOf(request: Request, known: readonly string[]): Map<string, string> {
  const query = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(request.url.split('?')[1] ?? '')) {
    if (!known.includes(name))
      throw new Problem('invalid-request', `there is no query parameter "${name.slice(0, 40)}"`, {
        where: name.slice(0, 40),
        remedy: `known: ${known.join(', ')}`,
      });
    if (query.has(name)) throw new Problem('invalid-request', `"${name}" stands twice`, { where: name });
    const unsafe = textProblem(value);
    if (unsafe) throw new Problem('invalid-request', `${name} ${unsafe}`, { where: name });
    query.set(name, value);
  }
  return query;
}

export function limitOf(query: ReadonlyMap<string, string>): number {
  const text = query.get('limit');
  if (text === undefined) return limits.listLimitDefault;
  const limit = Number(text);
  if (!/^\d+$/.test(text) || limit < 1 || limit > limits.listLimitMax)
    throw new Problem('invalid-request', `limit is a whole number from 1 to ${limits.listLimitMax}`, {
      where: 'limit',
    });
  return limit;
}

/** A point in time, ISO 8601, as milliseconds. */
export function timeOf(query: ReadonlyMap<string, string>, name: string): number | undefined {
  const text = query.get(name);
  if (text === undefined) return undefined;
  const time = Date.parse(text);
  if (Number.isNaN(time))
    throw new Problem('invalid-request', `${name} is a time like 2026-01-31T12:00:00Z`, { where: name });
  return time;
}

/** @throws Problem that names the first place that does not fit */
export function checked<T>(schema: z.ZodType<T>, value: unknown, at = ''): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = `${at}/${issue?.path.map(String).join('/') ?? ''}`.replace(/\/$/, '') || '/';
  const tooLarge = issue?.code === 'custom' && issue.message.startsWith('is larger than');
  throw new Problem(
    tooLarge ? 'too-large' : 'invalid-request',
    `${where === '/' ? 'the body' : where.slice(0, 200)}: ${issue?.message ?? 'is not valid'}`.slice(0, 600),
    {
      where: where.slice(0, 200),
    },
  );
}

/** The W3C trace context of the request, when it is well formed. */
export function traceOf(request: Request): { traceparent?: string } {
  const traceparent = request.get('traceparent');
  return traceparent !== undefined && /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/.test(traceparent)
    ? { traceparent }
    : {};
}
