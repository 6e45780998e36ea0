/** Lists, searches and history: what PostgreSQL answers, as ports. Times are milliseconds since 1970. */
import type { Json, JsonObject } from './protocol/json.ts';
import type { TakenUp } from './core/merge/takeup.ts';

export interface TaskRow {
  id: string;
  type: string;
  tenant: string | null;
  status: string;
  priority: number;
  parameters: Json;
  result: Json;
  error: JsonObject | null;
  reason: string | null;
  agent: string | null;
  attempt: number;
  progress: number | null;
  createdAt: number;
  startedAt: number | null;
  finishedAt: number | null;
  updatedAt: number;
  revision: number;
}

export interface AgentRow {
  id: string;
  type: string;
  status: string;
  capabilities: readonly string[];
  labels: Readonly<Record<string, string | number>>;
  slots: number;
  version: string | null;
  generation: number;
  reason: string | null;
  registeredAt: number;
  updatedAt: number;
  revision: number;
}

export interface ScheduleRow {
  id: string;
  name: string;
  tenant: string | null;
  /** Type of the tasks that it submits. */
  type: string;
  status: string;
  cron: string | null;
  intervalMs: number | null;
  timezone: string;
  overlap: string;
  createdAt: number;
  updatedAt: number;
  revision: number;
}

export interface HistoryRow {
  revision: number;
  outcome: string;
  origin: string;
  event: string;
  payload: Json;
  state: string;
  reason: string | null;
  by: string | null;
  traceparent: string | null;
  /** Id of the envelope; the timer's for one that fired. */
  envelope: string;
  at: number;
  /** Where it stands in the journal: `<shard>.<epoch>.<sequence>.<ordinal>`. */
  position: string;
}

/** An actor of a definition that has no table of its own. */
export interface ActorRow {
  address: string;
  state: string;
  updatedAt: number;
  revision: number;
}

/** One minute of the site's work. */
export interface MinuteRow {
  /** Its beginning. */
  at: number;
  submitted: number;
  finished: number;
  /** From submit to the end of what finished, in milliseconds; null where nothing did. */
  latencyP50Ms: number | null;
  latencyP95Ms: number | null;
}

/** How often one way through a machine was taken lately. */
export interface TakenRow {
  event: string;
  /** State before, where the actor's former record is recent as well. */
  from: string | null;
  to: string;
  count: number;
}

/** A partial result of an attempt. */
export interface ChunkRow {
  attempt: number;
  number: number;
  chunk: Json;
}

export interface TaskFilter {
  status?: string;
  /** One of several. */
  statuses?: readonly string[];
  type?: string;
  tenant?: string;
  agent?: string;
  createdAfter?: number;
  createdBefore?: number;
  /** Part of the id or of the error message. */
  text?: string;
  /** Part of the error message. */
  error?: string;
}

export interface ScheduleFilter {
  tenant?: string;
  type?: string;
  /** Without it: all that are still there. */
  status?: string;
}

/** One request of an operator; `status` is null while it was never seen to end. */
export interface AuditRow {
  id: string;
  at: number;
  subject: string;
  token: string | null;
  tenant: string | null;
  address: string;
  action: string;
  target: string;
  detail: string | null;
  status: number | null;
  code: string | null;
  trace: string | null;
}

export interface AuditFilter {
  subject?: string;
  action?: string;
  target?: string;
  after?: number;
  before?: number;
}

/** A page, and where the next one begins; `bad-cursor` when the cursor was not made by this list. */
export type Page<Row> = { rows: Row[]; next: string | undefined } | 'bad-cursor';

export interface ReadModel {
  tasks(filter: TaskFilter, limit: number, cursor: string | undefined): Promise<Page<TaskRow>>;
  countTasks(filter: TaskFilter): Promise<number>;
  task(id: string): Promise<TaskRow | undefined>;
  /** Chunks of a task behind a place, in order. */
  chunks(task: string, after: { attempt: number; number: number }, limit: number): Promise<ChunkRow[]>;
  /** @param fromRevision only what the actor did or refused at this revision or a later one */
  history(actor: string, limit: number, cursor: string | undefined, fromRevision?: number): Promise<Page<HistoryRow>>;
  agents(limit: number, cursor: string | undefined): Promise<Page<AgentRow>>;
  agent(id: string): Promise<AgentRow | undefined>;
  schedules(filter: ScheduleFilter, limit: number, cursor: string | undefined): Promise<Page<ScheduleRow>>;
  /** Tasks and agents by status. */
  counts(tenant?: string): Promise<{ tasks: Record<string, number>; agents: Record<string, number> }>;
  /** Actors of definitions without a list of their own, by address. */
  actors(
    definition: string,
    state: string | undefined,
    limit: number,
    cursor: string | undefined,
  ): Promise<Page<ActorRow>>;
  /** Minutes after `sinceMs`, oldest first; minutes without any task are left out. */
  minutes(sinceMs: number): Promise<MinuteRow[]>;
  /** Tasks that came to an end after `sinceMs`, by type: the types with the most of them, at most `limit`. */
  finished(sinceMs: number, limit: number): Promise<{ type: string; count: number }[]>;
  /** What actors of a definition did after `sinceMs`. */
  taken(definition: string, sinceMs: number): Promise<TakenRow[]>;
  /** Journal position that the answers reflect, per shard. */
  watermarks(): Promise<Record<string, string>>;
}

/** The audit log, newest first. */
export interface AuditReader {
  audit(filter: AuditFilter, limit: number, cursor: string | undefined): Promise<Page<AuditRow>>;
}

/** What became of a branch that lost, for one actor. */
export interface ConflictRow {
  id: string;
  shard: number;
  actor: string;
  machine: string;
  /** When it was taken up, in milliseconds since 1970. */
  foundAt: number;
  report: TakenUp;
}

export interface ConflictFilter {
  actor?: string | undefined;
  machine?: string | undefined;
}

/** Conflicts between the sites of a pair, newest first. */
export interface ConflictReader {
  conflicts(filter: ConflictFilter, limit: number, cursor: string | undefined): Promise<Page<ConflictRow>>;
  conflict(id: string): Promise<ConflictRow | undefined>;
  count(): Promise<number>;
}
