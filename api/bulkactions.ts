/** Routes of bulk actions: cancel or redrive every task that a filter matches, at a rate; and how far that has come. */
import { Router, type Request, type RequestHandler, type Response } from 'express';
import type * as z from 'zod';
import { bulkAddress, bulkId } from '../actors/bulk/address.ts';
import { bulkCancelSchema, bulkRedriveSchema } from '../actors/bulk/events.ts';
import type { BulkContext } from '../actors/bulk/context.ts';
import type { Command } from '../runtime/protocol/envelope.ts';
import type { JsonObject } from '../runtime/protocol/json.ts';
import type { ActorView } from '../runtime/protocol/snapshot.ts';
import { allow, callerOf, type Caller } from './auth.ts';
import { parseStrict, readBody } from './body.ts';
import { taskFilterOf } from './bulkworker.ts';
import { caughtUp } from './chunks.ts';
import type { ApiContext } from './context.ts';
import { refuse } from './outcome.ts';
import { Problem } from './problem.ts';
import { storedView } from './reading.ts';
import { checked, idOf, limitOf, nextLink, queryOf } from './request.ts';
import { pageOf } from './page.ts';
import { traceOf } from './trace.ts';

type Asked = z.infer<typeof bulkCancelSchema> & { parameters?: unknown };

const schemas = { cancel: bulkCancelSchema, redrive: bulkRedriveSchema } as const;

/** `POST /tasks/cancel` and `POST /tasks/redrive`. */
export function begin(context: ApiContext, action: 'cancel' | 'redrive'): RequestHandler {
  return async (request, response) => {
    const caller = callerOf(request);
    const body: Asked = checked<Asked>(schemas[action], parseStrict((await readBody(request)).text));
    const filter = ofTenant(body.filter, caller);
    if (action === 'redrive' && filter.status?.some((status) => status !== 'parked'))
      throw new Problem('invalid-request', 'only parked tasks can be redriven', { where: '/filter/status' });
    // The count and the pages know what was committed before.
    await caughtUp(context, [...Array(context.site.shards).keys()]);
    const matched = await context.readModel.countTasks(taskFilterOf(action, filter, context.system.now()));
    if (body.dry_run) {
      response.json({ action, matched, dry_run: true });
      return;
    }
    const id = bulkId(context.system.ulid(), context.site.shards);
    const { rate_per_second, reason, parameters } = body;
    const input = {
      ...{ action, filter, rate_per_second, matched, subject: caller.subject },
      ...(reason !== undefined && { reason }),
      ...(parameters !== undefined && { parameters }),
      ...(caller.tenant !== undefined && { tenant: caller.tenant }),
    };
    await tell(context, request, id, { input: input as unknown as JsonObject });
    context.bulkWorker.begin(id);
    const view = await storedView(context, 'bulk', id);
    response
      .status(202)
      .location(linkOf(id))
      .json(view ? bulkResource(view) : { id, action, matched, status: 'submitted', links: { self: linkOf(id) } });
  };
}

export function bulkRoutes(context: ApiContext): Router {
  const router = Router();

  router.get('/', allow('read'), async (request, response) => {
    const query = queryOf(request, ['limit', 'cursor']);
    const page = await context.readModel.actors('bulk', undefined, limitOf(query), query.get('cursor'));
    const { rows, next } = pageOf(page);
    const views = await Promise.all(rows.map((row) => storedView(context, 'bulk', row.address.slice('bulk/'.length))));
    const caller = callerOf(request);
    if (next !== undefined) response.set('Link', nextLink('/api/v1/bulk', query, next));
    // Of one that was over long ago nothing but the history is left.
    const items = views
      .filter((view) => view !== undefined && isVisible(view, caller))
      .map((view) => bulkResource(view!));
    response.json({ items, next: next ?? null });
  });

  router.get('/:id', allow('read'), async (request, response) => {
    response.json(bulkResource((await found(context, request)).view));
  });

  const change = async (request: Request, response: Response, type: 'pause' | 'resume' | 'stop'): Promise<void> => {
    const { id, view } = await found(context, request);
    await tell(context, request, id, { event: { type } });
    if (type === 'resume') context.bulkWorker.begin(id);
    response.json(bulkResource((await storedView(context, 'bulk', id)) ?? view));
  };
  router.post('/:id/pause', allow('tasks:cancel'), (request, response) => change(request, response, 'pause'));
  router.post('/:id/resume', allow('tasks:cancel'), (request, response) => change(request, response, 'resume'));
  router.delete('/:id', allow('tasks:cancel'), (request, response) => change(request, response, 'stop'));
  return router;
}

/** @throws Problem for the tenant of another */
function ofTenant(filter: Asked['filter'], { tenant }: Caller): Asked['filter'] {
  if (tenant === undefined) return filter;
  if (filter.tenant !== undefined && filter.tenant !== tenant)
    throw new Problem('not-allowed', `the token is for the tenant ${tenant}`, { where: '/filter/tenant' });
  return { ...filter, tenant };
}

async function tell(
  context: ApiContext,
  request: Request,
  id: string,
  what: Pick<Command, 'input' | 'event'>,
): Promise<void> {
  const { subject } = callerOf(request);
  const command = { id: context.system.ulid(), to: bulkAddress(id), ...what, by: subject, ...traceOf(request) };
  const outcomes = await context.commands.send(Number(id.split('-')[1]), [command]);
  for (const outcome of outcomes ?? []) refuse(outcome);
}

async function found(context: ApiContext, request: Request): Promise<{ id: string; view: ActorView }> {
  const { id } = idOf(request, 'b', context.site.shards);
  const view = await storedView(context, 'bulk', id);
  if (!view || !isVisible(view, callerOf(request))) throw new Problem('not-found', `there is no bulk action ${id}`);
  return { id, view };
}

function isVisible(view: ActorView, { tenant }: Caller): boolean {
  return tenant === undefined || view.context['tenant'] === tenant;
}

const linkOf = (id: string): string => `/api/v1/bulk/${id}`;

const statuses: Readonly<Record<string, string>> = { ready: 'running', taken: 'running', resting: 'running' };

function bulkResource(view: ActorView): object {
  const context = view.context as unknown as BulkContext;
  const state = view.state as string;
  const refused = Object.values(context.refused).reduce((sum, count) => sum + count, 0);
  return {
    id: view.id,
    action: context.action,
    status: statuses[state] ?? state,
    filter: context.filter,
    rate_per_second: context.ratePerSecond,
    ...(context.reason !== undefined && { reason: context.reason }),
    subject: context.subject,
    matched: context.matched,
    applied: context.applied,
    refused,
    ...(refused > 0 && { refusals: context.refused }),
    ...(context.note !== undefined && { note: context.note }),
    created_at: new Date(context.createdAt).toISOString(),
    ...(context.finishedAt !== undefined && { finished_at: new Date(context.finishedAt).toISOString() }),
    links: { self: linkOf(view.id) },
  };
}
