/** What a transition of a schedule adds to its metrics. */
import type { Measure } from '../../runtime/core/definition.ts';
import type { JsonObject } from '../../runtime/protocol/json.ts';
import type { ScheduleContext } from './run.ts';

const counted = ['started', 'skipped', 'missed'] as const;

export function measureSchedule(before: JsonObject, after: JsonObject): readonly Measure[] {
  const [then, now] = [before as unknown as ScheduleContext, after as unknown as ScheduleContext];
  const measures: Measure[] = [];
  for (const name of counted) if (now[name] > then[name]) measures.push({ name, value: now[name] - then[name] });
  for (const { cause, at, startedAt } of now.recent.slice(0, now.started - then.started))
    if (cause !== 'trigger') measures.push({ name: 'late_seconds', value: Math.max(0, startedAt - at) / 1000 });
  return measures;
}
