/** Routes of what the whole site does: its last hour, and its streams. */
import { Router } from 'express';
import { limits } from '../../config/limits.ts';
import { allow, callerOf } from '../auth.ts';
import type { ApiContext } from '../context.ts';
import { Problem } from '../problem.ts';
import { queryOf } from '../request.ts';
import { Cached } from './cached.ts';

const minuteMs = 60_000;
const minutesShown = 60;

export function activityRoutes(context: ApiContext): Router {
  const router = Router();
  const { system, readModel } = context;
  const hour = new Cached(async () => {
    const sinceMs = (Math.floor(system.now() / minuteMs) - minutesShown + 1) * minuteMs;
    const [rows, { tasks }] = await Promise.all([readModel.minutes(sinceMs), readModel.counts()]);
    const byMinute = new Map(rows.map((row) => [Math.round(row.at), row]));
    const settled = (tasks['succeeded'] ?? 0) + (tasks['cancelled'] ?? 0) + (tasks['expired'] ?? 0);
    let open = Object.values(tasks).reduce((sum, count) => sum + count, 0) - settled;
    // Open at the end of a minute, reckoned backwards from now.
    return Array.from({ length: minutesShown }, (_, index) => {
      const at = sinceMs + (minutesShown - 1 - index) * minuteMs;
      const row = byMinute.get(at);
      const minute = {
        at: new Date(at).toISOString(),
        submitted: row?.submitted ?? 0,
        finished: row?.finished ?? 0,
        latency_p50_ms: row?.latencyP50Ms ?? null,
        latency_p95_ms: row?.latencyP95Ms ?? null,
        open: Math.max(0, open),
      };
      open -= minute.submitted - minute.finished;
      return minute;
    }).reverse();
  }, system);
  const types = new Cached(async () => {
    const rows = await readModel.finished(system.now() - minuteMs, limits.listLimitMax);
    return Object.fromEntries(rows.map(({ type, count }) => [type, count]));
  }, system);
  const streams = new Cached(() => context.streams(), system);

  router.get('/activity', allow('read'), async (request, response) => {
    queryOf(request, []);
    if (callerOf(request).tenant !== undefined)
      throw new Problem('not-allowed', 'a token of a tenant sees its own tasks only');
    const [minutes, finished] = await Promise.all([hour.get(''), types.get('')]);
    response.json({ minutes, finished_last_minute: finished });
  });

  router.get('/streams', allow('read'), async (request, response) => {
    queryOf(request, []);
    response.json({ items: await streams.get('') });
  });

  return router;
}
