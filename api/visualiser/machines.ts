/** Routes of definitions: their charts, drawn, and how many actors stand and move in them. */
import { Router, type Request } from 'express';
import type { Chart, Machines } from '../../runtime/ports.ts';
import { allow, callerOf } from '../auth.ts';
import type { ApiContext } from '../context.ts';
import { Problem } from '../problem.ts';
import { namesTag, queryOf } from '../request.ts';
import { Cached } from './cached.ts';
import { siteCensus } from './census.ts';
import type { Drawings } from './drawings.ts';

/** The chart of the definition in the path. @throws Problem 404 */
export function chartIn(machines: Machines, request: Request): Chart {
  const definition = String(request.params['definition']);
  const chart = machines.chart(definition);
  if (chart) return chart;
  throw new Problem('not-found', `there is no definition "${definition.slice(0, 64)}"`, {
    where: 'definition',
    remedy: `known: ${machines
      .charts()
      .map((one) => one.definition)
      .join(', ')}`,
  });
}

export function machineRoutes(context: ApiContext, drawings: Drawings): Router {
  const router = Router();
  const { machines, system, readModel } = context;
  const census = new Cached(() => siteCensus(context), system);
  const taken = new Cached((definition) => readModel.taken(definition, system.now() - takenWindowMs), system);

  router.get('/', allow('read'), async (request, response) => {
    queryOf(request, []);
    const { counts } = await census.get('');
    response.json({
      items: machines.charts().map(({ definition, version, states, edges, commands, reports }) => ({
        definition,
        version,
        states: states.length,
        transitions: edges.length,
        commands,
        reports,
        actors: [...(counts.get(definition)?.values() ?? [])].reduce((sum, count) => sum + count, 0),
      })),
    });
  });

  router.get('/:definition', allow('read'), (request, response) => {
    queryOf(request, []);
    response.json(chartIn(machines, request));
  });

  router.get('/:definition/chart.svg', allow('read'), async (request, response) => {
    queryOf(request, []);
    const chart = chartIn(machines, request);
    const tag = `"${chart.version}"`;
    response.set({ ETag: tag, 'Cache-Control': 'private, no-cache' });
    if (namesTag(request.get('If-None-Match') ?? '', tag)) response.status(304).end();
    else response.type('image/svg+xml').send(await drawings.svg(chart));
  });

  router.get('/:definition/activity', allow('read'), async (request, response) => {
    queryOf(request, []);
    const { definition } = chartIn(machines, request);
    if (callerOf(request).tenant !== undefined)
      throw new Problem('not-allowed', 'a token of a tenant sees its own tasks only');
    const states: Record<string, number> = {};
    const [{ counts, silentShards }, rows] = await Promise.all([census.get(''), taken.get(definition)]);
    for (const [state, count] of counts.get(definition) ?? [])
      for (const id of machines.lit(definition, state)) states[id] = (states[id] ?? 0) + count;
    response.json({
      definition,
      silent_shards: silentShards,
      states,
      window_seconds: takenWindowMs / 1000,
      transitions: rows.map(({ event, from, to, count }) => ({
        event,
        ...(from !== null && { from: machines.lit(definition, from) }),
        to: machines.lit(definition, to),
        count,
      })),
    });
  });

  return router;
}

const takenWindowMs = 60_000;
