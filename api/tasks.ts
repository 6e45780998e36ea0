/** Routes of tasks. Each publishes a command or reads; the outcome is the machine's, never this file's. */
import { Router, type Request, type Response } from 'express';
import { events } from '../actors/task/events.ts';
import { settledStatuses, taskStatus, taskStatuses } from '../actors/task/status.ts';
import type { Command } from '../runtime/protocol/envelope.ts';
import { address } from '../runtime/protocol/ids.ts';
import type { JsonObject } from '../runtime/protocol/json.ts';
import { allow, callerOf } from './auth.ts';
import { parseStrict, readBody } from './body.ts';
import { begin } from './bulkactions.ts';
import { chunkPage } from './chunks.ts';
import type { ApiContext } from './context.ts';
import { refuse } from './outcome.ts';
import { pageOf } from './page.ts';
import { Problem } from './problem.ts';
import { readTask, settledTask } from './reading.ts';
import { checked, idOf, limitOf, namesTag, nextLink, preferencesOf, queryOf, timeOf } from './request.ts';
import { historyResource, linksOf, taskOfRow } from './resources.ts';
import { submit } from './submit.ts';
import { explained } from './waiting.ts';
import { traceOf } from './trace.ts';

/** Filters and paging of the list; the OpenAPI document names the same. */
export const taskQuery = [
  'status',
  'type',
  'tenant',
  'agent',
  'created_after',
  'created_before',
  'text',
  'limit',
  'cursor',
] as const;

/** Body of a redrive. */
export const redriveSchema = events.redrive.omit({ type: true });

export function taskRoutes(context: ApiContext): Router {
  const router = Router();
  const { shards } = context.site;

  router.post('/', allow('tasks:submit'), submit(context));

  router.post('/cancel', allow('tasks:cancel'), begin(context, 'cancel'));
  router.post('/redrive', allow('tasks:redrive'), begin(context, 'redrive'));

  router.get('/', allow('read'), async (request, response) => {
    const query = queryOf(request, taskQuery);
    const status = query.get('status');
    if (status !== undefined && !taskStatuses.includes(status as never))
      throw new Problem('invalid-request', `"${status.slice(0, 40)}" is no status`, {
        where: 'status',
        remedy: `one of ${taskStatuses.join(', ')}`,
      });
    const { tenant } = callerOf(request);
    if (tenant !== undefined && query.has('tenant') && query.get('tenant') !== tenant)
      throw new Problem('not-allowed', `the token is for the tenant ${tenant}`, { where: 'tenant' });
    const filter = {
      status,
      type: query.get('type'),
      tenant: tenant ?? query.get('tenant'),
      agent: query.get('agent'),
      createdAfter: timeOf(query, 'created_after'),
      createdBefore: timeOf(query, 'created_before'),
      text: query.get('text'),
    };
    const given = Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined));
    const { rows, next } = pageOf(await context.readModel.tasks(given, limitOf(query), query.get('cursor')));
    if (next !== undefined) response.set('Link', nextLink('/api/v1/tasks', query, next));
    response.json({ items: rows.map(taskOfRow), next: next ?? null });
  });

  router.get('/:id', allow('read'), async (request, response) => {
    const { id } = idOf(request, 't', shards);
    const { waitMs } = preferencesOf(request);
    const caller = callerOf(request);
    if (waitMs !== undefined) response.set('Preference-Applied', `wait=${waitMs / 1000}`);
    const task =
      waitMs === undefined
        ? await readTask(context, id, caller)
        : await settledTask(context, response, id, caller, waitMs);
    const tag = `"${task.revision}"`;
    if (namesTag(request.get('If-None-Match') ?? '', tag)) {
      response.status(304).set('ETag', tag).end();
      return;
    }
    const now = await explained(context, task);
    response.set('ETag', `"${now.revision}"`).json(now);
  });

  router.get('/:id/history', allow('read'), async (request, response) => {
    const { id } = idOf(request, 't', shards);
    const query = queryOf(request, ['limit', 'cursor']);
    await readTask(context, id, callerOf(request));
    const actor = address('task', id);
    const { rows, next } = pageOf(await context.readModel.history(actor, limitOf(query), query.get('cursor')));
    if (next !== undefined) response.set('Link', nextLink(linksOf(id).history, query, next));
    response.json({ items: rows.map(historyResource), next: next ?? null });
  });

  router.get('/:id/chunks', allow('read'), chunkPage(context));

  router.delete('/:id', allow('tasks:cancel'), async (request, response) => {
    await tell(context, request, response, { type: 'cancel' });
  });

  for (const type of ['pause', 'resume'] as const)
    router.post(`/:id/${type}`, allow('tasks:cancel'), async (request, response) => {
      await tell(context, request, response, { type });
    });

  router.post('/:id/redrive', allow('tasks:redrive'), async (request, response) => {
    const empty = Number(request.get('Content-Length') ?? 0) === 0 && request.get('Transfer-Encoding') === undefined;
    const body = checked(redriveSchema, empty ? {} : parseStrict((await readBody(request)).text));
    await tell(context, request, response, { type: 'redrive', ...(body as JsonObject) });
  });

  return router;
}

/** Sends an event to the task in the path and answers with what became of it. */
async function tell(
  context: ApiContext,
  request: Request,
  response: Response,
  event: JsonObject & { type: string },
): Promise<void> {
  const { id, shard } = idOf(request, 't', context.site.shards);
  const caller = callerOf(request);
  const task = await readTask(context, id, caller);
  if (!namesTag(request.get('If-Match') ?? '*', `"${task.revision}"`))
    throw new Problem('precondition-failed', `the task has the revision ${task.revision}`, { where: 'If-Match' });
  const to = address('task', id);
  const command: Command = { id: context.system.ulid(), to, event, by: caller.subject, ...traceOf(request) };
  const [outcome] = (await context.commands.send(shard, [command])) ?? [];
  // It ended so long ago that only PostgreSQL knows it.
  if (outcome?.outcome === 'refused' && outcome.reason === 'unknown-actor')
    throw new Problem('not-legal-now', `"${event.type}" comes too late: the task is over`, {
      state: task.status,
      legal: [],
    });
  if (outcome) refuse(outcome);
  const status = outcome && 'state' in outcome && outcome.state !== undefined ? taskStatus(outcome.state) : task.status;
  response
    .status(outcome && settledStatuses.has(status) ? 200 : 202)
    .location(linksOf(id).self)
    .json({ id, status, links: linksOf(id) });
}
