/** What operators are given fits what the product says of itself: metrics, alerts, problem codes. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { problemCodes } from '../../api/problem.ts';
import { createMetrics } from '../../runtime/telemetry/metrics.ts';

const deploy = join(import.meta.dirname, '../../deploy');
const rules = readFileSync(join(deploy, 'prometheus/rules.yml'), 'utf8');
const runbook = readFileSync(join(deploy, 'RUNBOOK.md'), 'utf8');
const dashboard = JSON.parse(readFileSync(join(deploy, 'grafana/orchestrator.json'), 'utf8')) as {
  panels: { title: string; targets?: { expr: string }[] }[];
};

const alerts = [...rules.matchAll(/^ +- alert: (\w+)$/gm)].map(([, name]) => name!);
const sections = [...runbook.matchAll(/^## (.+)$/gm)].map(([, title]) => title!);
const metrics = createMetrics({
  site: { name: 'primary', version: '0' },
  pair: () => undefined,
  lanes: () => [
    { type: 't', queued: 1, running: 1, agents: 1, freeSlots: 1, oldestQueuedMs: 1, wantedAgents: 1 } as never,
  ],
  census: () => new Map([['task open.queued', 1]]),
  shardsHeld: () => 1,
  shards: 2,
  shardsRefused: () => 0,
  readAgeMs: () => 0,
  groups: () => Promise.resolve([{ shard: 1, group: 'runtime', lag: 0, pending: 0 }]),
  projection: () => [{ shard: 1, lagSeconds: 0 }],
  dependencies: () => Promise.resolve([{ service: 'redis', up: true }]),
  certificates: () => [{ part: 'server', kind: 'certificate', atMs: 1 }],
  agentStatus: (state) => state,
  taskStatus: (state) => state,
});

test('there is something to compare', () => {
  expect(alerts.length).toBeGreaterThan(10);
  expect(dashboard.panels.length).toBeGreaterThan(10);
});

test('each alert and each problem code has its section in the runbook, and no section is left over', () => {
  const recoveries = ['Redis lost its data', 'PostgreSQL lost its data', 'The archive grows', 'Backup and restore'];
  expect(sections.toSorted()).toEqual([...alerts, ...Object.keys(problemCodes), ...recoveries].toSorted());
  expect(new Set(sections).size).toBe(sections.length);
});

const expressions: [where: string, text: string][] = [
  ...[...rules.matchAll(/^ +expr: (.+)$/gm)].map(([, text], index): [string, string] => [alerts[index]!, text!]),
  ...dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }): [string, string] => [title, expr])),
];

test.each(expressions)('%s asks for metrics and labels that are exported', async (_where, text) => {
  const exported = new Set([...(await metrics.render()).matchAll(/^# TYPE (\w+)/gm)].map(([, name]) => name!));
  const labels = new Map(metrics.describe().map(({ name, labels }) => [name, new Set<string>(labels)]));
  const named = [...text.matchAll(/\b((?:orchestrator|process|nodejs)_\w+)(?:\{([^}]*)\})?/g)];
  expect(named.length).toBeGreaterThan(0);
  for (const [, full = '', selector = ''] of named) {
    const name = exported.has(full) ? full : full.replace(/_(bucket|sum|count)$/, '');
    expect(exported, `${full} is not exported`).toContain(name);
    for (const [, label = ''] of selector.matchAll(/(\w+)\s*=~?/g))
      if (!['site', 'instance', 'job'].includes(label))
        expect(labels.get(name), `${name} has no label ${label}`).toContain(label);
  }
});
