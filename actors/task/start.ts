/**
 * What has to be over before a task may be queued: its delay, and the tasks that it depends on. Pure.
 *
 * A child asks each parent once (`await`), from then on it is told (`parent`) when the parent is settled. A parent that is
 * over, or gone, answers too, so a join never hangs.
 */
import * as z from 'zod';
import { limits } from '../../config/limits.ts';
import type { Effect } from '../../runtime/core/effect.ts';
import { address, isId, isName, type Address } from '../../runtime/protocol/ids.ts';
import { exceedsBytes, type Json, type JsonObject } from '../../runtime/protocol/json.ts';

/** `crowded`: it has as many children as it may have; `unknown`: there is no such task any more. */
const endings = ['succeeded', 'cancelled', 'expired', 'parked', 'unknown', 'crowded'] as const;
type Ending = (typeof endings)[number];

export interface Parent {
  readonly status: 'waiting' | Ending;
  readonly result?: Json;
  /** It has a result, which did not fit: read it from the API. */
  readonly result_omitted?: true;
}

export interface StartContext {
  /** Not before, in milliseconds since 1970. */
  runAt?: number | undefined;
  parents?: Readonly<Record<string, Parent>> | undefined;
  onFailure?: 'block' | 'skip' | 'run' | undefined;
  /** Addresses of the tasks that want to hear how this one ends. */
  children?: readonly string[] | undefined;
}

const yearMs = 366 * 24 * 3_600_000;
const name = z
  .string()
  .max(limits.nameLengthMax)
  .refine(isName, 'is a letter followed by letters, digits, ".", "_" or "-"');
const reference = z
  .string()
  .max(limits.idLengthMax)
  .refine(
    (text) => (text.startsWith('#') ? isName(text.slice(1)) : text.startsWith('t-') && isId(text)),
    'is a task id, or "#" and the ref of an item of the same request',
  );

export const startShape = {
  delay_ms: z.int().min(0).max(yearMs).optional().describe('From submit to the queue.'),
  run_at: z.iso.datetime({ offset: true }).optional().describe('Not before; instead of delay_ms.'),
  depends_on: z
    .array(reference)
    .max(limits.parentsMax)
    .optional()
    .describe('Tasks that have to end first; in a bulk submit also "#" and the ref of another item.'),
  ref: name.optional().describe('Name of an item within its bulk submit, for depends_on of others.'),
  on_failure: z
    .enum(['block', 'skip', 'run'])
    .optional()
    .describe('When one of them does not succeed: wait or park (default), cancel this one, or run all the same.'),
};

export interface StartInput {
  delay_ms?: number | undefined;
  run_at?: string | undefined;
  depends_on?: readonly string[] | undefined;
  on_failure?: 'block' | 'skip' | 'run' | undefined;
  /** Parents that have left Redis, as PostgreSQL knows them. */
  settled_parents?: Readonly<Record<string, { status: string; result?: unknown }>> | undefined;
  at: number;
}

export const settledParentsSchema = z
  .record(z.string(), z.strictObject({ status: z.enum(endings), result: z.unknown().optional() }))
  .optional();

/** Context of a task that may have to wait; empty for one that may not. */
export function startOf({ delay_ms, run_at, depends_on, on_failure, settled_parents, at }: StartInput): StartContext {
  const runAt = run_at === undefined ? at + (delay_ms ?? 0) : Date.parse(run_at);
  if (!depends_on || depends_on.length === 0) return runAt > at ? { runAt } : {};
  let parents: Readonly<Record<string, Parent>> = Object.fromEntries(
    depends_on.map((id) => [id, { status: 'waiting' }]),
  );
  for (const [id, { status, result }] of Object.entries(settled_parents ?? {}))
    parents = withParent(parents, { task: id, status: status as Ending, result: result as Json | undefined });
  return { ...(runAt > at && { runAt }), parents, onFailure: on_failure ?? 'block' };
}

/** How a task ended that is no actor any more. */
export interface KnownEnding {
  status: Ending;
  result?: Json;
}

export interface ParentNews {
  task: string;
  status: Ending;
  result?: Json | undefined;
}

export function withParent(
  parents: StartContext['parents'],
  { task, status, result }: ParentNews,
): Readonly<Record<string, Parent>> {
  if (!parents || !Object.hasOwn(parents, task)) return parents ?? {};
  const others = { ...parents, [task]: { status } };
  if (result === undefined) return others;
  const whole = { ...parents, [task]: { status, result } };
  const fits = !exceedsBytes(JSON.stringify(whole), limits.parentResultsBytesMax);
  return fits ? whole : { ...parents, [task]: { status, result_omitted: true } };
}

/** What keeps the task from being queued now; undefined when nothing does. */
export type Obstacle = 'block' | 'delay' | 'skip' | 'park';

export function obstacle({ runAt, parents, onFailure }: StartContext, now: number): Obstacle | undefined {
  if (parents) {
    const statuses = Object.values(parents).map(({ status }) => status);
    const failed = statuses.filter((status) => status !== 'waiting' && status !== 'succeeded');
    if (onFailure === 'skip' && failed.length > 0) return 'skip';
    // A parked parent may still be redriven and succeed; of the others nothing will come.
    if (onFailure === 'block' && failed.some((status) => status !== 'parked')) return 'park';
    if (statuses.includes('waiting') || (onFailure === 'block' && failed.length > 0)) return 'block';
  }
  return runAt !== undefined && runAt > now ? 'delay' : undefined;
}

export function awaits({ parents = {} }: StartContext, self: string): Effect[] {
  return Object.entries(parents)
    .filter(([, { status }]) => status === 'waiting' || status === 'parked')
    .map(([id]) => ({ kind: 'send', to: address('task', id), event: { type: 'await', child: address('task', self) } }));
}

/** To one child. */
export function parentNews(to: string, task: string, status: Ending, result?: Json): Effect {
  const event: JsonObject & { type: string } = { type: 'parent', task, status };
  return { kind: 'send', to: to as Address, event: result === undefined ? event : { ...event, result } };
}

/** To every child. */
export function tellChildren({ children = [] }: StartContext, self: string, status: Ending, result?: Json): Effect[] {
  return children.map((child) => parentNews(child, self, status, result));
}
