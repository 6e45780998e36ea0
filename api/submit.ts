/**
 * Submits: one task, an array, or NDJSON. The body becomes commands; with an `Idempotency-Key` the id of the task follows
 * from it, so that a repeat after any crash meets the same task.
 */
import type { Request, RequestHandler, Response } from 'express';
import { settledStatuses } from '../actors/task/status.ts';
import { limits } from '../config/limits.ts';
import { Unavailable } from '../runtime/protocol/errors.ts';
import { address, makeId } from '../runtime/protocol/ids.ts';
import { acknowledgementOf, confirm, refuseUnconfirmable } from './acknowledgement.ts';
import { callerOf } from './auth.ts';
import { parseStrict, readBody } from './body.ts';
import { submitMany } from './bulk.ts';
import { claim, type Claimed } from './claims.ts';
import type { ApiContext } from './context.ts';
import { addParents } from './dependencies.ts';
import { mismatch, refuse } from './outcome.ts';
import { Problem } from './problem.ts';
import { retiredTask, settledTask } from './reading.ts';
import { preferencesOf } from './request.ts';
import { linksOf } from './resources.ts';
import { accepted, claimedTask, prepare, refuseTooCostly, statusOf } from './submission.ts';
import type { Submission } from './submitted.ts';

export function submit(context: ApiContext): RequestHandler {
  return async (request, response) => {
    const { kind, text } = await readBody(request);
    const key = idempotencyKey(request);
    if (acknowledgementOf(request) === 'peer') await refuseUnconfirmable(context, request, key);
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
  await refuseTooCostly(context, item);
  const reference = item.dependsOn.find((parent) => parent.startsWith('#'));
  if (reference !== undefined)
    throw new Problem('invalid-request', `${reference} names an item of a bulk submit, and this is none`, {
      where: '/depends_on',
    });
  await addParents(context, callerOf(request), item, item.dependsOn, new Map());
  const earlier = key === undefined ? undefined : await earlierTask(context, item);
  if (item.claim && isAsync)
    throw new Problem('invalid-request', 'respond-async does not wait for the word of the uniqueness key', {
      where: 'Prefer',
    });
  if (item.claim && earlier === undefined) {
    await answerClaim(context, request, response, await claim(context, item), waitMs);
    return;
  }
  const outcomes =
    earlier === undefined
      ? await context.commands.send(item.shard, [item.command], isAsync ? 0 : limits.replyWaitMs)
      : undefined;
  const outcome = outcomes?.[0];
  if (outcome) refuse(outcome);
  response.location(linksOf(item.id).self);
  if (earlier !== undefined || outcome?.outcome === 'duplicate') response.set('Idempotent-Replayed', 'true');
  if (acknowledgementOf(request) === 'peer') await confirm(context, response);
  if (isAsync) response.append('Preference-Applied', 'respond-async');
  else if (waitMs !== undefined && (outcome || earlier !== undefined)) {
    response.append('Preference-Applied', `wait=${waitMs / 1000}`);
    const task = await settledTask(context, response, item.id, callerOf(request), waitMs);
    response.status(settledStatuses.has(task.status) ? 200 : 202).json(task);
    return;
  }
  response.status(202).json(accepted(item.id, earlier ?? statusOf(outcome)));
}

/** Says which task holds the key now: the one that was submitted, or with `existing` the one that is there. */
async function answerClaim(
  context: ApiContext,
  request: Request,
  response: Response,
  { id, status, existing, replayed }: Claimed,
  waitMs: number | undefined,
): Promise<void> {
  response.location(linksOf(id).self);
  if (replayed) response.set('Idempotent-Replayed', 'true');
  if (acknowledgementOf(request) === 'peer') await confirm(context, response);
  if (waitMs !== undefined && status !== undefined) {
    response.append('Preference-Applied', `wait=${waitMs / 1000}`);
    const task = await settledTask(context, response, id, callerOf(request), waitMs);
    response.status(settledStatuses.has(task.status) ? 200 : 202).json(task);
    return;
  }
  response.status(existing ? 200 : 202).json(claimedTask(id, status, existing));
}

/**
 * What the machine of the task cannot see: the key was used for a task of another type, which lives in another shard, or
 * for a task that has left Redis.
 * @returns the status of the task that has left
 */
async function earlierTask(context: ApiContext, { id, shard }: Submission): Promise<string | undefined> {
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
  const { system } = context;
  const enough = new AbortController();
  try {
    // Without PostgreSQL, work is taken in all the same: the key then holds for what Redis still knows.
    const late = system.sleep(limits.earlierTaskMs, enough.signal).then(() => undefined);
    return (await Promise.race([retiredTask(context, id), late]))?.status;
  } catch (error) {
    if (error instanceof Unavailable) return undefined;
    throw error;
  } finally {
    enough.abort();
  }
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
