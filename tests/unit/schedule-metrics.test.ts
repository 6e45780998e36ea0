import { expect, test } from 'vitest';
import { createMetrics } from '../../runtime/telemetry/metrics.ts';

test('runs of schedules by what became of them, how late they were, and schedules by status', async () => {
  const { telemetry, render } = createMetrics({
    site: { name: 'primary', version: '1' },
    pair: () => undefined,
    lanes: () => [],
    census: () =>
      new Map([
        ['schedule active', 3],
        ['schedule paused', 1],
        ['task open.queued', 5],
      ]),
    shardsHeld: () => 1,
    shards: 1,
    shardsRefused: () => 0,
    readAgeMs: () => 0,
    groups: () => Promise.resolve([]),
    projection: () => [],
    dependencies: () => Promise.resolve([]),
    certificates: () => [],
    agentStatus: (state) => state,
    taskStatus: (state) => state,
  });
  telemetry.measured('schedule', { name: 'started', value: 2 });
  telemetry.measured('schedule', { name: 'missed', value: 7 });
  telemetry.measured('schedule', { name: 'late_seconds', value: 3 });
  const text = await render();
  expect(text).toContain('orchestrator_schedule_runs_total{outcome="started",site="primary"} 2');
  expect(text).toContain('orchestrator_schedule_runs_total{outcome="missed",site="primary"} 7');
  expect(text).toContain('orchestrator_schedule_late_seconds_sum{site="primary"} 3');
  expect(text).toContain('orchestrator_schedules{status="active",site="primary"} 3');
  expect(text).not.toContain('orchestrator_schedules{status="open');
});
