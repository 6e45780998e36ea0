/**
 * Metrics in the Prometheus text format. The only file that knows the client library. Names have base units; every label
 * comes from a closed set, so no user can add series without bound.
 */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import { limits } from '../../config/limits.ts';
import type { LaneStatus, Telemetry } from '../ports.ts';

/** What is looked at when the metrics are asked for. */
export interface MetricSources {
  site: { name: string; version: string };
  /** How this site of a pair stands; undefined where it runs alone. */
  pair():
    | {
        role: string;
        epoch: number;
        link: string;
        lag?: { entries: number; ms: number } | undefined;
        /** The last comparison that this process made. */
        lastCheck?: { atMs: number; compared: number; differing: number } | undefined;
      }
    | undefined;
  lanes(): LaneStatus[];
  /** `<definition> <state>` -> number. */
  census(): ReadonlyMap<string, number>;
  shardsHeld(): number;
  /** Shards of the site, and those that this process could not take. */
  shards: number;
  shardsRefused(): number;
  readAgeMs(): number;
  /** Stream groups of the shards held here. */
  groups(): Promise<{ shard: number; group: string; lag: number; pending: number }[]>;
  /** Seconds that PostgreSQL is behind each shard held here. */
  projection(): { shard: number; lagSeconds: number }[];
  /** Reachable servers. */
  dependencies(): Promise<{ service: string; up: boolean }[]>;
  /** Certificates in use, when each ends in milliseconds since 1970, by names of closed sets. */
  certificates(): { part: string; kind: string; atMs: number }[];
  agentStatus(state: string): string;
  taskStatus(state: string): string;
}

export interface Metrics {
  telemetry: Telemetry;
  contentType: string;
  render(): Promise<string>;
  /** Name, kind, labels and help of every metric, for the reference. */
  describe(): { name: string; type: string; labels: string[]; help: string }[];
}

export function createMetrics(sources: MetricSources): Metrics {
  const registry = new Registry();
  registry.setDefaultLabels({ site: sources.site.name });
  collectDefaultMetrics({ register: registry });
  const reference: { name: string; type: string; labels: string[]; help: string }[] = [];
  const gauge = <L extends string>(
    name: string,
    help: string,
    labelNames: L[],
    collect?: (this: Gauge<L>) => void | Promise<void>,
  ): Gauge<L> => {
    reference.push({ name, type: 'gauge', labels: labelNames, help });
    return new Gauge<L>({ name, help, labelNames, registers: [registry], ...(collect && { collect }) });
  };
  const counter = <L extends string>(name: string, help: string, labelNames: L[]): Counter<L> => {
    reference.push({ name, type: 'counter', labels: labelNames, help });
    return new Counter<L>({ name, help, labelNames, registers: [registry] });
  };
  const histogram = <L extends string>(
    name: string,
    help: string,
    labelNames: L[],
    buckets: number[],
  ): Histogram<L> => {
    reference.push({ name, type: 'histogram', labels: labelNames, help });
    return new Histogram<L>({ name, help, labelNames, buckets, registers: [registry] });
  };
  const types = new BoundedNames(limits.metricTypesMax);

  gauge('orchestrator_info', 'Version and role of this site; always 1.', ['version', 'role'], function () {
    this.reset();
    this.set({ version: sources.site.version, role: sources.pair()?.role ?? 'active' }, 1);
  });
  gauge('orchestrator_agents', 'Agents of the shards held here, by status.', ['status'], function () {
    this.reset();
    countBy(sources, 'agent', (state) => sources.agentStatus(state)).forEach((value, status) =>
      this.set({ status }, value),
    );
  });
  gauge('orchestrator_tasks', 'Tasks in Redis of the shards held here, by status.', ['status'], function () {
    this.reset();
    countBy(sources, 'task', (state) => sources.taskStatus(state)).forEach((value, status) =>
      this.set({ status }, value),
    );
  });
  gauge('orchestrator_schedules', 'Schedules of the shards held here, by status.', ['status'], function () {
    this.reset();
    countBy(sources, 'schedule', (state) => state).forEach((value, status) => this.set({ status }, value));
  });
  const lane = (name: string, help: string, value: (status: LaneStatus) => number): void => {
    gauge(name, help, ['type'], function () {
      this.reset();
      for (const status of sources.lanes()) this.inc({ type: types.name(status.type) }, value(status));
    });
  };
  lane('orchestrator_queue_tasks', 'Tasks that wait for an agent.', (status) => status.queued);
  lane(
    'orchestrator_queue_oldest_seconds',
    'Age of the task that waits longest.',
    (status) => status.oldestQueuedMs / 1000,
  );
  lane('orchestrator_held_tasks', 'Tasks that an agent holds.', (status) => status.running);
  lane('orchestrator_free_slots', 'Slots of agents that could take work now.', (status) => status.freeSlots);
  lane('orchestrator_queue_paused', 'Task types whose queue is paused.', (status) => (status.paused ? 1 : 0));
  lane('orchestrator_queue_tenants', 'Tenants with tasks that wait.', (status) => status.tenants);
  lane(
    'orchestrator_queue_behind_keys_tasks',
    'Tasks that wait behind another one of their concurrency key.',
    (status) => status.behindKeys,
  );
  lane('orchestrator_lane_agents', 'Agents that may be given work.', (status) => status.agents);
  lane('orchestrator_lane_wanted_agents', 'Agents with which all tasks would run.', (status) => status.wantedAgents);
  gauge('orchestrator_sync_status', 'Mirroring to the other site: 1 for the present state.', ['state'], function () {
    this.reset();
    this.set({ state: sources.pair()?.link ?? 'off' }, 1);
  });
  gauge('orchestrator_site_epoch', 'Epoch under which this site of a pair decides, or decided last.', [], function () {
    this.reset();
    const pair = sources.pair();
    if (pair) this.set(pair.epoch);
  });
  gauge('orchestrator_sync_lag_entries', 'Journal entries of the other site that a standby lacks.', [], function () {
    this.reset();
    const lag = sources.pair()?.lag;
    if (lag) this.set(lag.entries);
  });
  gauge('orchestrator_sync_lag_seconds', 'Age of the oldest entry that a standby lacks.', [], function () {
    this.reset();
    const lag = sources.pair()?.lag;
    if (lag) this.set(lag.ms / 1000);
  });
  gauge('orchestrator_site_check_timestamp_seconds', 'When both sites were compared last.', [], function () {
    this.reset();
    const check = sources.pair()?.lastCheck;
    if (check) this.set(check.atMs / 1000);
  });
  gauge('orchestrator_site_check_actors', 'Actors of the last comparison: alike, or not.', ['outcome'], function () {
    this.reset();
    const check = sources.pair()?.lastCheck;
    if (!check) return;
    this.set({ outcome: 'alike' }, check.compared);
    this.set({ outcome: 'differing' }, check.differing);
  });
  gauge('orchestrator_projection_lag_seconds', 'How far PostgreSQL is behind the journals.', ['shard'], function () {
    this.reset();
    for (const { shard, lagSeconds } of sources.projection()) this.set({ shard: String(shard) }, lagSeconds);
  });
  gauge('orchestrator_shards_held', 'Shards that this process owns.', [], function () {
    this.set(sources.shardsHeld());
  });
  gauge('orchestrator_shards', 'Shards of the site.', [], function () {
    this.set(sources.shards);
  });
  gauge('orchestrator_shards_refused', 'Shards that this process cannot take; the log says why.', [], function () {
    this.set(sources.shardsRefused());
  });
  gauge('orchestrator_shard_read_age_seconds', 'Longest time since a shard loop came round.', [], function () {
    this.set(sources.readAgeMs() / 1000);
  });
  gauge('orchestrator_dependency_up', 'Whether a server answers.', ['service'], async function () {
    for (const { service, up } of await sources.dependencies()) this.set({ service }, up ? 1 : 0);
  });
  gauge(
    'orchestrator_certificate_end_timestamp_seconds',
    'When a certificate in use, or a CA that is trusted, ends.',
    ['part', 'kind'],
    function () {
      this.reset();
      for (const { part, kind, atMs } of sources.certificates()) this.set({ part, kind }, atMs / 1000);
    },
  );
  const pending = gauge('orchestrator_group_pending_entries', 'Entries read and not yet committed.', [
    'shard',
    'group',
  ]);
  gauge('orchestrator_group_lag_entries', 'Entries not yet read.', ['shard', 'group'], async function () {
    this.reset();
    pending.reset();
    for (const { shard, group, ...entry } of await sources.groups()) {
      this.inc({ shard: String(shard), group }, entry.lag);
      pending.inc({ shard: String(shard), group }, entry.pending);
    }
  });
  const transitions = counter('orchestrator_transitions_total', 'Changes of state.', ['machine', 'to']);
  const outcomes = counter('orchestrator_outcomes_total', 'Envelopes that changed nothing.', ['machine', 'outcome']);
  const scheduleRuns = counter(
    'orchestrator_schedule_runs_total',
    'Runs of schedules: started; skipped because of an overlap; missed because nothing was up.',
    ['outcome'],
  );
  const scheduleLate = histogram(
    'orchestrator_schedule_late_seconds',
    'From the time that a run is for to its task; jitter included.',
    [],
    [0.01, 0.05, 0.25, 1, 5, 15, 60, 600, 3600, 86400],
  );
  const conflicts = counter('orchestrator_conflicts_total', 'Actors of which a branch that lost was taken up.', [
    'machine',
  ]);
  const conflictInputs = counter(
    'orchestrator_conflict_inputs_total',
    'Inputs of branches that lost, by what became of them: kept, applied or superseded.',
    ['machine', 'outcome'],
  );
  const records = counter('orchestrator_journal_records_total', 'Journal records written.', []);
  const entries = counter('orchestrator_entries_total', 'Stream entries taken in.', []);
  const commit = histogram(
    'orchestrator_commit_seconds',
    'From the call of a commit to its answer.',
    [],
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
  );
  const inState = histogram(
    'orchestrator_state_seconds',
    'Time spent in a state, when it is left.',
    ['machine', 'state'],
    [0.001, 0.01, 0.1, 1, 10, 60, 600, 3600],
  );
  const readAge = histogram(
    'orchestrator_shard_turn_seconds',
    'Time of one turn of a shard loop, waiting included.',
    [],
    [0.001, 0.01, 0.1, 0.5, 1, 2, 5, 10],
  );

  return {
    telemetry: {
      committed: (_shard, seconds, entryCount, recordCount) => {
        commit.observe(seconds);
        entries.inc(entryCount);
        records.inc(recordCount);
      },
      transition: (machine, from, to, secondsInState) => {
        transitions.inc({ machine, to });
        if (from !== undefined && secondsInState !== undefined)
          inState.observe({ machine, state: from }, secondsInState);
      },
      outcome: (machine, outcome) => outcomes.inc({ machine, outcome }),
      measured: (machine, { name, value }) => {
        if (machine !== 'schedule') return;
        if (name === 'late_seconds') scheduleLate.observe(value);
        else scheduleRuns.inc({ outcome: name }, value);
      },
      takenUp: ({ machine, inputs }) => {
        conflicts.inc({ machine });
        for (const { outcome } of inputs) conflictInputs.inc({ machine, outcome });
      },
      readAge: (_shard, seconds) => readAge.observe(seconds),
    },
    contentType: registry.contentType,
    render: () => registry.metrics(),
    describe: () => reference,
  };
}

function countBy(sources: MetricSources, definition: string, status: (state: string) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const [key, value] of sources.census()) {
    if (!key.startsWith(`${definition} `)) continue;
    const name = status(key.slice(definition.length + 1));
    counts.set(name, (counts.get(name) ?? 0) + value);
  }
  return counts;
}

/** Task types are named by users: past the bound they share one series. */
class BoundedNames {
  readonly #known = new Set<string>();
  readonly #max: number;
  constructor(max: number) {
    this.#max = max;
  }
  name(name: string): string {
    if (this.#known.has(name)) return name;
    if (this.#known.size >= this.#max) return 'other';
    this.#known.add(name);
    return name;
  }
}
