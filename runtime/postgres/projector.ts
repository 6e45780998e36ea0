/**
 * Journal entries into rows: one transaction holds the rows and the shard's watermark, so a repeat writes nothing twice. A
 * batch that PostgreSQL refuses for its data is halved until the record is found; that one is quarantined and the journal
 * goes on.
 */
import type pg from 'pg';
import { limits } from '../../config/limits.ts';
import type { ListStore, PositionedEntry, ProjectionStore, ShardImage } from '../ports.ts';
import { Unavailable } from '../protocol/errors.ts';
import { stateText } from '../protocol/envelope.ts';
import { parseAddress, type Address } from '../protocol/ids.ts';
import { positionStart, type Position } from '../protocol/journal.ts';
import type { Projection } from '../protocol/projection.ts';
import { viewOfStored, type ActorView } from '../protocol/snapshot.ts';
import { archive } from './archive.ts';
import { storeConflicts } from './conflicts.ts';
import type { Pool } from './pool.ts';
import { collapse, insertStatement, updateStatement, type RowPatch, type Statement } from './rows.ts';
import { inOrder, transitions, type Placed } from './transitions.ts';

export class PostgresProjectionStore implements ProjectionStore, ListStore {
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
      await archive(client, shard, entries);
      await storeConflicts(client, shard, entries);
      let quarantined = 0;
      for (const slice of slices(records)) quarantined += await this.#store(client, slice);
      await client.query('UPDATE watermarks SET position = $2, updated_at = now() WHERE shard = $1', [
        shard,
        last.position,
      ]);
      return { applied: records.length - quarantined, quarantined };
    });
  }

  /** Rows of all actors of the image, over those that are there; the projection goes on behind it. */
  async restore({ shard, position, snapshots }: ShardImage): Promise<void> {
    const tables = new Map<Projection | undefined, Viewed[]>();
    for (const [address, text] of snapshots) {
      const { definition = '', id = '' } = parseAddress(address) ?? {};
      const projection = this.#projections.get(definition);
      const rows = tables.get(projection) ?? tables.set(projection, []).get(projection)!;
      rows.push({ address, view: viewOfStored(id, text) });
    }
    await this.#pool.transaction(async (client) => {
      for (const [projection, rows] of tables)
        for (let from = 0; from < rows.length; from += limits.projectEntriesMax) {
          const some = rows.slice(from, from + limits.projectEntriesMax);
          const { text, values } = projection ? listed(projection, shard, some) : otherViews(shard, some);
          await client.query(text, values);
        }
      await client.query(
        'INSERT INTO watermarks (shard, position) VALUES ($1, $2) ON CONFLICT (shard) DO UPDATE SET position = EXCLUDED.position, updated_at = now()',
        [shard, position],
      );
    });
  }

  /** Returns how many records were quarantined. */
  async #store(client: pg.PoolClient, records: readonly Placed[]): Promise<number> {
    const problem = await attempt(client, async () => {
      if (!inOrder(records)) return placeTaken;
      const { text, values } = transitions(records);
      const { rowCount } = await client.query(text, values);
      if (rowCount !== records.length) return placeTaken;
      return run(client, this.#rows(records));
    });
    if (problem === undefined) return 0;
    const middle = records.length >> 1;
    if (middle > 0)
      return (await this.#store(client, records.slice(0, middle))) + (await this.#store(client, records.slice(middle)));
    await quarantine(client, records[0]!, problem);
    // Lists follow the present journal; only the history holds two records for one place.
    if (problem === placeTaken) await attempt(client, () => run(client, this.#rows(records)));
    return 1;
  }

  #rows(records: readonly Placed[]): Statement[] {
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
    const statements: Statement[] = [];
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

/** A journal that was begun anew or restored from an older copy counts its commits from where others are stored. */
const placeTaken = 'its place in the history is taken by a record of another journal of this shard';

/** What one statement carries at most: the records of a commit, and the bytes of an entry. */
function* slices(records: readonly Placed[]): Generator<readonly Placed[]> {
  let slice: Placed[] = [];
  let bytes = 0;
  for (const placed of records) {
    const size = JSON.stringify(placed.record).length;
    if (slice.length >= limits.commitEntriesMax || (slice.length > 0 && bytes + size > limits.entryBytesMax)) {
      yield slice;
      slice = [];
      bytes = 0;
    }
    slice.push(placed);
    bytes += size;
  }
  if (slice.length > 0) yield slice;
}

async function run(client: pg.PoolClient, statements: readonly Statement[]): Promise<undefined> {
  for (const { text, values } of statements) await client.query(text, values);
}

/** All of the work, or nothing of it and the reason: what the work returns, or the error of its data. */
async function attempt(client: pg.PoolClient, work: () => Promise<string | undefined>): Promise<string | undefined> {
  await client.query('SAVEPOINT attempt');
  const problem = await work().catch((error: unknown) => {
    if (isDataError(error)) return error.message;
    throw error;
  });
  await client.query(problem === undefined ? 'RELEASE SAVEPOINT attempt' : 'ROLLBACK TO SAVEPOINT attempt');
  return problem;
}

interface Viewed {
  address: Address;
  view: ActorView;
}

function listed(projection: Projection, shard: number, rows: readonly Viewed[]): Statement {
  return insertStatement(
    projection,
    rows.map(({ view }) => ({
      ...{ id: view.id, shard, revision: view.revision, at: view.since, begins: true },
      values: projection.row(view),
    })),
  );
}

function otherViews(shard: number, rows: readonly Viewed[]): Statement {
  return otherActors(
    rows.map(({ address, view: { state, revision, since } }) => ({
      shard,
      at: since,
      record: { actor: address, state, revision },
    })),
  );
}

/** What a row of an actor without a table of its own is made from. */
interface Other {
  shard: number;
  at: number;
  record: Pick<Placed['record'], 'actor' | 'state' | 'revision'>;
}

function otherActors(records: readonly Other[]): Statement {
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
