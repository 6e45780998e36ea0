/** Routes of tasks. Each publishes a command or reads; the outcome is the machine's, never this file's. */
import { createHash } from 'node:crypto';
import { Router, type Request, type Response } from 'express';
import * as z from 'zod';
import { events, submitSchema } from '../actors/task/events.ts';
import { settledStatuses, taskStatus, taskStatuses } from '../actors/task/status.ts';
import { limits } from '../config/limits.ts';
import type { ActorView } from '../runtime/protocol/snapshot.ts';
import type { Command, Outcome } from '../runtime/protocol/envelope.ts';
import { address, makeId, parseAddress, shardOfLane } from '../runtime/protocol/ids.ts';
import type { JsonObject } from '../runtime/protocol/json.ts';
import { allow, callerOf } from './auth.ts';
import { parseStrict, readBody } from './body.ts';
import type { ApiContext } from './context.ts';
import { asProblem, Problem } from './problem.ts';
import { checked, idOf, limitOf, preferencesOf, queryOf, timeOf, traceOf } from './request.ts';
import { historyResource, taskOfRow, taskOfView, type TaskResource } from './resources.ts';
import { readTask, storedView } from './reading.ts';

type Submit = z.infer<typeof submitSchema>;

interface Item {
  command: Command;
  shard: number;
  id: string;
}

export function taskRoutes(context: ApiContext): Router {
  const router = Router();

  router.post('/', allow('tasks:submit'), async (request, response) => {
    const { kind, text } = await readBody(request);
    const key = idempotencyKey(request);
    if (kind === 'json') {
      const body = parseStrict(text);
      if (!Array.isArray(body)) {
        await submitOne(context, request, response, body, key);
        return;
      }
      await submitMany(
        context,
        request,
        response,
        body.map((value: unknown) => () => value),
        key,
      );
      return;
    }
    const lines = text.split('\n').filter((line) => line.trim() !== '');
    await submitMany(
      context,
      request,
      response,
      lines.map((line) => () => parseStrict(line)),
      key,
    );
  });

  router.get('/', allow('read'), async (request, response) => {
    const query = queryOf(request, [
      'status',
      'type',
      'tenant',
      'agent',
      'created_after',
      'created_before',
      'text',
      'limit',
      'cursor',
    ]);
    const status = query.get('status');
    if (status !== undefined && !taskStatuses.includes(status as never))
      throw new Problem('invalid-request', `"${status.slice(0, 40)}" is no status`, {
        where: 'status',
        remedy: `one of ${taskStatuses.join(', ')}`,
      });
    const tenant = callerOf(request).tenant ?? query.get('tenant');
    const filter = {
      status,
      type: query.get('type'),
      tenant,
      agent: query.get('agent'),
      createdAfter: timeOf(query, 'created_after'),
      createdBefore: timeOf(query, 'created_before'),
      text: query.get('text'),
    };
    const given = Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined));
    const page = await context.readModel.tasks(given, limitOf(query), query.get('cursor'));
    if (page === 'bad-cursor')
      throw new Problem('invalid-cursor', 'the cursor is not one that this list gave', { where: 'cursor' });
    if (page.next !== undefined) {
      const next = new URLSearchParams([...query].filter(([name]) => name !== 'cursor'));
      next.set('cursor', page.next);
      response.set('Link', `</api/v1/tasks?${next.toString()}>; rel="next"`);
    }
    response.json({ items: page.rows.map(taskOfRow), next: page.next ?? null });
  });

  router.get('/:id', allow('read'), async (request, response) => {
    const id = idOf(request, 't');
    const { waitMs } = preferencesOf(request);
    const task =
      waitMs === undefined
        ? await readTask(context, id, callerOf(request))
        : await settledTask(context, request, id, waitMs);
    const tag = `"${task.revision}"`;
    response.set('ETag', tag);
    if (request.get('If-None-Match') === tag) {
      response.status(304).end();
      return;
    }
    response.json(task);
  });

  router.get('/:id/history', allow('read'), async (request, response) => {
    const id = idOf(request, 't');
    await readTask(context, id, callerOf(request));
    const query = queryOf(request, ['limit', 'cursor']);
    const page = await context.readModel.history(address('task', id), limitOf(query), query.get('cursor'));
    if (page === 'bad-cursor')
      throw new Problem('invalid-cursor', 'the cursor is not one that this list gave', { where: 'cursor' });
    response.json({ items: page.rows.map(historyResource), next: page.next ?? null });
  });

  router.delete('/:id', allow('tasks:cancel'), async (request, response) => {
    await tell(context, request, response, { type: 'cancel' });
  });

  router.post('/:id/redrive', allow('tasks:redrive'), async (request, response) => {
    const empty = request.get('Content-Length') === undefined || request.get('Content-Length') === '0';
    const body =
      empty && request.get('Transfer-Encoding') === undefined ? {} : parseStrict((await readBody(request)).text);
    const event = checked(events.redrive, { ...checked(z.looseObject({}), body), type: 'redrive' });
    await tell(context, request, response, event as JsonObject & { type: string });
  });

  return router;
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
  const outcomes = await context.commands.send(item.shard, [item.command], isAsync ? 0 : limits.replyWaitMs);
  const outcome = outcomes?.[0];
  if (outcome) refuse(outcome);
  response.location(`/api/v1/tasks/${item.id}`);
  if (outcome?.outcome === 'duplicate') response.set('Idempotent-Replayed', 'true');
  if (waitMs !== undefined && !isAsync) {
    response.set('Preference-Applied', 'wait');
    const task = await settledTask(context, request, item.id, waitMs);
    response.status(settledStatuses.has(task.status) ? 200 : 202).json(task);
    return;
  }
  response.status(202).json(accepted(item, outcome));
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
  const answers: (object | undefined)[] = [];
  const shards = new Map<number, { item: Item; index: number }[]>();
  for (const [index, source] of sources.entries()) {
    try {
      const item = prepare(context, request, source(), key === undefined ? undefined : `${key}/${index}`, `/${index}`);
      const list = shards.get(item.shard);
      if (list) list.push({ item, index });
      else shards.set(item.shard, [{ item, index }]);
    } catch (error) {
      answers[index] = { index, error: problemOf(error) };
    }
  }
  const waitMs = preferencesOf(request).async ? 0 : limits.replyWaitMs;
  await Promise.all(
    [...shards].map(async ([shard, list]) => {
      try {
        const outcomes = await context.commands.send(
          shard,
          list.map(({ item }) => item.command),
          waitMs,
        );
        for (const [at, { item, index }] of list.entries()) answers[index] = answerOf(item, index, outcomes?.[at]);
      } catch (error) {
        for (const { index } of list) answers[index] = { index, error: problemOf(error) };
      }
    }),
  );
  const failed = answers.filter((answer) => answer && 'error' in answer).length;
  response
    .status(failed === 0 ? 202 : 207)
    .json({ accepted: answers.length - failed, refused: failed, items: answers });
}

function answerOf(item: Item, index: number, outcome: Outcome | undefined): object {
  try {
    if (outcome) refuse(outcome);
    return { index, ...accepted(item, outcome) };
  } catch (error) {
    return { index, error: problemOf(error) };
  }
}

function problemOf(error: unknown): object {
  return asProblem(error).toJSON();
}

/** The command of one submit. The id follows from the Idempotency-Key, so a repeat after any crash meets the same task. */
function prepare(context: ApiContext, request: Request, body: unknown, key: string | undefined, at: string): Item {
  const caller = callerOf(request);
  const submit: Submit = checked(submitSchema, body, at);
  if (caller.tenant !== undefined && submit.tenant !== undefined && submit.tenant !== caller.tenant)
    throw new Problem('not-allowed', `the token is for the tenant ${caller.tenant}`, { where: `${at}/tenant` });
  const tenant = submit.tenant ?? caller.tenant;
  const shard = shardOfLane(submit.type, 0, context.site.shards);
  const hash = (text: string): string => createHash('sha256').update(text).digest('hex');
  const unique =
    key === undefined
      ? context.system.ulid()
      : hash(JSON.stringify([tenant ?? null, caller.subject, key])).slice(0, 32);
  const id = makeId('t', shard, unique);
  const input = {
    ...submit,
    ...(tenant !== undefined && { tenant }),
    timeouts: { start_to_close_ms: context.site.taskTimeoutMs, ...submit.timeouts },
    ...(key !== undefined && { fingerprint: hash(canonical(submit)).slice(0, 32) }),
  };
  return {
    shard,
    id,
    command: {
      id: context.system.ulid(),
      to: address('task', id),
      input: input as unknown as JsonObject,
      by: caller.subject,
      ...traceOf(request),
    },
  };
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
  const key = request.get('Idempotency-Key');
  if (key === undefined) return undefined;
  if (key.length === 0 || key.length > 255 || !/^[\x21-\x7e]+$/.test(key))
    throw new Problem('invalid-request', 'an Idempotency-Key has 1 to 255 visible ASCII characters', {
      where: 'Idempotency-Key',
    });
  return key;
}

function accepted(item: Item, outcome: Outcome | undefined): object {
  const status = outcome && 'state' in outcome && outcome.state !== undefined ? taskStatus(outcome.state) : 'submitted';
  return { id: item.id, status, links: linksOf(item.id) };
}

function linksOf(id: string): object {
  const self = `/api/v1/tasks/${id}`;
  return { self, history: `${self}/history`, events: `${self}/events` };
}

/** Sends an event to the task in the path and answers with what became of it. */
async function tell(
  context: ApiContext,
  request: Request,
  response: Response,
  event: JsonObject & { type: string },
): Promise<void> {
  const id = idOf(request, 't');
  const caller = callerOf(request);
  const task = await readTask(context, id, caller);
  const wanted = request.get('If-Match');
  if (wanted !== undefined && wanted !== '*' && wanted !== `"${task.revision}"`)
    throw new Problem('precondition-failed', `the task has the revision ${task.revision}`, { where: 'If-Match' });
  const to = address('task', id);
  const command: Command = { id: context.system.ulid(), to, event, by: caller.subject, ...traceOf(request) };
  const outcomes = await context.commands.send(parseAddress(to)!.shard, [command]);
  const outcome = outcomes?.[0];
  if (outcome) refuse(outcome);
  const status = outcome && 'state' in outcome && outcome.state !== undefined ? taskStatus(outcome.state) : task.status;
  response
    .status(outcome && settledStatuses.has(status) ? 200 : 202)
    .location(`/api/v1/tasks/${id}`)
    .json({ id, status, links: linksOf(id) });
}

/** @throws Problem for an outcome that is no success */
export function refuse(outcome: Outcome): void {
  switch (outcome.outcome) {
    case 'applied':
    case 'duplicate':
      return;
    case 'set-aside':
      throw new Problem('invalid-request', `${outcome.reason}: ${outcome.detail}`);
    case 'refused': {
      const details = { legal: outcome.legal, ...(outcome.state !== undefined && { state: outcome.state }) };
      if (outcome.reason === 'conflict')
        throw new Problem('idempotency-mismatch', outcome.detail, { where: 'Idempotency-Key' });
      if (outcome.reason === 'unknown-actor') throw new Problem('not-found', outcome.detail);
      if (outcome.reason.startsWith('invalid-')) throw new Problem('invalid-request', outcome.detail);
      throw new Problem('not-legal-now', `${outcome.detail} (${outcome.reason})`, details);
    }
  }
}

/** The task when it is settled, or as it is when the time is over or the client has gone. */
async function settledTask(context: ApiContext, request: Request, id: string, waitMs: number): Promise<TaskResource> {
  const to = address('task', id);
  const caller = callerOf(request);
  const over = new AbortController();
  const gone = (): void => over.abort();
  request.once('close', gone);
  const unlisten = await context.follower.listen(({ entry }) => {
    for (const record of entry.records)
      if (record.actor === to && record.outcome === undefined && settledStatuses.has(taskStatus(record.state)))
        over.abort();
  });
  try {
    const present = await freshTask(context, id, caller);
    if (settledStatuses.has(present.status)) return present;
    await context.system.sleep(waitMs, over.signal);
    return await freshTask(context, id, caller);
  } finally {
    unlisten();
    request.off('close', gone);
  }
}

/** A task that was just accepted may not be applied yet. */
async function freshTask(context: ApiContext, id: string, caller: ReturnType<typeof callerOf>): Promise<TaskResource> {
  const view: ActorView | undefined = await storedView(context, 'task', id);
  return view && (caller.tenant === undefined || view.context['tenant'] === caller.tenant)
    ? taskOfView(view)
    : readTask(context, id, caller);
}
