/** Lists and history from PostgreSQL: keyset pages, newest first, so that a page costs the same wherever it stands. */
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
import type { Pool } from './pool.ts';

const ms = (column: string): string => `(extract(epoch FROM ${column}) * 1000)::float8`;

/** The last moment of a JavaScript date. PostgreSQL ends later, but does not begin as early as a date can be asked for. */
const timeMsMax = 8.64e15;

const taskColumns = `id, type, tenant, status, priority, parameters, result, error, reason, agent, attempt, progress,
  ${ms('created_at')} AS "createdAt", ${ms('started_at')} AS "startedAt", ${ms('finished_at')} AS "finishedAt",
  ${ms('updated_at')} AS "updatedAt", revision::float8 AS revision`;

const agentColumns = `id, type, status, capabilities, labels, slots, version, generation, reason,
  ${ms('registered_at')} AS "registeredAt", ${ms('updated_at')} AS "updatedAt", revision::float8 AS revision`;

const scheduleColumns = `id, name, tenant, type, status, cron, interval_ms::float8 AS "intervalMs", timezone, overlap,
  ${ms('created_at')} AS "createdAt", ${ms('updated_at')} AS "updatedAt", revision::float8 AS revision`;

export class PostgresReadModel implements ReadModel {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  async tasks(filter: TaskFilter, limit: number, cursor: string | undefined): Promise<Page<TaskRow>> {
    const where = whereOf(filter);
    if (cursor !== undefined) {
      const place = decodeCursor(cursor, 'tasks');
      if (!place) return 'bad-cursor';
      where.add('(created_at, id) < (to_timestamp(?::float8 / 1000.0), ?)', place[0], place[1]);
    }
    const rows = await this.#pool.query<TaskRow>(
      `SELECT ${taskColumns} FROM tasks ${where.text} ORDER BY created_at DESC, id DESC LIMIT ${limit + 1}`,
      where.values,
    );
    return page(rows, limit, (row) => encodeCursor('tasks', row.createdAt, row.id));
  }

  async countTasks(filter: TaskFilter): Promise<number> {
    const where = whereOf(filter);
    const [row] = await this.#pool.query<{ count: number }>(
      `SELECT count(*)::float8 AS count FROM tasks ${where.text}`,
      where.values,
    );
    return row?.count ?? 0;
  }

  async task(id: string): Promise<TaskRow | undefined> {
    const [row] = await this.#pool.query<TaskRow>(`SELECT ${taskColumns} FROM tasks WHERE id = $1`, [id]);
    return row;
  }

  async chunks(task: string, after: { attempt: number; number: number }, limit: number): Promise<ChunkRow[]> {
    return this.#pool.query<ChunkRow>(
      `SELECT (payload->>'attempt')::int AS attempt, (payload->>'number')::int AS number, payload->'chunk' AS chunk
       FROM transitions WHERE actor = $1 AND event = 'chunk' AND outcome = 'applied'
         AND ((payload->>'attempt')::int, (payload->>'number')::int) > ($2::int, $3::int)
       ORDER BY epoch, sequence, ordinal LIMIT ${limit}`,
      [`task/${task}`, after.attempt, after.number],
    );
  }

  async history(
    actor: string,
    limit: number,
    cursor: string | undefined,
    fromRevision?: number,
  ): Promise<Page<HistoryRow>> {
    const where = new Where();
    where.add('actor = ?', actor);
    if (fromRevision !== undefined) where.add('revision >= ?', fromRevision);
    if (cursor !== undefined) {
      const place = decodeCursor(cursor, 'history');
      const parts = place && /^(\d{1,15})\.(\d{1,15})\.(\d{1,9})$/.exec(place[1]);
      if (!parts) return 'bad-cursor';
      where.add('(epoch, sequence, ordinal) > (?::bigint, ?::bigint, ?::int)', parts[1], parts[2], parts[3]);
    }
    const rows = await this.#pool.query<HistoryRow & { place: string }>(
      `SELECT revision::float8 AS revision, outcome, origin, event, payload, state, reason, caused_by AS by, traceparent, envelope, ${ms('at')} AS at,
         shard || '.' || epoch || '.' || sequence || '.' || ordinal AS position, epoch || '.' || sequence || '.' || ordinal AS place
       FROM transitions ${where.text} ORDER BY epoch, sequence, ordinal LIMIT ${limit + 1}`,
      where.values,
    );
    return page(rows, limit, (row) => encodeCursor('history', 0, row.place));
  }

  async agents(limit: number, cursor: string | undefined): Promise<Page<AgentRow>> {
    const where = new Where();
    if (cursor !== undefined) {
      const place = decodeCursor(cursor, 'agents');
      if (!place) return 'bad-cursor';
      where.add('id > ?', place[1]);
    }
    const rows = await this.#pool.query<AgentRow>(
      `SELECT ${agentColumns} FROM agents ${where.text} ORDER BY id LIMIT ${limit + 1}`,
      where.values,
    );
    return page(rows, limit, (row) => encodeCursor('agents', 0, row.id));
  }

  async agent(id: string): Promise<AgentRow | undefined> {
    const [row] = await this.#pool.query<AgentRow>(`SELECT ${agentColumns} FROM agents WHERE id = $1`, [id]);
    return row;
  }

  async schedules(
    { tenant, type, status }: ScheduleFilter,
    limit: number,
    cursor: string | undefined,
  ): Promise<Page<ScheduleRow>> {
    const where = new Where();
    if (tenant !== undefined) where.add('tenant = ?', tenant);
    if (type !== undefined) where.add('type = ?', type);
    if (status !== undefined) where.add('status = ?', status);
    else where.add("status NOT IN ('removed', 'rejected')");
    if (cursor !== undefined) {
      const place = decodeCursor(cursor, 'schedules');
      if (!place) return 'bad-cursor';
      where.add('id > ?', place[1]);
    }
    const rows = await this.#pool.query<ScheduleRow>(
      `SELECT ${scheduleColumns} FROM schedules ${where.text} ORDER BY id LIMIT ${limit + 1}`,
      where.values,
    );
    return page(rows, limit, (row) => encodeCursor('schedules', 0, row.id));
  }

  async counts(tenant?: string): Promise<{ tasks: Record<string, number>; agents: Record<string, number> }> {
    const count = async (table: string, where: string, values: string[]): Promise<Record<string, number>> => {
      const rows = await this.#pool.query<{ status: string; count: number }>(
        `SELECT status, count(*)::float8 AS count FROM ${table} ${where} GROUP BY status`,
        values,
      );
      return Object.fromEntries(rows.map((row) => [row.status, row.count]));
    };
    const [tasks, agents] = await Promise.all([
      count('tasks', tenant === undefined ? '' : 'WHERE tenant = $1', tenant === undefined ? [] : [tenant]),
      count('agents', '', []),
    ]);
    return { tasks, agents };
  }

  async actors(
    definition: string,
    state: string | undefined,
    limit: number,
    cursor: string | undefined,
  ): Promise<Page<ActorRow>> {
    const where = new Where();
    where.add('definition = ?', definition);
    if (state !== undefined) where.add('state = ?', state);
    if (cursor !== undefined) {
      const place = decodeCursor(cursor, 'actors');
      if (!place) return 'bad-cursor';
      where.add('address > ?', `${definition}/${place[1]}`);
    }
    const rows = await this.#pool.query<ActorRow>(
      `SELECT address, state, ${ms('updated_at')} AS "updatedAt", revision::float8 AS revision
       FROM actors ${where.text} ORDER BY address LIMIT ${limit + 1}`,
      where.values,
    );
    return page(rows, limit, (row) => encodeCursor('actors', 0, row.address.slice(definition.length + 1)));
  }

  async minutes(sinceMs: number): Promise<MinuteRow[]> {
    return this.#pool.query<MinuteRow>(
      `WITH ended AS (
         SELECT date_trunc('minute', finished_at) AS minute, count(*) AS finished,
           percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - created_at) * 1000) AS latency
         FROM tasks WHERE finished_at >= to_timestamp($1::float8 / 1000.0) GROUP BY 1),
       begun AS (
         SELECT date_trunc('minute', created_at) AS minute, count(*) AS submitted
         FROM tasks WHERE created_at >= to_timestamp($1::float8 / 1000.0) GROUP BY 1)
       SELECT ${ms('minute')} AS at, coalesce(submitted, 0)::float8 AS submitted, coalesce(finished, 0)::float8 AS finished,
         latency[1]::float8 AS "latencyP50Ms", latency[2]::float8 AS "latencyP95Ms"
       FROM ended FULL JOIN begun USING (minute) ORDER BY 1`,
      [sinceMs],
    );
  }

  async finished(sinceMs: number, limit: number): Promise<{ type: string; count: number }[]> {
    return this.#pool.query<{ type: string; count: number }>(
      `SELECT type, count(*)::float8 AS count FROM tasks WHERE finished_at >= to_timestamp($1::float8 / 1000.0)
       GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ${limit}`,
      [sinceMs],
    );
  }

  async taken(definition: string, sinceMs: number): Promise<TakenRow[]> {
    return this.#pool.query<TakenRow>(
      `SELECT event, "from", "to", count(*)::float8 AS count FROM (
         SELECT event, outcome, state AS "to",
           lag(state) OVER (PARTITION BY actor ORDER BY epoch, sequence, ordinal) AS "from"
         FROM transitions WHERE at >= to_timestamp($2::float8 / 1000.0) AND starts_with(actor, $1)) AS recent
       WHERE outcome = 'applied' GROUP BY 1, 2, 3 ORDER BY 4 DESC LIMIT 500`,
      [`${definition}/`, sinceMs],
    );
  }

  async watermarks(): Promise<Record<string, string>> {
    const rows = await this.#pool.query<{ shard: number; position: string }>('SELECT shard, position FROM watermarks');
    return Object.fromEntries(rows.map((row) => [String(row.shard), row.position]));
  }
}

class Where {
  readonly values: unknown[] = [];
  readonly #conditions: string[] = [];

  /** `?` stands for the next value. */
  add(condition: string, ...values: unknown[]): void {
    let next = 0;
    this.#conditions.push(condition.replaceAll('?', () => `$${this.values.push(values[next++])}`));
  }

  get text(): string {
    return this.#conditions.length > 0 ? `WHERE ${this.#conditions.join(' AND ')}` : '';
  }
}

function page<Row>(rows: Row[], limit: number, cursorOf: (row: Row) => string): Page<Row> {
  const shown = rows.slice(0, limit);
  const last = shown[shown.length - 1];
  return { rows: shown, next: rows.length > limit && last ? cursorOf(last) : undefined };
}

function encodeCursor(list: string, number: number, text: string): string {
  return Buffer.from(JSON.stringify([list, number, text])).toString('base64url');
}

function decodeCursor(cursor: string, list: string): [number, string] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    // A cursor comes from outside: whatever cannot be read was not made here.
    return undefined;
  }
  if (!Array.isArray(value) || value.length !== 3) return undefined;
  const [name, number, text] = value as unknown[];
  const fits =
    name === list &&
    typeof number === 'number' &&
    number >= 0 &&
    number < timeMsMax &&
    typeof text === 'string' &&
    /^[\w.~-]{1,160}$/.test(text);
  return fits ? [number, text] : undefined;
}

function whereOf(filter: TaskFilter): Where {
  const where = new Where();
  if (filter.status !== undefined) where.add('status = ?', filter.status);
  if (filter.statuses !== undefined) where.add('status = ANY(?)', filter.statuses);
  if (filter.type !== undefined) where.add('type = ?', filter.type);
  if (filter.tenant !== undefined) where.add('tenant = ?', filter.tenant);
  if (filter.agent !== undefined) where.add('agent = ?', filter.agent);
  if (filter.createdAfter !== undefined)
    where.add('created_at >= to_timestamp(?::float8 / 1000.0)', Math.max(0, filter.createdAfter));
  if (filter.createdBefore !== undefined)
    where.add('created_at < to_timestamp(?::float8 / 1000.0)', Math.max(0, filter.createdBefore));
  if (filter.text !== undefined) {
    const pattern = containing(filter.text);
    where.add("(id ILIKE ? OR error->>'message' ILIKE ?)", pattern, pattern);
  }
  if (filter.error !== undefined) where.add("error->>'message' ILIKE ?", containing(filter.error));
  return where;
}

/** The pattern of LIKE for texts that hold this one. */
function containing(text: string): string {
  return `%${text.replaceAll(/[\\%_]/g, '\\$&')}%`;
}
