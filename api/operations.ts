/** Routes for operators: the state of the site, and entries that were set aside. */
import { Router } from 'express';
import { Unavailable } from '../runtime/protocol/errors.ts';
import { isPosition, positionStart, type Position } from '../runtime/protocol/journal.ts';
import { allow, callerOf } from './auth.ts';
import type { ApiContext, PairContext } from './context.ts';
import { Problem } from './problem.ts';
import { limitOf, queryOf } from './request.ts';
import { sitesOf } from './sites/handlers.ts';

export function statusRoute(context: ApiContext): Router {
  const router = Router();
  router.get('/', allow('read'), async (request, response) => {
    const health = await context.health();
    // The status is worth most when something is down, so it answers without PostgreSQL as well.
    const counts = health.postgres ? await countsOf(context, callerOf(request).tenant) : undefined;
    response.json({
      site: {
        name: context.site.name,
        role: context.pair?.standing.role ?? 'active',
        ...(context.pair && { epoch: context.pair.standing.epoch }),
        version: context.site.version,
        shards: context.site.shards,
        max_agents: context.site.maxAgents,
      },
      health: {
        redis: health.redis ? 'up' : 'down',
        postgres: health.postgres ? 'up' : 'down',
        shards_held: health.shardsHeld,
        slowest_shard_ms: Math.round(health.readAgeMs),
        findings: health.findings,
      },
      tasks: counts?.tasks ?? null,
      agents: counts?.agents ?? null,
      // Their types are of all tenants.
      lanes: (callerOf(request).tenant === undefined ? context.lanes() : []).map((lane) => ({
        type: lane.type,
        queued: lane.queued,
        running: lane.running,
        agents: lane.agents,
        slots: lane.slots,
        free_slots: lane.freeSlots,
        wanted_agents: lane.wantedAgents,
        oldest_queued_ms: lane.oldestQueuedMs,
      })),
      sync: context.pair
        ? { state: context.pair.standing.link, ...lagOf(context.pair.standing) }
        : { state: 'off', detail: 'this site runs alone' },
      ...(context.pair && { sites: await sitesOf(context) }),
      projection: { lag_seconds: Math.max(0, ...context.projection().map(({ lagSeconds }) => lagSeconds)) },
    });
  });
  return router;
}

function lagOf({ lag }: PairContext): object {
  return lag ? { lag_entries: lag.entries, lag_ms: lag.ms } : {};
}

/** Undefined when PostgreSQL went away since it was asked for its health. */
async function countsOf(
  context: ApiContext,
  tenant: string | undefined,
): Promise<Awaited<ReturnType<ApiContext['readModel']['counts']>> | undefined> {
  try {
    return await context.readModel.counts(tenant);
  } catch (error) {
    if (error instanceof Unavailable) return undefined;
    throw error;
  }
}

export function setAsideRoutes(context: ApiContext): Router {
  const router = Router();

  router.get('/', allow('admin'), async (request, response) => {
    const query = queryOf(request, ['shard', 'after', 'limit']);
    const one = query.has('shard') ? shardOf(context, query.get('shard')!) : undefined;
    const after = query.get('after') ?? positionStart;
    if (!isPosition(after) || (query.has('after') && one === undefined))
      throw new Problem('invalid-request', 'after is the id of an entry of the shard that is asked for', {
        where: 'after',
      });
    const shards = one === undefined ? Array.from({ length: context.site.shards }, (_, shard) => shard) : [one];
    const limit = limitOf(query);
    const items: object[] = [];
    for (const shard of shards) {
      for (const { fields, ...entry } of await context.gateway.setAside(shard, after, limit - items.length))
        items.push({ shard, ...entry, fields: JSON.parse(fields) as unknown });
      if (items.length >= limit) break;
    }
    response.json({ items });
  });

  router.post('/:shard/:id/redrive', allow('admin'), async (request, response) => {
    const shard = shardOf(context, String(request.params['shard']));
    const id = String(request.params['id']);
    if (!isPosition(id))
      throw new Problem('invalid-id', 'the id of a set-aside entry looks like 1732233600000-0', { where: 'id' });
    const [entry] = await context.gateway.setAside(shard, before(id), 1);
    if (entry?.id !== id) throw new Problem('not-found', `nothing is set aside as ${id} in shard ${shard}`);
    await context.commands.redrive(shard, [id]);
    const [still] = await context.gateway.setAside(shard, before(id), 1);
    response.status(202).json({ id, shard, redriven: still?.id !== id });
  });

  return router;
}

function shardOf(context: ApiContext, text: string): number {
  const shard = Number(text);
  if (!/^\d{1,4}$/.test(text) || shard >= context.site.shards)
    throw new Problem('invalid-request', `shard is a number from 0 to ${context.site.shards - 1}`, { where: 'shard' });
  return shard;
}

/** The position just before an entry, so that a listing after it begins with the entry. */
function before(id: Position): Position {
  const [ms, sequence] = id.split('-').map(Number) as [number, number];
  if (sequence > 0) return `${ms}-${sequence - 1}`;
  return ms > 0 ? `${ms - 1}-${Number.MAX_SAFE_INTEGER}` : positionStart;
}
