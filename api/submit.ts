/**
 * Submits: one task, an array, or NDJSON. The body becomes commands; with an `Idempotency-Key` the id of the task follows
 * from it, so that a repeat after any crash meets the same task.
 */
import { createHash } from 'node:crypto';
import type { Request, RequestHandler, Response } from 'express';
import type * as z from 'zod';
import { limitAddress } from '../actors/limit/address.ts';
import { submitSchema } from '../actors/task/events.ts';
import { settledStatuses, taskStatus } from '../actors/task/status.ts';
import { limits } from '../config/limits.ts';
import type { Command, Outcome } from '../runtime/protocol/envelope.ts';
import { viewOfStored } from '../runtime/protocol/snapshot.ts';
import { Unavailable } from '../runtime/protocol/errors.ts';
import { address, makeId, shardOfLane } from '../runtime/protocol/ids.ts';
import type { JsonObject } from '../runtime/protocol/json.ts';
import { callerOf } from './auth.ts';
import { parseStrict, readBody } from './body.ts';
import type { ApiContext } from './context.ts';
import { mismatch, refuse } from './outcome.ts';
import { asProblem, Problem } from './problem.ts';
import { retiredTask, settledTask } from './reading.ts';
import { checked, preferencesOf } from './request.ts';
import { traceOf } from './trace.ts';
import { linksOf } from './resources.ts';

type Submit = z.infer<typeof submitSchema>;

interface Item {
  command: Command;
  shard: number;
  id: string;
}

export function submit(context: ApiContext): RequestHandler {
  return async (request, response) => {
    const { kind, text } = await readBody(request);
    const key = idempotencyKey(request);
    if (kind === 'ndjson') {
      const lines = text.split('\n').filter((line) => line.trim() !== '');
      const sources = lines.map((line) => () => parseStrict(line));
      await submitMany(context, request, response, sources, key);
      return;
    }
    const body = parseStrict(text);
    if (Array.isArray(body)) {
      const sources = body.map((value: unknown) => () => value);
      await submitMany(context, request, response, sources, key);
    } else await submitOne(context, request, response, body, key);
  };
}

async function submitOne(
  context: ApiContext,
  request: Request,
  response: Response,
  body: unknown,
  key: string | undefined,
): Promise<void> {
  const { waitMs, async: isAsync } = preferencesOf(request);
  const item = prepare(context, request, body, key, '');
  await refuseTooCostly(context, item, '');
  const earlier = key === undefined ? undefined : await earlierTask(context, item);
  const outcomes =
    earlier === undefined
      ? await context.commands.send(item.shard, [item.command], isAsync ? 0 : limits.replyWaitMs)
      : undefined;
  const outcome = outcomes?.[0];
  if (outcome) refuse(outcome);
  response.location(linksOf(item.id).self);
  if (earlier !== undefined || outcome?.outcome === 'duplicate') response.set('Idempotent-Replayed', 'true');
  if (isAsync) response.set('Preference-Applied', 'respond-async');
  else if (waitMs !== undefined && (outcome || earlier !== undefined)) {
    response.set('Preference-Applied', `wait=${waitMs / 1000}`);
    const task = await settledTask(context, response, item.id, callerOf(request), waitMs);
    response.status(settledStatuses.has(task.status) ? 200 : 202).json(task);
    return;
  }
  response.status(202).json(accepted(item.id, earlier ?? statusOf(outcome)));
}

/**
 * What the machine of the task cannot see: the key was used for a task of another type, which lives in another shard, or
 * for a task that has left Redis.
 * @returns the status of the task that has left
 */
async function earlierTask(context: ApiContext, { id, shard }: Item): Promise<string | undefined> {
  const unique = id.slice(makeId('t', shard, '').length);
  const shards = Array.from({ length: context.site.shards }, (_, other) => other);
  const found = await Promise.all(
    shards.map(
      async (other) => (await context.gateway.snapshot(address('task', makeId('t', other, unique)))) !== undefined,
    ),
  );
  if (found.some((present, other) => present && other !== shard))
    throw mismatch('the Idempotency-Key was used before for a task of another type');
  if (found[shard]) return undefined;
  try {
    return (await retiredTask(context, id))?.status;
  } catch (error) {
    // Without PostgreSQL, work is taken in all the same: the key then holds for what Redis still knows.
    if (error instanceof Unavailable) return undefined;
    throw error;
  }
}

async function submitMany(
  context: ApiContext,
  request: Request,
  response: Response,
  sources: readonly (() => unknown)[],
  key: string | undefined,
): Promise<void> {
  if (sources.length === 0 || sources.length > limits.batchEnvelopesMax)
    throw new Problem(
      'invalid-request',
      `a bulk submit has 1 to ${limits.batchEnvelopesMax} tasks, this one has ${sources.length}`,
    );
  const answers: object[] = [];
  const refused = (index: number, error: unknown): void => {
    const problem = asProblem(error);
    if (problem.code === 'internal-error') throw error;
    answers[index] = { index, error: problem.toJSON() };
  };
  const accept = (index: number, item: Item, outcome: Outcome | undefined): void => {
    try {
      if (outcome) refuse(outcome);
      answers[index] = { index, ...accepted(item.id, statusOf(outcome)) };
    } catch (error) {
      refused(index, error);
    }
  };
  const prepared: { item: Item; index: number }[] = [];
  for (const [index, source] of sources.entries()) {
    try {
      const itemKey = key === undefined ? undefined : `${key}/${index}`;
      const item = prepare(context, request, source(), itemKey, `/${index}`);
      await refuseTooCostly(context, item, `/${index}`);
      prepared.push({ index, item });
    } catch (error) {
      refused(index, error);
    }
  }
  const waitMs = preferencesOf(request).async ? 0 : limits.replyWaitMs;
  await Promise.all(
    entriesOf(prepared).map(async (entry) => {
      try {
        const commands = entry.map(({ item }) => item.command);
        const outcomes = await context.commands.send(entry[0]!.item.shard, commands, waitMs);
        for (const [at, { item, index }] of entry.entries()) accept(index, item, outcomes?.[at]);
      } catch (error) {
        for (const { index } of entry) refused(index, error);
      }
    }),
  );
  const failed = answers.filter((answer) => 'error' in answer).length;
  response
    .status(failed === 0 ? 202 : 207)
    .json({ accepted: answers.length - failed, refused: failed, items: answers });
}

/** One stream entry for each shard, or several where one would be too large. */
function entriesOf(prepared: readonly { item: Item; index: number }[]): { item: Item; index: number }[][] {
  const entries: { item: Item; index: number }[][] = [];
  const open = new Map<number, { list: { item: Item; index: number }[]; bytes: number }>();
  for (const one of prepared) {
    const bytes = Buffer.byteLength(JSON.stringify(one.item.command));
    let entry = open.get(one.item.shard);
    if (!entry || entry.bytes + bytes > limits.entryBytesMax / 2) {
      entry = { list: [], bytes: 0 };
      open.set(one.item.shard, entry);
      entries.push(entry.list);
    }
    entry.list.push(one);
    entry.bytes += bytes;
  }
  return entries;
}

/** The command of one submit. @throws Problem with the place that does not fit */
function prepare(context: ApiContext, request: Request, body: unknown, key: string | undefined, at: string): Item {
  const caller = callerOf(request);
  const parsed: Submit = checked(submitSchema, body, at);
  if (caller.tenant !== undefined && parsed.tenant !== undefined && parsed.tenant !== caller.tenant)
    throw new Problem('not-allowed', `the token is for the tenant ${caller.tenant}`, { where: `${at}/tenant` });
  const tenant = parsed.tenant ?? caller.tenant;
  const shard = shardOfLane(parsed.type, 0, context.site.shards);
  const unique =
    key === undefined ? context.system.ulid() : hash(JSON.stringify([tenant ?? null, caller.subject, key]));
  const id = makeId('t', shard, unique);
  const trace = traceOf(request);
  const input = {
    ...parsed,
    ...trace,
    ...(tenant !== undefined && { tenant }),
    timeouts: { start_to_close_ms: context.site.taskTimeoutMs, ...parsed.timeouts },
    ...(key !== undefined && { fingerprint: hash(canonical(parsed)) }),
  };
  return {
    shard,
    id,
    command: {
      id: context.system.ulid(),
      to: address('task', id),
      input: input as unknown as JsonObject,
      by: caller.subject,
      ...trace,
    },
  };
}

/** A cost that no window can ever pay is refused; a limit that nobody has set yet is waited for. @throws Problem */
async function refuseTooCostly(context: ApiContext, { command }: Item, at: string): Promise<void> {
  const costs = (command.input?.['limits'] ?? {}) as Record<string, number>;
  for (const [name, cost] of Object.entries(costs)) {
    const text = await context.gateway.snapshot(limitAddress(name));
    const units = text === undefined ? undefined : viewOfStored(name, text).context['units'];
    if (typeof units !== 'number' || cost <= units) continue;
    throw new Problem('invalid-request', `costs ${cost} units of ${name}, and a whole window has ${units}`, {
      where: `${at}/limits/${name}`,
      remedy: `split the task, or set the limit with PUT /api/v1/limits/${name}`,
    });
  }
}

/** 128 bits of SHA-256, in hexadecimal. */
function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}

/** Same members, same text: whatever their order. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([left], [right]) => (left < right ? -1 : 1)))
      : part,
  );
}

function idempotencyKey(request: Request): string | undefined {
  const keys = request.headersDistinct['idempotency-key'] ?? [];
  const [key] = keys;
  if (key === undefined) return undefined;
  if (keys.length > 1 || !/^[\x21-\x7e]{1,255}$/.test(key))
    throw new Problem('invalid-request', 'an Idempotency-Key has 1 to 255 visible ASCII characters', {
      where: 'Idempotency-Key',
    });
  return key;
}

function statusOf(outcome: Outcome | undefined): string {
  return outcome && 'state' in outcome && outcome.state !== undefined ? taskStatus(outcome.state) : 'submitted';
}

function accepted(id: string, status: string): object {
  return { id, status, links: linksOf(id) };
}
