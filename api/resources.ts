/** Tasks, agents and history as REST shows them: snake_case, times in ISO 8601, absent members left out. */
import { agentStatus } from '../actors/agent/status.ts';
import { taskStatus } from '../actors/task/status.ts';
import { stateText } from '../runtime/protocol/envelope.ts';
import type { JournalRecord } from '../runtime/protocol/journal.ts';
import type { ActorView } from '../runtime/protocol/snapshot.ts';
import type { AgentRow, HistoryRow, TaskRow } from '../runtime/readmodel.ts';

export interface TaskResource {
  id: string;
  status: string;
  revision: number;
  [member: string]: unknown;
}

const iso = (ms: unknown): string | undefined => (typeof ms === 'number' ? new Date(ms).toISOString() : undefined);

export function present<T extends object>(members: T): T {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined && value !== null)) as T;
}

/** Parent -> its status, as far as the task has heard. */
function parentStatuses(parents: unknown): Record<string, string> | undefined {
  if (typeof parents !== 'object' || parents === null) return undefined;
  return Object.fromEntries(
    Object.entries(parents as Record<string, { status: string }>).map(([id, { status }]) => [id, status]),
  );
}

/** Id of the uniqueness key. */
function claimOf(claim: unknown): string | undefined {
  if (typeof claim !== 'object' || claim === null) return undefined;
  return (claim as { key: string }).key.replace('unique/', '');
}

/** Of a task that a schedule submitted. */
function scheduleOf(schedule: unknown): { schedule?: string; scheduled_for?: string | undefined } {
  if (typeof schedule !== 'object' || schedule === null) return {};
  const { id, at } = schedule as { id: string; at: number };
  return { schedule: id, scheduled_for: iso(at) };
}

export function taskOfView(view: ActorView): TaskResource {
  const { context } = view;
  const status = taskStatus(view.state);
  return present({
    id: view.id,
    type: context['type'],
    status,
    priority: context['priority'],
    tenant: context['tenant'],
    parameters: context['parameters'],
    attempt: context['attempt'],
    failures: context['failures'],
    agent: context['agent'],
    progress: context['progress'],
    note: context['note'],
    result: context['result'],
    error: context['error'],
    reason: context['reason'],
    run_at: iso(context['runAt']),
    depends_on: parentStatuses(context['parents']),
    on_failure: context['onFailure'],
    unique: claimOf(context['claim']),
    ...scheduleOf(context['schedule']),
    created_at: iso(context['createdAt']),
    started_at: iso(context['startedAt']),
    finished_at: iso(context['finishedAt']),
    status_since: iso(view.since),
    revision: view.revision,
  });
}

export function taskOfRow(row: TaskRow): TaskResource {
  return present({
    id: row.id,
    type: row.type,
    status: row.status,
    priority: row.priority,
    tenant: row.tenant,
    parameters: row.parameters,
    attempt: row.attempt,
    agent: row.agent,
    progress: row.progress,
    result: row.result,
    error: row.error,
    reason: row.reason,
    created_at: iso(row.createdAt),
    started_at: iso(row.startedAt),
    finished_at: iso(row.finishedAt),
    revision: row.revision,
  });
}

export function agentOfView(view: ActorView): object {
  const { context } = view;
  const holding = (context['holding'] ?? {}) as object;
  return present({
    id: view.id,
    type: context['type'],
    status: agentStatus(view.state),
    capabilities: context['capabilities'],
    labels: context['labels'],
    resources: context['resources'],
    slots: context['slots'],
    slots_in_use: Object.keys(holding).length,
    tasks: Object.keys(holding),
    version: context['version'],
    generation: context['generation'],
    reason: context['reason'],
    registered_at: iso(context['registeredAt']),
    seen_at: iso(context['seenAt']),
    revision: view.revision,
  });
}

export function agentOfRow(row: AgentRow): object {
  return present({
    id: row.id,
    type: row.type,
    status: row.status,
    capabilities: row.capabilities,
    labels: row.labels,
    slots: row.slots,
    version: row.version,
    generation: row.generation,
    reason: row.reason,
    registered_at: iso(row.registeredAt),
    revision: row.revision,
  });
}

export function historyResource(row: HistoryRow): object {
  return present({
    revision: row.revision,
    event: row.event,
    state: row.state,
    outcome: row.outcome,
    reason: row.reason,
    origin: row.origin,
    by: row.by,
    payload: row.payload,
    traceparent: row.traceparent,
    at: iso(row.at),
    position: row.position,
  });
}

export function linksOf(task: string): { self: string; history: string; events: string } {
  const self = `/api/v1/tasks/${task}`;
  return { self, history: `${self}/history`, events: `${self}/events` };
}

export function statusOfRecord(record: JournalRecord): string {
  if (record.actor.startsWith('task/')) return taskStatus(record.state);
  if (record.actor.startsWith('agent/')) return agentStatus(record.state);
  return stateText(record.state);
}

/** One record of the journal, as event streams show it. */
export function transitionResource(record: JournalRecord, atMs: number): object {
  return present({
    actor: record.actor,
    revision: record.revision,
    event: record.event?.type ?? 'create',
    outcome: record.outcome ?? 'applied',
    state: stateText(record.state),
    status: statusOfRecord(record),
    reason: record.reason,
    by: record.by,
    traceparent: record.traceparent,
    at: iso(atMs),
  });
}
