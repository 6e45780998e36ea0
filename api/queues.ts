/** Routes of queues and limits: what waits, what is paused, what may be spent. */
import { Router, type Request } from 'express';
import { limitName } from '../actors/task/demand.ts';
import { name } from '../actors/task/events.ts';
import { limitAddress } from '../actors/limit/address.ts';
import { rolled, type Account } from '../actors/limit/account.ts';
import { limitSchema } from '../actors/limit/events.ts';
import { queueAddress } from '../actors/queue/address.ts';
import type { LaneStatus } from '../runtime/ports.ts';
import { Unavailable } from '../runtime/protocol/errors.ts';
import { shardOfLane } from '../runtime/protocol/ids.ts';
import type { JsonObject } from '../runtime/protocol/json.ts';
import { viewOfStored } from '../runtime/protocol/snapshot.ts';
import { allow, callerOf } from './auth.ts';
import { parseStrict, readBody } from './body.ts';
import type { ApiContext } from './context.ts';
import { refuse } from './outcome.ts';
import { Problem } from './problem.ts';
import { checked, queryOf } from './request.ts';
import { traceOf } from './trace.ts';

export function queueRoutes(context: ApiContext): Router {
  const router = Router();

  router.get('/', allow('read'), async (request, response) => {
    queryOf(request, []);
    const shards = Array.from({ length: context.site.shards }, (_, shard) => shard);
    const answers = await Promise.all(shards.map((shard) => context.commands.ask(shard, { ask: 'lanes' })));
    const silent = answers.findIndex((answer) => answer === undefined);
    if (silent !== -1) throw new Unavailable('redis', `no process that serves shard ${silent} answered`);
    const lanes = answers.flatMap((answer) => (answer?.['lanes'] ?? []) as unknown as LaneStatus[]);
    lanes.sort((left, right) => (left.type < right.type ? -1 : 1));
    response.json({ items: lanes.map(queueResource) });
  });

  for (const event of ['pause', 'resume'] as const)
    router.post(`/:type/${event}`, allow('admin'), async (request, response) => {
      const type = named(name, request.params['type'], 'type');
      const { shards } = context.site;
      const to = queueAddress(type, shards);
      const by = { by: callerOf(request).subject, ...traceOf(request) };
      const commands = [
        { id: context.system.ulid(), to, input: { type }, ...by },
        { id: context.system.ulid(), to, event: { type: event }, ...by },
      ];
      for (const outcome of (await context.commands.send(shardOfLane(type, 0, shards), commands)) ?? [])
        refuse(outcome);
      response.json({ type, paused: event === 'pause' });
    });

  return router;
}

export function limitRoutes(context: ApiContext): Router {
  const router = Router();

  router.get('/', allow('read'), async (request, response) => {
    queryOf(request, []);
    const answer = await context.commands.ask(0, { ask: 'limits' });
    if (!answer) throw new Unavailable('redis', 'no process that serves shard 0 answered');
    const accounts = answer['limits'] as unknown as (Account & { name: string })[];
    accounts.sort((left, right) => (left.name < right.name ? -1 : 1));
    response.json({ items: accounts.map((account) => limitResource(account.name, account)) });
  });

  router.get('/:name', allow('read'), async (request, response) => {
    const limit = named(limitName, request.params['name'], 'name');
    response.json(await readLimit(context, limit));
  });

  router.put('/:name', allow('admin'), async (request, response) => {
    const limit = named(limitName, request.params['name'], 'name');
    const body = checked(limitSchema, parseStrict((await readBody(request)).text));
    const event = { type: 'set', ...(body as unknown as JsonObject) };
    const by = { by: callerOf(request).subject, ...traceOf(request) };
    const outcomes = await context.commands.send(0, [
      { id: context.system.ulid(), to: limitAddress(limit), event, ...by },
    ]);
    for (const outcome of outcomes ?? []) refuse(outcome);
    if (outcomes) response.json(await readLimit(context, limit));
    else response.status(202).json({ name: limit, used: 0, units: body.units, window_ms: body.window_ms });
  });

  return router;
}

async function readLimit(context: ApiContext, limit: string): Promise<object> {
  const text = await context.gateway.snapshot(limitAddress(limit));
  if (text === undefined) throw new Problem('not-found', `there is no limit ${limit}`);
  const account = viewOfStored(limit, text).context as unknown as Account;
  return limitResource(limit, rolled(account, context.system.now()));
}

function limitResource(limit: string, { units, windowMs, windowAt, used }: Account): object {
  if (units === undefined || windowMs === undefined) return { name: limit, used: 0 };
  return {
    ...{ name: limit, units, window_ms: windowMs, used },
    window_ends_at: new Date(windowAt + windowMs).toISOString(),
  };
}

function queueResource(lane: LaneStatus): object {
  return {
    ...{ type: lane.type, paused: lane.paused, queued: lane.queued, running: lane.running, agents: lane.agents },
    ...{ slots: lane.slots, free_slots: lane.freeSlots, wanted_agents: lane.wantedAgents },
    ...{ oldest_queued_ms: lane.oldestQueuedMs, tenants: lane.tenants, behind_keys: lane.behindKeys },
  };
}

/** @throws Problem for what can be no name */
function named(schema: typeof name, value: Request['params'][string] | undefined, where: string): string {
  const parsed = schema.safeParse(value);
  if (!parsed.success)
    throw new Problem('invalid-request', `${where} ${parsed.error.issues[0]?.message ?? ''}`, { where });
  return parsed.data;
}
