/** Routes for operators: the state of the site, and entries that were set aside. */
import { Router } from 'express';
import { isPosition, positionStart } from '../runtime/protocol/journal.ts';
import { allow, callerOf } from './auth.ts';
import type { ApiContext } from './context.ts';
import { Problem } from './problem.ts';
import { limitOf, queryOf } from './request.ts';

export function statusRoute(context: ApiContext): Router {
  const router = Router();
  router.get('/', allow('read'), async (request, response) => {
    const health = await context.health();
    // The status is worth most when something is down, so it answers without PostgreSQL as well.
    const counts = health.postgres ? await context.readModel.counts(callerOf(request).tenant) : undefined;
    response.json({
      site: {
        name: context.site.name,
        role: 'active',
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
      lanes: context.lanes().map((lane) => ({
        type: lane.type,
        queued: lane.queued,
        running: lane.running,
        agents: lane.agents,
        free_slots: lane.freeSlots,
        oldest_queued_ms: lane.oldestQueuedMs,
      })),
      sync: { state: 'off', detail: 'this site runs alone' },
      projection: { lag_seconds: Math.max(0, ...context.projection().map(({ lagSeconds }) => lagSeconds)) },
    });
  });
  return router;
}

export function setAsideRoutes(context: ApiContext): Router {
  const router = Router();

  router.get('/', allow('admin'), async (request, response) => {
    const query = queryOf(request, ['shard', 'after', 'limit']);
    const one = query.has('shard') ? shardOf(context, query.get('shard')!) : undefined;
    const after = query.get('after') ?? positionStart;
    if (!isPosition(after)) throw new Problem('invalid-request', 'after is the id of an entry', { where: 'after' });
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
function before(id: string): string {
  const [ms = '0', sequence = '0'] = id.split('-');
  return Number(sequence) > 0 ? `${ms}-${Number(sequence) - 1}` : `${Number(ms) - 1}-999999999999`;
}
