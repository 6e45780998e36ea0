/** Conflicts between the sites of a pair, as the journal keeps them: stored with its entries, read newest first. */
import type pg from 'pg';
import type { TakenUp } from '../core/merge/takeup.ts';
import type { PositionedEntry } from '../ports.ts';
import type { ConflictFilter, ConflictReader, ConflictRow, Page } from '../readmodel.ts';
import type { Pool } from './pool.ts';

/** In the transaction of the entries; a repeat stores nothing anew. */
export async function storeConflicts(
  client: pg.PoolClient,
  shard: number,
  entries: readonly PositionedEntry[],
): Promise<void> {
  const rows = entries.flatMap(({ entry: { epoch, sequence, at, beside } }) =>
    ((beside?.lost ?? []) as unknown as TakenUp[]).map(
      (report, index) => [`${shard}.${epoch}.${sequence}.${index}`, at, report] as const,
    ),
  );
  if (rows.length === 0) return;
  await client.query(
    `INSERT INTO conflicts (id, shard, actor, machine, found_at, report)
     SELECT v.id, $1, v.actor, v.machine, to_timestamp(v.at / 1000.0), v.report
     FROM unnest($2::text[], $3::text[], $4::text[], $5::float8[], $6::text[]) AS v (id, actor, machine, at, report)
     ON CONFLICT DO NOTHING`,
    [
      shard,
      rows.map(([id]) => id),
      rows.map(([, , { actor }]) => actor),
      rows.map(([, , { machine }]) => machine),
      rows.map(([, at]) => at),
      rows.map(([, , report]) => JSON.stringify(report)),
    ],
  );
}

const columns = 'id, shard, actor, machine, (extract(epoch FROM found_at) * 1000)::float8 AS "foundAt", report';
const idPattern = /^\d{1,4}\.\d{1,15}\.\d{1,15}\.\d{1,9}$/;

type Row = Omit<ConflictRow, 'report'> & { report: string };

export class PostgresConflicts implements ConflictReader {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  async conflicts(
    { actor, machine }: ConflictFilter,
    limit: number,
    cursor: string | undefined,
  ): Promise<Page<ConflictRow>> {
    if (cursor !== undefined && !idPattern.test(cursor)) return 'bad-cursor';
    const rows = await this.#pool.query<Row>(
      `SELECT ${columns} FROM conflicts
       WHERE ($1::text IS NULL OR actor = $1) AND ($2::text IS NULL OR machine = $2)
         AND ($3::text IS NULL OR (found_at, id) < (SELECT found_at, id FROM conflicts WHERE id = $3))
       ORDER BY found_at DESC, id DESC LIMIT ${limit + 1}`,
      [actor ?? null, machine ?? null, cursor ?? null],
    );
    const shown = rows.slice(0, limit).map(parsed);
    return { rows: shown, next: rows.length > limit ? shown.at(-1)?.id : undefined };
  }

  async conflict(id: string): Promise<ConflictRow | undefined> {
    const [row] = await this.#pool.query<Row>(`SELECT ${columns} FROM conflicts WHERE id = $1`, [id]);
    return row && parsed(row);
  }

  async count(): Promise<number> {
    const [row] = await this.#pool.query<{ count: number }>('SELECT count(*)::float8 AS count FROM conflicts');
    return row?.count ?? 0;
  }
}

function parsed({ report, ...row }: Row): ConflictRow {
  return { ...row, report: JSON.parse(report) as ConflictRow['report'] };
}
