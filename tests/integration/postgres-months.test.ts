/** History by months on a real PostgreSQL: made ahead, dropped by age, one list to its readers. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { migrate } from '../../runtime/postgres/migrate.ts';
import { PostgresHistoryKeeper } from '../../runtime/postgres/months.ts';
import { Pool } from '../../runtime/postgres/pool.ts';
import { PostgresProjectionStore } from '../../runtime/postgres/projector.ts';
import { PostgresReadModel } from '../../runtime/postgres/readmodel.ts';
import type { PositionedEntry } from '../../runtime/ports.ts';
import { rootDir } from '../support/folders.ts';
import { createDatabase } from '../support/servers.ts';
import { MemoryLog } from '../support/site.ts';

const day = 86_400_000;
const log = new MemoryLog();
let pool: Pool;
let keeper: PostgresHistoryKeeper;

beforeEach(async () => {
  pool = new Pool({ url: await createDatabase('months'), log });
  await migrate(pool, log);
  keeper = new PostgresHistoryKeeper(pool);
});
afterEach(() => pool.close());

/** Start of the month so many months from now, in milliseconds. */
function month(offset: number): number {
  const now = new Date();
  return Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + offset, 1);
}

const nameOf = (offset: number): string =>
  `transitions_${new Date(month(offset)).toISOString().slice(0, 7).replace('-', '_')}`;

let sequence = 0;
let position = '0-0';
/** One step of a task at each of the given times. */
async function steps(times: readonly number[]): Promise<void> {
  const store = new PostgresProjectionStore(pool, []);
  for (const at of times) {
    const from = position;
    position = `${++sequence}-0`;
    const record = {
      ...{ actor: 'task/t-0-one' as const, origin: 'api' as const, id: `e${sequence}`, state: 'ready' },
      ...{ revision: sequence, event: { type: 'pause' } },
    };
    const entry = { shard: 0, epoch: 1, sequence, at, records: [record] } as unknown as PositionedEntry['entry'];
    expect(await store.apply(0, from, [{ position, entry }])).toEqual({ applied: 1, quarantined: 0 });
  }
}

beforeEach(() => {
  sequence = 0;
  position = '0-0';
});

async function revisions(): Promise<number[]> {
  const page = await new PostgresReadModel(pool).history('task/t-0-one', 100, undefined);
  return page === 'bad-cursor' ? [] : page.rows.map((row) => row.revision);
}

async function rowsOf(table: string): Promise<number> {
  const [row] = await pool.query<{ count: number }>(`SELECT count(*)::int AS count FROM ${table}`);
  return row!.count;
}

test('months are made ahead, once, whoever looks', async () => {
  const outcomes = await Promise.all([1, 2, 3].map(() => keeper.keep(Date.now(), undefined)));
  expect(outcomes.flatMap(({ made }) => made)).toEqual([nameOf(1), nameOf(2)]);
  expect(await keeper.keep(Date.now(), undefined)).toEqual({ made: [], dropped: [] });
  await steps([month(0), month(1), month(2) + day]);
  expect([await rowsOf(nameOf(1)), await rowsOf(nameOf(2)), await rowsOf('transitions_default')]).toEqual([1, 1, 0]);
});

test('what stands in no month is moved when its month is made', async () => {
  await steps([month(1) + day, month(6)]);
  expect(await rowsOf('transitions_default')).toBe(2);
  await keeper.keep(Date.now(), undefined);
  expect([await rowsOf(nameOf(1)), await rowsOf('transitions_default')]).toEqual([1, 1]);
  expect(await revisions()).toEqual([1, 2]);
});

test('a month goes when all of it is older than history is kept, and not a moment before', async () => {
  await keeper.keep(Date.now(), undefined);
  await keeper.keep(month(3), undefined);
  await steps([month(0), month(1), month(2), month(3)]);
  const keepMs = 30 * day;
  expect((await keeper.keep(month(2) + keepMs - 1, keepMs)).dropped).toEqual([
    expect.stringMatching(/^transitions_until_/),
  ]);
  expect(await revisions()).toEqual([2, 3, 4]);
  expect((await keeper.keep(month(2) + keepMs, keepMs)).dropped).toEqual([nameOf(1)]);
  expect(await revisions()).toEqual([3, 4]);
});

test('a record for a place that is taken in another month is put aside', async () => {
  await keeper.keep(Date.now(), undefined);
  await steps([month(0)]);
  const store = new PostgresProjectionStore(pool, []);
  const record = {
    actor: 'task/t-0-one',
    origin: 'api',
    id: 'x',
    state: 'ready',
    revision: 9,
    event: { type: 'pause' },
  };
  const entry = { shard: 0, epoch: 1, sequence: 1, at: month(1), records: [record] } as never;
  expect(await store.apply(0, position, [{ position: '9-0', entry }])).toEqual({ applied: 0, quarantined: 1 });
  expect(await revisions()).toEqual([1]);
});

test('the migration keeps the history that stands, and its lists', async () => {
  const url = await createDatabase('months');
  const older = new Pool({ url, log });
  const folder = join(rootDir, 'runtime/postgres/migrations');
  const files = readdirSync(folder).sort();
  const split = files.indexOf('006_partitions.sql');
  try {
    for (const file of files.slice(0, split)) await older.query(readFileSync(join(folder, file), 'utf8'));
    for (const [index, at] of [month(-20), month(0)].entries())
      await older.query(
        `INSERT INTO transitions (shard, epoch, sequence, ordinal, actor, revision, outcome, origin, event, state, envelope, at)
         VALUES (0, 1, $1, 0, 'task/t-0-one', $1, 'applied', 'api', 'create', '"ready"', 'e', to_timestamp($2::float8 / 1000.0))`,
        [index + 1, at],
      );
    await older.query(readFileSync(join(folder, files[split]!), 'utf8'));
    const page = await new PostgresReadModel(older).history('task/t-0-one', 10, undefined);
    expect(page === 'bad-cursor' ? [] : page.rows.map((row) => row.revision)).toEqual([1, 2]);
    expect((await new PostgresHistoryKeeper(older).keep(Date.now(), undefined)).made).toEqual([nameOf(1), nameOf(2)]);
  } finally {
    await older.close();
  }
});
