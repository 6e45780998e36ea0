/** Routes of schedules. Each publishes a command or reads; what becomes of a command is the machine's decision. */
import { Router, type Request, type Response } from 'express';
import { scheduleAddress, scheduleId } from '../../actors/schedule/address.ts';
import { firstTime, scheduleSchema, scheduleUpdateSchema } from '../../actors/schedule/schema.ts';
import { goneScheduleStatuses, scheduleStatuses } from '../../actors/schedule/status.ts';
import { limits } from '../../config/limits.ts';
import { stateText, type Command, type Outcome, type StateValue } from '../../runtime/protocol/envelope.ts';
import { shardOfId, shardOfLane } from '../../runtime/protocol/ids.ts';
import type { JsonObject } from '../../runtime/protocol/json.ts';
import type { ActorView } from '../../runtime/protocol/snapshot.ts';
import { allow, callerOf, type Caller } from '../auth.ts';
import { parseStrict, readBody } from '../body.ts';
import type { ApiContext } from '../context.ts';
import { refuse } from '../outcome.ts';
import { Problem } from '../problem.ts';
import { storedView } from '../reading.ts';
import { checked, idOf, limitOf, namesTag, nextLink, queryOf } from '../request.ts';
import { historyResource } from '../resources.ts';
import { refuseTooCostly } from '../submission.ts';
import { pageOf } from '../page.ts';
import { traceOf } from '../trace.ts';
import { linksOfSchedule, scheduleOfRow, scheduleOfView } from './resource.ts';

/** Filters and paging of the list; the OpenAPI document names the same. */
export const scheduleQuery = ['status', 'type', 'tenant', 'limit', 'cursor'] as const;

const isGone = (state: StateValue): boolean => goneScheduleStatuses.includes(stateText(state) as never);

export function scheduleRoutes(context: ApiContext): Router {
  const router = Router();

  router.post('/', allow('schedules:control'), async (request, response) => {
    const { name, ...body } = checked(scheduleSchema, parseStrict((await readBody(request)).text));
    const tenant = tenantOf(callerOf(request), body.tenant);
    const settings = await settingsOf(context, body);
    const id = scheduleId(name, tenant, context.site.shards);
    const input = { ...settings, name, ...(tenant !== undefined && { tenant }) };
    const outcome = await create(context, request, id, input);
    const view = await storedView(context, 'schedule', id);
    response.location(linksOfSchedule(id).self);
    if (view && stateText(view.state) !== 'registering')
      response.status(outcome?.outcome === 'duplicate' ? 200 : 201).json(scheduleOfView(view));
    else response.status(202).json({ id, name, status: 'registering', links: linksOfSchedule(id) });
  });

  router.get('/', allow('read'), async (request, response) => {
    const query = queryOf(request, scheduleQuery);
    const status = query.get('status');
    if (status !== undefined && !scheduleStatuses.includes(status as never))
      throw new Problem('invalid-request', `"${status.slice(0, 40)}" is no status`, {
        where: 'status',
        remedy: `one of ${scheduleStatuses.join(', ')}`,
      });
    const tenant = tenantOf(callerOf(request), query.get('tenant'));
    const type = query.get('type');
    const filter = {
      ...(status !== undefined && { status }),
      ...(type !== undefined && { type }),
      ...(tenant !== undefined && { tenant }),
    };
    const { rows, next } = pageOf(await context.readModel.schedules(filter, limitOf(query), query.get('cursor')));
    if (next !== undefined) response.set('Link', nextLink('/api/v1/schedules', query, next));
    const items = rows.map(async (row) => {
      const view = await storedView(context, 'schedule', row.id);
      return view ? scheduleOfView(view) : scheduleOfRow(row);
    });
    response.json({ items: await Promise.all(items), next: next ?? null });
  });

  router.get('/:id', allow('read'), async (request, response) => {
    const view = await read(context, request);
    response.set('ETag', `"${view.revision}"`).json(scheduleOfView(view));
  });

  router.get('/:id/history', allow('read'), async (request, response) => {
    const query = queryOf(request, ['limit', 'cursor']);
    const { id } = await read(context, request);
    const found = await context.readModel.history(scheduleAddress(id), limitOf(query), query.get('cursor'));
    const { rows, next } = pageOf(found);
    if (next !== undefined) response.set('Link', nextLink(linksOfSchedule(id).history, query, next));
    response.json({ items: rows.map(historyResource), next: next ?? null });
  });

  router.put('/:id', allow('schedules:control'), async (request, response) => {
    const body = checked(scheduleUpdateSchema, parseStrict((await readBody(request)).text));
    const settings = await settingsOf(context, body);
    const outcome = await tell(context, request, { ...settings, type: 'update' });
    answer(response, outcome ? 200 : 202, scheduleOfView(await read(context, request)));
  });

  for (const type of ['pause', 'resume'] as const)
    router.post(`/:id/${type}`, allow('schedules:control'), async (request, response) => {
      const outcome = await tell(context, request, { type });
      answer(response, outcome ? 200 : 202, scheduleOfView(await read(context, request)));
    });

  router.post('/:id/trigger', allow('schedules:control'), async (request, response) => {
    await tell(context, request, { type: 'trigger' });
    answer(response, 202, scheduleOfView(await read(context, request)));
  });

  router.delete('/:id', allow('schedules:control'), async (request, response) => {
    const outcome = await tell(context, request, { type: 'remove' });
    const id = String(request.params['id']);
    response.status(outcome ? 200 : 202).json({ id, status: outcome ? 'removed' : 'removing' });
  });

  return router;
}

function answer(response: Response, status: number, resource: object): void {
  response.status(status).json(resource);
}

/** The tenant that is meant. @throws Problem when the token is for another one */
function tenantOf(caller: Caller, asked: string | undefined): string | undefined {
  if (caller.tenant !== undefined && asked !== undefined && asked !== caller.tenant)
    throw new Problem('not-allowed', `the token is for the tenant ${caller.tenant}`, { where: 'tenant' });
  return asked ?? caller.tenant;
}

/** What the machine is given of a body. @throws Problem for one that never comes to run, or could not be paid */
async function settingsOf(
  context: ApiContext,
  body: ReturnType<typeof scheduleUpdateSchema.parse>,
): Promise<JsonObject> {
  if (firstTime(body, context.system.now()) === undefined)
    throw new Problem('invalid-request', 'it would never run: no time comes before end_at', { where: '/end_at' });
  await refuseTooCostly(context, { command: { input: body.task as unknown as JsonObject }, at: '/task' });
  const timeouts = { start_to_close_ms: context.site.taskTimeoutMs, ...body.task.timeouts };
  return {
    ...(body as unknown as JsonObject),
    task: { ...body.task, timeouts } as unknown as JsonObject,
    task_shard: shardOfLane(body.task.type, 0, context.site.shards),
  };
}

function commandTo(
  context: ApiContext,
  request: Request,
  id: string,
  what: { input: JsonObject } | { event: JsonObject & { type: string } },
): Command {
  const to = scheduleAddress(id);
  return { id: context.system.ulid(), to, by: callerOf(request).subject, ...traceOf(request), ...what };
}

/**
 * Makes a schedule and waits until its roster has answered.
 * @returns undefined when the shard did not answer in time: it goes on
 */
async function create(
  context: ApiContext,
  request: Request,
  id: string,
  input: JsonObject,
): Promise<Outcome | undefined> {
  const { system, commands } = context;
  const shard = shardOfId(id)!;
  const end = system.monotonicMs() + limits.replyWaitMs;
  for (;;) {
    const answered = new AbortController();
    const command = commandTo(context, request, id, { input });
    const unwatch = await context.follower.watch(command.to, (record) => {
      if (record.outcome === undefined && stateText(record.state) !== 'registering') answered.abort();
    });
    try {
      const [outcome] = (await commands.send(shard, [command])) ?? [];
      const state = outcome && 'state' in outcome ? outcome.state : undefined;
      // A schedule of that name was removed a moment ago, and its snapshot is about to go.
      if (state !== undefined && isGone(state) && system.monotonicMs() < end) {
        await system.sleep(limits.accountPollMs);
        continue;
      }
      if (outcome?.outcome === 'refused' && outcome.reason === 'conflict')
        throw new Problem('schedule-exists', outcome.detail, {
          where: '/name',
          remedy: `change it with PUT /api/v1/schedules/${id}, or take another name`,
        });
      if (outcome) refuse(outcome);
      if (outcome?.outcome === 'applied') await system.sleep(Math.max(0, end - system.monotonicMs()), answered.signal);
      const view = await storedView(context, 'schedule', id);
      if (outcome?.outcome === 'applied' && (!view || stateText(view.state) === 'rejected'))
        throw new Problem('max-schedules', `the tenant has ${limits.schedulesPerTenantMax} schedules`, {
          remedy: 'remove one',
        });
      return outcome;
    } finally {
      unwatch();
    }
  }
}

/** @throws Problem 404, also for a schedule of another tenant */
async function read(context: ApiContext, request: Request): Promise<ActorView> {
  const { id } = idOf(request, 's', context.site.shards);
  const view = await storedView(context, 'schedule', id);
  const { tenant } = callerOf(request);
  if (!view || isGone(view.state) || (tenant !== undefined && view.context['tenant'] !== tenant))
    throw new Problem('not-found', `there is no schedule ${id}`);
  return view;
}

/** Sends an event to the schedule in the path. @returns undefined when it was not decided in time */
async function tell(
  context: ApiContext,
  request: Request,
  event: JsonObject & { type: string },
): Promise<Outcome | undefined> {
  const view = await read(context, request);
  if (!namesTag(request.get('If-Match') ?? '*', `"${view.revision}"`))
    throw new Problem('precondition-failed', `the schedule has the revision ${view.revision}`, { where: 'If-Match' });
  const command = commandTo(context, request, view.id, { event });
  const [outcome] = (await context.commands.send(shardOfId(view.id)!, [command])) ?? [];
  if (outcome?.outcome === 'refused' && outcome.reason === 'overlap')
    throw new Problem('not-legal-now', `a task of ${view.id} is not over, and its overlap policy leaves the run out`, {
      remedy: 'wait for the end of the task, or set another overlap',
      legal: outcome.legal,
      state: view.state,
    });
  if (outcome) refuse(outcome);
  return outcome;
}
