/** Parts of requests, checked: ids, preferences, pages, and bodies against schemas. */
import type { Request } from 'express';
import * as z from 'zod';
import { limits } from '../config/limits.ts';
import { nearest } from '../config/nearest.ts';
import { isId, shardOfId } from '../runtime/protocol/ids.ts';
import { textProblem } from '../runtime/protocol/json.ts';
import { Problem } from './problem.ts';

const kinds = { t: 'task', a: 'agent', b: 'bulk action', s: 'schedule' } as const;

/** The id in the path and the shard that it names. @throws Problem when it is none, or of a shard that the site lacks */
export function idOf(request: Request, prefix: keyof typeof kinds, shards: number): { id: string; shard: number } {
  const id = String(request.params['id']);
  const shard = shardOfId(id);
  if (shard === undefined || !isId(id) || !id.startsWith(`${prefix}-`))
    throw new Problem('invalid-id', `"${id.slice(0, 64)}" is no ${kinds[prefix]} id`, {
      where: 'id',
      remedy: `ids look like ${prefix}-3-01JD2Q8Z0G5M6N7P8Q9RSTVWXY`,
    });
  if (shard >= shards) throw new Problem('not-found', `there is no ${kinds[prefix]} ${id}`);
  return { id, shard };
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

/** Whether an `If-Match` or `If-None-Match` names the tag. */
export function namesTag(header: string, tag: string): boolean {
  return header
    .split(',')
    .map((part) => part.trim().replace(/^W\//, ''))
    .some((part) => part === '*' || part === tag);
}

/** Query members of a list, each at most once. @throws Problem for a member that the list does not know */
export function queryOf(request: Request, known: readonly string[]): Map<string, string> {
  const query = new Map<string, string>();
  const start = request.url.indexOf('?');
  for (const [name, value] of new URLSearchParams(start === -1 ? '' : request.url.slice(start + 1))) {
    if (!known.includes(name))
      throw new Problem('invalid-request', `there is no query parameter "${name.slice(0, 40)}"`, {
        where: name.slice(0, 40),
        remedy: remedyFor(name, known),
      });
    if (query.has(name)) throw new Problem('invalid-request', `"${name}" stands twice`, { where: name });
    const unsafe = textProblem(value);
    if (unsafe !== undefined) throw new Problem('invalid-request', `${name} ${unsafe}`, { where: name });
    query.set(name, value);
  }
  return query;
}

/** RFC 8288: the same list, from where this page ends. */
export function nextLink(path: string, query: ReadonlyMap<string, string>, cursor: string): string {
  const following = new URLSearchParams([...query].filter(([name]) => name !== 'cursor'));
  following.set('cursor', cursor);
  return `<${path}?${following.toString()}>; rel="next"`;
}

export function limitOf(query: ReadonlyMap<string, string>): number {
  const text = query.get('limit');
  if (text === undefined) return limits.listLimitDefault;
  const limit = Number(text);
  if (!/^\d{1,9}$/.test(text) || limit < 1 || limit > limits.listLimitMax)
    throw new Problem('invalid-request', `limit is a whole number from 1 to ${limits.listLimitMax}`, {
      where: 'limit',
    });
  return limit;
}

const timePattern = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?$/;

/** A point in time, ISO 8601, as milliseconds; UTC where it names no zone. */
export function timeOf(query: ReadonlyMap<string, string>, name: string): number | undefined {
  const text = query.get(name);
  if (text === undefined) return undefined;
  const zoned = !text.includes('T') || /(Z|[+-]\d\d:\d\d)$/.test(text) ? text : `${text}Z`;
  const time = timePattern.test(text) ? Date.parse(zoned) : NaN;
  if (Number.isNaN(time))
    throw new Problem('invalid-request', `${name} is a time like 2026-01-31T12:00:00Z`, { where: name });
  return time;
}

/** @throws Problem that names the first place that does not fit */
export function checked<T>(schema: z.ZodType<T>, value: unknown, at = ''): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  const path = [...issue.path.map(String), ...(issue.code === 'unrecognized_keys' ? [issue.keys[0] ?? ''] : [])];
  const where = `${at}/${path.map(pointerPart).join('/')}`.slice(0, 200).replace(/\/$/, '') || '/';
  const subject = where === '/' ? 'the body' : where;
  if (issue.code === 'unrecognized_keys') {
    const known = membersAt(schema, issue.path);
    throw new Problem('invalid-request', `${subject}: there is no such member`, {
      where,
      ...(known.length > 0 && { remedy: remedyFor(issue.keys[0] ?? '', known) }),
    });
  }
  const tooLarge = issue.code === 'custom' && issue.message.startsWith('is larger than');
  throw new Problem(tooLarge ? 'too-large' : 'invalid-request', `${subject}: ${issue.message}`.slice(0, 600), {
    where,
  });
}

/** RFC 6901. */
function pointerPart(name: string): string {
  return name.slice(0, 64).replaceAll('~', '~0').replaceAll('/', '~1');
}

function remedyFor(wrong: string, known: readonly string[]): string {
  const best = nearest(wrong, known);
  return best === undefined ? `known: ${known.join(', ')}` : `did you mean "${best}"?`;
}

/** Names that the object at a path of the schema takes; empty where it is no plain object. */
function membersAt(schema: unknown, path: readonly PropertyKey[]): string[] {
  const bare = unwrapped(schema);
  if (!(bare instanceof z.ZodObject)) return [];
  const [next, ...rest] = path;
  const shape = bare.shape as Record<string, unknown>;
  return next === undefined ? Object.keys(shape) : membersAt(shape[String(next)], rest);
}

function unwrapped(schema: unknown): unknown {
  let bare = schema;
  while (bare instanceof z.ZodOptional || bare instanceof z.ZodDefault || bare instanceof z.ZodPrefault)
    bare = bare.unwrap();
  return bare;
}
