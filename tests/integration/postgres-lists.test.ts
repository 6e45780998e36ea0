/** Lists over many rows: a page is read from an index, wherever it stands and whatever it is filtered by. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { migrate } from '../../runtime/postgres/migrate.ts';
import { Pool } from '../../runtime/postgres/pool.ts';
import { PostgresReadModel } from '../../runtime/postgres/readmodel.ts';
import type { Page, TaskFilter } from '../../runtime/readmodel.ts';
import { createDatabase } from '../support/servers.ts';
import { MemoryLog } from '../support/site.ts';

const rowsInAll = 30_000;
const begunMs = 1_700_000_000_000;

interface Plan {
  'Node Type': string;
  'Actual Rows': number;
  'Rows Removed by Filter'?: number;
  Plans?: Plan[];
}

/** Remembers how each query was carried out. */
class ExplainingPool extends Pool {
  readonly nodes: Plan[] = [];

  override async query<Row extends object>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    const explained = `EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ${text}`;
    const [row] = await super.query<{ 'QUERY PLAN': { Plan: Plan }[] }>(explained, values);
    this.#keep(row!['QUERY PLAN'][0]!.Plan);
    return super.query<Row>(text, values);
  }

  #keep(plan: Plan): void {
    this.nodes.push(plan);
    for (const child of plan.Plans ?? []) this.#keep(child);
  }
}

let pool: ExplainingPool;
let model: PostgresReadModel;
beforeAll(async () => {
  const log = new MemoryLog();
  const url = await createDatabase('lists');
  const plain = new Pool({ url, log });
  await migrate(plain, log);
  await plain.query(
    `INSERT INTO tasks (id, shard, type, tenant, status, priority, parameters, agent, created_at, updated_at, revision)
     SELECT 't-0-' || lpad(n::text, 8, '0'), 0, 'type' || n % 7, CASE WHEN n % 3 > 0 THEN 'tenant' || n % 5 END,
       (ARRAY['succeeded', 'succeeded', 'queued', 'parked'])[1 + n % 4], 0, '{}', 'a-0-' || n % 40,
       to_timestamp($1::float8 / 1000 + n / 4), now(), 1
     FROM generate_series(0, $2::int - 1) AS n`,
    [begunMs, rowsInAll],
  );
  await plain.query(
    `INSERT INTO transitions (shard, epoch, sequence, ordinal, actor, revision, outcome, origin, event, state, envelope, at)
     SELECT 0, 1, n, 0, 'task/t-0-' || n % 1000, 1 + n / 1000, 'applied', 'command', 'progress', 'running', 'e' || n, now()
     FROM generate_series(0, $1::int - 1) AS n`,
    [rowsInAll],
  );
  await plain.query('VACUUM ANALYZE');
  await plain.close();
  pool = new ExplainingPool({ url, log });
  model = new PostgresReadModel(pool);
});
afterAll(() => pool.close());

/** Rows that the last queries looked at, and the kinds of steps that they took. */
function looked(): { rows: number; steps: Set<string> } {
  const seen = (node: Plan): number => node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0);
  // A part of the history that is empty is read in whatever way.
  const nodes = pool.nodes.splice(0).filter((node) => seen(node) > 0);
  return { rows: Math.max(...nodes.map(seen)), steps: new Set(nodes.map((node) => node['Node Type'])) };
}

function next(page: Page<unknown>): string {
  if (page === 'bad-cursor' || page.next === undefined) throw new Error('there is no next page');
  return page.next;
}

const filters: [name: string, filter: TaskFilter][] = [
  ['nothing', {}],
  ['a status', { status: 'parked' }],
  ['a type', { type: 'type3' }],
  ['a tenant', { tenant: 'tenant2' }],
  ['an agent', { agent: 'a-0-7' }],
  ['a time', { createdBefore: begunMs + 2_000_000 }],
];

test.each(filters)(
  'tasks filtered by %s are read from an index, the first page and a late one',
  async (_name, filter) => {
    const limit = 20;
    let cursor: string | undefined;
    for (let pages = 0; pages < 12; pages++) cursor = next(await model.tasks(filter, limit, cursor));
    looked();
    for (const from of [undefined, cursor]) {
      const page = await model.tasks(filter, limit, from);
      expect(page === 'bad-cursor' ? page : page.rows.length).toBe(limit);
      const { rows, steps } = looked();
      expect([...steps].filter((step) => /Seq Scan|Sort/.test(step))).toEqual([]);
      expect(rows).toBeLessThanOrEqual(limit + 1);
    }
  },
);

test('the history of one actor is read from the indexes of its months, and of no other actor', async () => {
  const ofOneActor = rowsInAll / 1000;
  let cursor: string | undefined;
  for (let pages = 0; pages < 3; pages++) {
    cursor = next(await model.history('task/t-0-7', 5, cursor));
    const { rows, steps } = looked();
    expect([...steps].filter((step) => /Seq Scan/.test(step))).toEqual([]);
    expect(rows).toBeLessThanOrEqual(ofOneActor);
  }
});

test('a task is found by its id alone', async () => {
  expect(await model.task('t-0-00000042')).toMatchObject({ type: 'type0', createdAt: begunMs + 10_000 });
  expect(looked()).toMatchObject({ rows: 1 });
});
