/** A schedule as REST shows it: snake_case, times in ISO 8601, absent members left out. */
import { stateText } from '../../runtime/protocol/envelope.ts';
import type { ActorView } from '../../runtime/protocol/snapshot.ts';
import type { ScheduleRow } from '../../runtime/readmodel.ts';
import { present } from '../resources.ts';

interface RunView {
  task: string;
  at: number;
  cause: string;
  startedAt?: number;
  status?: string;
}

const iso = (ms: unknown): string | undefined => (typeof ms === 'number' ? new Date(ms).toISOString() : undefined);

export function linksOfSchedule(id: string): { self: string; history: string } {
  return { self: `/api/v1/schedules/${id}`, history: `/api/v1/schedules/${id}/history` };
}

export function scheduleOfView(view: ActorView): Record<string, unknown> {
  const { context } = view;
  const runs = (name: string) => (context[name] ?? []) as unknown as RunView[];
  return present({
    id: view.id,
    name: context['name'],
    status: stateText(view.state),
    tenant: context['tenant'],
    cron: context['cron'],
    interval_ms: context['intervalMs'],
    timezone: context['timezone'],
    start_at: iso(context['startAt']),
    end_at: iso(context['endAt']),
    jitter_ms: context['jitterMs'],
    overlap: context['overlap'],
    queue_max: context['queueMax'],
    catch_up: context['catchUp'],
    catch_up_max: context['catchUpMax'],
    catch_up_window_ms: context['catchUpWindowMs'],
    task: context['task'],
    next_at: iso(context['nextAt']),
    started: context['started'],
    skipped: context['skipped'],
    missed: context['missed'],
    running: context['running'],
    waiting: runs('waiting').map(runResource),
    recent: runs('recent').map(runResource),
    created_at: iso(context['createdAt']),
    updated_at: iso(context['updatedAt']),
    revision: view.revision,
    links: linksOfSchedule(view.id),
  });
}

function runResource({ task, at, cause, startedAt, status }: RunView): object {
  return present({ task, at: iso(at), cause, started_at: iso(startedAt), status });
}

/** Of a list, where the snapshot is gone. */
export function scheduleOfRow(row: ScheduleRow): Record<string, unknown> {
  return present({
    id: row.id,
    name: row.name,
    status: row.status,
    tenant: row.tenant,
    cron: row.cron,
    interval_ms: row.intervalMs,
    timezone: row.timezone,
    overlap: row.overlap,
    task: { type: row.type },
    created_at: iso(row.createdAt),
    revision: row.revision,
    links: linksOfSchedule(row.id),
  });
}
