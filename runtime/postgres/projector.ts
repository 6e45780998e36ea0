/**
 * Journal entries into rows: one transaction holds the rows and the shard's watermark, so a repeat writes nothing twice. A
 * batch that PostgreSQL refuses for its data is halved until the record is found; that one is quarantined and the journal
 * goes on.
 */
import type pg from 'pg';
import type { PositionedEntry, ProjectionStore } from '../ports.ts';
import { Unavailable } from '../protocol/errors.ts';
import { stateText } from '../protocol/envelope.ts';
import { parseAddress } from '../protocol/ids.ts';
import { positionStart, type JournalRecord, type Position } from '../protocol/journal.ts';
import type { Projection } from '../protocol/projection.ts';
import type { Pool } from './pool.ts';
import { collapse, insertStatement, updateStatement, type RowPatch, type Statement } from './rows.ts';

/** One journal record with its place. */
interface Placed {
  position: Position;
  epoch: number;
  sequence: number;
  ordinal: number;
  shard: number;
  at: number;
  record: JournalRecord;
}

export class PostgresProjectionStore implements ProjectionStore {
  readonly #pool: Pool;
  readonly #projections: ReadonlyMap<string, Projection>;

  constructor(pool: Pool, projections: readonly Projection[]) {
    this.#pool = pool;
    this.#projections = new Map(projections.map((projection) => [projection.definition, projection]));
  }

  async watermark(shard: number): Promise<Position> {
    const [row] = await this.#pool.query<{ position: string }>('SELECT position FROM watermarks WHERE shard = $1', [
      shard,
    ]);
    return row?.position ?? positionStart;
  }

  async apply(
    shard: number,
    from: Position,
    entries: readonly PositionedEntry[],
  ): Promise<{ applied: number; quarantined: number } | { conflict: Position }> {
    const last = entries[entries.length - 1];
    if (!last) return { applied: 0, quarantined: 0 };
    const records = entries.flatMap(({ position, entry }) =>
      entry.records.map((record, ordinal): Placed => {
        const { epoch, sequence, at } = entry;
        return { position, epoch, sequence, ordinal, shard, at, record };
      }),
    );
    return this.#pool.transaction(async (client) => {
      await client.query('INSERT INTO watermarks (shard, position) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
        shard,
        positionStart,
      ]);
      // The row lock makes a second projector of this shard wait, and then see that it is late.
      const { rows } = await client.query<{ position: string }>(
        'SELECT position FROM watermarks WHERE shard = $1 FOR UPDATE',
        [shard],
      );
      const present = rows[0]?.position ?? positionStart;
      if (present !== from) return { conflict: present };
      const quarantined = await this.#store(client, records);
      await client.query('UPDATE watermarks SET position = $2, updated_at = now() WHERE shard = $1', [
        shard,
        last.position,
      ]);
      return { applied: records.length - quarantined, quarantined };
    });
  }

  /** Returns how many records were quarantined. */
  async #store(client: pg.PoolClient, records: readonly Placed[]): Promise<number> {
    if (records.length === 0) return 0;
    await client.query('SAVEPOINT batch');
    try {
      for (const { text, values } of this.#statements(records)) await client.query(text, values);
      await client.query('RELEASE SAVEPOINT batch');
      return 0;
    } catch (error) {
      if (!isDataError(error)) throw error;
      await client.query('ROLLBACK TO SAVEPOINT batch');
      if (records.length === 1) {
        await quarantine(client, records[0]!, error.message);
        return 1;
      }
      const middle = records.length >> 1;
      return (await this.#store(client, records.slice(0, middle))) + (await this.#store(client, records.slice(middle)));
    }
  }

  #statements(records: readonly Placed[]): Statement[] {
    const tables = new Map<Projection, Map<string, RowPatch>>();
    const others = new Map<string, Placed>();
    for (const placed of records) {
      const { record, at, shard } = placed;
      if (record.outcome !== undefined) continue;
      const parts = parseAddress(record.actor);
      const projection = parts && this.#projections.get(parts.definition);
      if (!parts) continue;
      if (!projection) {
        others.set(record.actor, placed);
        continue;
      }
      const rows = tables.get(projection) ?? tables.set(projection, new Map()).get(projection)!;
      const values = projection.patch(record, at);
      collapse(
        rows,
        { id: parts.id, shard, revision: record.revision, at, begins: record.revision === 1, values },
        projection,
      );
    }
    const statements: Statement[] = [transitions(records)];
    for (const [projection, rows] of tables) {
      const [begun, changed] = [
        [...rows.values()].filter((row) => row.begins),
        [...rows.values()].filter((row) => !row.begins),
      ];
      if (begun.length > 0) statements.push(insertStatement(projection, begun));
      if (changed.length > 0) statements.push(updateStatement(projection, changed));
    }
    if (others.size > 0) statements.push(otherActors([...others.values()]));
    return statements;
  }
}

function transitions(records: readonly Placed[]): Statement {
  const column = <T>(pick: (placed: Placed) => T): T[] => records.map(pick);
  return {
    text: `INSERT INTO transitions (shard, epoch, sequence, ordinal, actor, revision, outcome, origin, event, payload, state, reason, caused_by, envelope, traceparent, at)
      SELECT v.shard, v.epoch, v.sequence, v.ordinal, v.actor, v.revision, v.outcome, v.origin, v.event, v.payload::jsonb, v.state, v.reason, v.caused_by, v.envelope, v.traceparent, to_timestamp(v.at / 1000.0)
      FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::int[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::float8[])
        AS v (shard, epoch, sequence, ordinal, actor, revision, outcome, origin, event, payload, state, reason, caused_by, envelope, traceparent, at)
      ON CONFLICT DO NOTHING`,
    values: [
      column(({ shard }) => shard),
      column(({ epoch }) => epoch),
      column(({ sequence }) => sequence),
      column(({ ordinal }) => ordinal),
      column(({ record }) => record.actor),
      column(({ record }) => record.revision),
      column(({ record }) => record.outcome ?? 'applied'),
      column(({ record }) => record.origin),
      column(({ record }) => record.event?.type ?? 'create'),
      column(({ record }) => payloadOf(record)),
      column(({ record }) => stateText(record.state)),
      column(({ record }) => record.reason ?? null),
      column(({ record }) => record.by ?? null),
      column(({ record }) => record.id),
      column(({ record }) => record.traceparent ?? null),
      column(({ at }) => at),
    ],
  };
}

/** The event without its type; parameters and results are in the task's row and need not stand twice. */
function payloadOf(record: JournalRecord): string | null {
  const {
    type: _,
    parameters: __,
    result: ___,
    ...rest
  } = (record.event ?? record.input ?? {}) as Record<string, unknown>;
  // A token that is still worth something must not be readable by everyone who may read history.
  delete rest['token'];
  return Object.keys(rest).length > 0 ? JSON.stringify(rest) : null;
}

function otherActors(records: readonly Placed[]): Statement {
  return {
    text: `INSERT INTO actors (address, shard, definition, state, updated_at, revision)
      SELECT v.address, v.shard, v.definition, v.state, to_timestamp(v.at / 1000.0), v.revision
      FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::float8[], $6::bigint[]) AS v (address, shard, definition, state, at, revision)
      ON CONFLICT (address) DO UPDATE SET state = EXCLUDED.state, updated_at = EXCLUDED.updated_at, revision = EXCLUDED.revision`,
    values: [
      records.map(({ record }) => record.actor),
      records.map(({ shard }) => shard),
      records.map(({ record }) => record.actor.split('/')[0]),
      records.map(({ record }) => stateText(record.state)),
      records.map(({ at }) => at),
      records.map(({ record }) => record.revision),
    ],
  };
}

async function quarantine(client: pg.PoolClient, placed: Placed, reason: string): Promise<void> {
  await client.query(
    'INSERT INTO quarantine (shard, position, ordinal, reason, record) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING',
    [
      placed.shard,
      placed.position,
      placed.ordinal,
      reason.replaceAll('\u0000', ' ').slice(0, 1_000),
      Buffer.from(JSON.stringify(placed.record)),
    ],
  );
}

/** Errors of the data itself (SQLSTATE 22, 23, 54): the same batch will fail for ever. */
function isDataError(error: unknown): error is Error {
  return (
    error instanceof Error &&
    !(error instanceof Unavailable) &&
    'code' in error &&
    typeof error.code === 'string' &&
    /^(22|23|54)/.test(error.code)
  );
}
