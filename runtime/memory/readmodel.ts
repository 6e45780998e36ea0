/** Lists, searches and history over a `MemoryProjectionStore`: the answers that PostgreSQL would give. */
import type {
  ActorRow,
  AgentRow,
  ChunkRow,
  HistoryRow,
  MinuteRow,
  Page,
  ReadModel,
  ScheduleFilter,
  ScheduleRow,
  TakenRow,
  TaskFilter,
  TaskRow,
} from '../readmodel.ts';
import { decodeCursor, encodeCursor, type Place } from './cursor.ts';
import type { MemoryProjectionStore, Row } from './projection.ts';

export class MemoryReadModel implements ReadModel {
  readonly #store: MemoryProjectionStore;

  constructor(store: MemoryProjectionStore) {
    this.#store = store;
  }

  async tasks(filter: TaskFilter, limit: number, cursor: string | undefined): Promise<Page<TaskRow>> {
    const from = cursor === undefined ? undefined : decodeCursor(cursor, 'tasks', ['number', 'string']);
    if (cursor !== undefined && !from) return 'bad-cursor';
    const place = (row: TaskRow) => [row.createdAt, row.id];
    const rows = this.#tasks()
      .filter((row) => matches(row, filter) && (!from || compare(place(row), from) < 0))
      .sort((left, right) => compare(place(right), place(left)));
    return page(rows, limit, (row) => ['tasks', row.createdAt, row.id]);
  }

  async countTasks(filter: TaskFilter): Promise<number> {
    return this.#tasks().filter((row) => matches(row, filter)).length;
  }

  async task(id: string): Promise<TaskRow | undefined> {
    const row = this.#store.table('tasks').get(id);
    return row && named<TaskRow>(row);
  }

  async chunks(task: string, after: { attempt: number; number: number }, limit: number): Promise<ChunkRow[]> {
    return this.#store
      .transitions(`task/${task}`)
      .filter(({ row }) => row.event === 'chunk' && row.outcome === 'applied')
      .map(({ row: { payload } }) => payload as unknown as ChunkRow)
      .filter(({ attempt, number }) => compare([attempt, number], [after.attempt, after.number]) > 0)
      .map(({ attempt, number, chunk }) => structuredClone({ attempt, number, chunk }))
      .slice(0, limit);
  }

  async history(actor: string, limit: number, cursor: string | undefined, fromRevision = 0): Promise<Page<HistoryRow>> {
    const from = cursor === undefined ? undefined : decodeCursor(cursor, 'history', ['number', 'number', 'number']);
    if (cursor !== undefined && !from) return 'bad-cursor';
    const rows = this.#store
      .transitions(actor)
      .filter(({ place, row }) => row.revision >= fromRevision && (!from || compare(place, from) > 0))
      .sort((left, right) => compare(left.place, right.place));
    const found = page(rows, limit, ({ place }) => ['history', ...place]);
    return found === 'bad-cursor' ? found : { ...found, rows: found.rows.map(({ row }) => structuredClone(row)) };
  }

  async agents(limit: number, cursor: string | undefined): Promise<Page<AgentRow>> {
    const from = cursor === undefined ? undefined : decodeCursor(cursor, 'agents', ['string']);
    if (cursor !== undefined && !from) return 'bad-cursor';
    const rows = this.#agents()
      .filter((row) => !from || compare([row.id], from) > 0)
      .sort((left, right) => compare([left.id], [right.id]));
    return page(rows, limit, (row) => ['agents', row.id]);
  }

  async agent(id: string): Promise<AgentRow | undefined> {
    const row = this.#store.table('agents').get(id);
    return row && named<AgentRow>(row);
  }

  async schedules(
    { tenant, type, status }: ScheduleFilter,
    limit: number,
    cursor: string | undefined,
  ): Promise<Page<ScheduleRow>> {
    const from = cursor === undefined ? undefined : decodeCursor(cursor, 'schedules', ['string']);
    if (cursor !== undefined && !from) return 'bad-cursor';
    const rows = [...this.#store.table('schedules').values()]
      .map((row) => named<ScheduleRow>(row))
      .filter((row) => (status === undefined ? !['removed', 'rejected'].includes(row.status) : row.status === status))
      .filter((row) => (tenant === undefined || row.tenant === tenant) && (type === undefined || row.type === type))
      .filter((row) => !from || compare([row.id], from) > 0)
      .sort((left, right) => compare([left.id], [right.id]));
    return page(rows, limit, (row) => ['schedules', row.id]);
  }

  async counts(tenant?: string): Promise<{ tasks: Record<string, number>; agents: Record<string, number> }> {
    return {
      tasks: byStatus(this.#tasks().filter((row) => tenant === undefined || row.tenant === tenant)),
      agents: byStatus(this.#agents()),
    };
  }

  async actors(
    definition: string,
    state: string | undefined,
    limit: number,
    cursor: string | undefined,
  ): Promise<Page<ActorRow>> {
    const from = cursor === undefined ? undefined : decodeCursor(cursor, 'actors', ['string']);
    if (cursor !== undefined && !from) return 'bad-cursor';
    const rows = [...this.#store.table('actors').values()]
      .filter((row) => row['definition'] === definition && (state === undefined || row['state'] === state))
      .map((row) => ({
        address: String(row['id']),
        state: String(row['state']),
        updatedAt: Number(row['updated_at']),
        revision: Number(row['revision']),
      }))
      .filter((row) => !from || compare([row.address], from) > 0)
      .sort((left, right) => compare([left.address], [right.address]));
    return page(rows, limit, (row) => ['actors', row.address]);
  }

  async minutes(sinceMs: number): Promise<MinuteRow[]> {
    const minutes = new Map<number, MinuteRow & { latencies: number[] }>();
    const minute = (at: number): MinuteRow & { latencies: number[] } => {
      const begins = Math.floor(at / 60_000) * 60_000;
      const fresh = { at: begins, submitted: 0, finished: 0, latencyP50Ms: null, latencyP95Ms: null, latencies: [] };
      return minutes.get(begins) ?? minutes.set(begins, fresh).get(begins)!;
    };
    for (const { createdAt, finishedAt } of this.#tasks()) {
      if (createdAt >= sinceMs) minute(createdAt).submitted++;
      if (finishedAt === null || finishedAt < sinceMs) continue;
      const row = minute(finishedAt);
      row.finished++;
      row.latencies.push(finishedAt - createdAt);
    }
    return [...minutes.values()]
      .sort((left, right) => left.at - right.at)
      .map(({ latencies, ...row }) => ({
        ...row,
        latencyP50Ms: percentile(latencies, 0.5),
        latencyP95Ms: percentile(latencies, 0.95),
      }));
  }

  async finished(sinceMs: number, limit: number): Promise<{ type: string; count: number }[]> {
    const counts = new Map<string, number>();
    for (const { type, finishedAt } of this.#tasks())
      if (finishedAt !== null && finishedAt >= sinceMs) counts.set(type, (counts.get(type) ?? 0) + 1);
    return [...counts]
      .map(([type, count]) => ({ type, count }))
      .sort((left, right) => right.count - left.count || (left.type < right.type ? -1 : 1))
      .slice(0, limit);
  }

  async taken(definition: string, sinceMs: number): Promise<TakenRow[]> {
    const counts = new Map<string, TakenRow>();
    for (const transitions of this.#store.actors(`${definition}/`)) {
      const recent = transitions.filter(({ row }) => row.at >= sinceMs);
      for (const [index, { row }] of recent.entries()) {
        if (row.outcome !== 'applied') continue;
        const from = recent[index - 1]?.row.state ?? null;
        const key = JSON.stringify([row.event, from, row.state]);
        const known = counts.get(key) ?? { event: row.event, from, to: row.state, count: 0 };
        counts.set(key, { ...known, count: known.count + 1 });
      }
    }
    return [...counts.values()].sort((left, right) => right.count - left.count);
  }

  async watermarks(): Promise<Record<string, string>> {
    return Object.fromEntries(this.#store.watermarks);
  }

  #tasks(): TaskRow[] {
    return [...this.#store.table('tasks').values()].map((row) => named<TaskRow>(row));
  }

  #agents(): AgentRow[] {
    return [...this.#store.table('agents').values()].map((row) => named<AgentRow>(row));
  }
}

/** The row under the names of the read model: `created_at` is `createdAt`. The shard is part of the id already. */
function named<T extends TaskRow | AgentRow | ScheduleRow>(row: Row): T {
  const { shard: _, ...shown } = row;
  const members = Object.entries(structuredClone(shown));
  return Object.fromEntries(
    members.map(([column, value]) => [
      column.replaceAll(/_(.)/g, (_all, letter: string) => letter.toUpperCase()),
      value,
    ]),
  ) as unknown as T;
}

function matches(row: TaskRow, filter: TaskFilter): boolean {
  const same = (['status', 'type', 'tenant', 'agent'] as const).every(
    (column) => filter[column] === undefined || row[column] === filter[column],
  );
  const { createdAfter = -Infinity, createdBefore = Infinity } = filter;
  if (filter.statuses && !filter.statuses.includes(row.status)) return false;
  if (filter.error !== undefined && !holds(row.error?.['message'], filter.error)) return false;
  return same && row.createdAt >= createdAfter && row.createdAt < createdBefore && mentions(row, filter.text);
}

function mentions(row: TaskRow, text: string | undefined): boolean {
  if (text === undefined) return true;
  return holds(row.id, text) || holds(row.error?.['message'], text);
}

function holds(whole: unknown, part: string): boolean {
  return typeof whole === 'string' && whole.toLowerCase().includes(part.toLowerCase());
}

function compare(left: readonly (string | number)[], right: readonly (string | number)[]): number {
  for (const [index, part] of left.entries()) {
    const other = right[index]!;
    if (part !== other) return part < other ? -1 : 1;
  }
  return 0;
}

function page<T>(rows: readonly T[], limit: number, placeOf: (row: T) => Place): Page<T> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return { rows: shown, next: rows.length > limit && last ? encodeCursor(placeOf(last)) : undefined };
}

/** Between the two nearest values, as `percentile_cont` has it. */
function percentile(values: readonly number[], share: number): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((left, right) => left - right);
  const place = share * (sorted.length - 1);
  const below = sorted[Math.floor(place)]!;
  return below + (sorted[Math.ceil(place)]! - below) * (place - Math.floor(place));
}

function byStatus(rows: readonly { status: string }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status } of rows) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}
