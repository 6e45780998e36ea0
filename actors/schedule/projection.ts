/** A schedule's row, from its journal records: what lists filter by. When it runs next stands in its snapshot. */
import type { JsonObject } from '../../runtime/protocol/json.ts';
import type { Projection } from '../../runtime/protocol/projection.ts';
import { stateText } from '../../runtime/protocol/envelope.ts';

export const scheduleProjection: Projection = {
  definition: 'schedule',
  table: 'schedules',
  columns: {
    name: 'text',
    tenant: 'text',
    type: 'text',
    status: 'text',
    cron: 'text',
    interval_ms: 'bigint',
    timezone: 'text',
    overlap: 'text',
    created_at: 'timestamptz',
  },
  patch: ({ input, event, state }, at) => ({
    status: stateText(state),
    ...(input && { name: input['name'], tenant: input['tenant'] ?? null, created_at: at, ...settings(input) }),
    ...(event?.type === 'update' && settings(event)),
  }),
  row: ({ state, context }) => ({
    name: context['name'],
    tenant: context['tenant'],
    type: (context['task'] as JsonObject)['type'],
    status: stateText(state),
    cron: context['cron'],
    interval_ms: context['intervalMs'],
    timezone: context['timezone'],
    overlap: context['overlap'],
    created_at: context['createdAt'],
  }),
};

function settings(body: JsonObject): Record<string, unknown> {
  return {
    type: (body['task'] as JsonObject)['type'],
    cron: body['cron'] ?? null,
    interval_ms: body['interval_ms'] ?? null,
    timezone: body['timezone'] ?? 'UTC',
    overlap: body['overlap'] ?? 'skip',
  };
}
