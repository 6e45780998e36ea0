/** How long what is over is kept, in Redis and in PostgreSQL; what is not over stays, however old. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Pruner } from '../../runtime/host/pruner.ts';
import { createSystem } from '../../runtime/host/system.ts';
import { migrate } from '../../runtime/postgres/migrate.ts';
import { Pool } from '../../runtime/postgres/pool.ts';
import { PostgresRowPruner } from '../../runtime/postgres/pruner.ts';
import { limits } from '../../config/limits.ts';
import { startApi, type ApiSite } from '../support/apisite.ts';
import { createDatabase } from '../support/servers.ts';
import { MemoryLog } from '../support/site.ts';

describe('lists', () => {
  const now = Date.parse('2026-06-01T00:00:00Z');
  const dayMs = 86_400_000;
  const log = new MemoryLog();
  let pool: Pool;
  beforeAll(async () => {
    pool = new Pool({ url: await createDatabase('retention'), log });
    await migrate(pool, log);
  });
  afterAll(() => pool.close());

  const task = (id: string, status: string, createdAt: number, finishedAt?: number) =>
    pool.query(
      `INSERT INTO tasks (id, shard, type, status, priority, parameters, attempt, created_at, finished_at, updated_at, revision)
       VALUES ($1, 0, 'x', $2, 0, '{}', 0, to_timestamp($3::float8 / 1000), to_timestamp($4::float8 / 1000), now(), 1)`,
      [id, status, createdAt, finishedAt ?? null],
    );
  const audit = (id: string, at: number) =>
    pool.query(
      `INSERT INTO audit (id, at, subject, address, action, target) VALUES ($1, to_timestamp($2::float8 / 1000), 's', 'a', 'x', 'y')`,
      [id, at],
    );
  const ids = async (table: 'tasks' | 'audit') =>
    (await pool.query<{ id: string }>(`SELECT id FROM ${table} ORDER BY id`)).map(({ id }) => id);
  const pruner = (keep: { tasks: number | undefined; audit: number | undefined }) =>
    new Pruner({
      rows: new PostgresRowPruner(pool),
      system: { ...createSystem(), now: () => now },
      log,
      keepMs: () => keep,
    });

  test('go when they have been over for longer than that, and not a moment before', async () => {
    await task('old', 'succeeded', 0, now - 10 * dayMs - 1);
    await task('young', 'cancelled', 0, now - 10 * dayMs);
    for (const status of ['parked', 'running', 'queued', 'scheduled']) await task(status, status, 0);
    await audit('a-old', now - 5 * dayMs - 1);
    await audit('a-young', now - 5 * dayMs);
    expect(await pruner({ tasks: undefined, audit: undefined }).prune()).toEqual({});
    expect(await pruner({ tasks: 10 * dayMs, audit: 5 * dayMs }).prune()).toEqual({ tasks: 1, audit: 1 });
    expect(await ids('tasks')).toEqual(['parked', 'queued', 'running', 'scheduled', 'young']);
    expect(await ids('audit')).toEqual(['a-young']);
  });

  test('go in pieces, all of them, and two at once take none twice', async () => {
    const count = 2 * limits.pruneEntriesMax + 7;
    await pool.query(
      `INSERT INTO audit (id, at, subject, address, action, target)
       SELECT 'many-' || n, to_timestamp(0), 's', 'a', 'x', 'y' FROM generate_series(1, ${count}) AS n`,
      [],
    );
    const both = await Promise.all([1, 2].map(() => pruner({ tasks: undefined, audit: 5 * dayMs }).prune()));
    expect(both.reduce((sum, { audit: gone = 0 }) => sum + gone, 0)).toBe(count);
    expect(await ids('audit')).toEqual(['a-young']);
  });
});

describe('Redis', () => {
  let api: ApiSite;
  beforeAll(async () => {
    api = await startApi();
  });
  afterAll(() => api.stop());

  test('a task that is over leaves when it said, and is read from PostgreSQL then', async () => {
    const submit = async (body: object) => String((await api.call('/api/v1/tasks', { body })).body['id']);
    const [short, long] = [await submit({ type: 'x', keep_ms: limits.taskKeepLeastMs }), await submit({ type: 'x' })];
    const open = await submit({ type: 'x', keep_ms: limits.taskKeepLeastMs });
    for (const id of [short, long]) await api.call(`/api/v1/tasks/${id}`, { method: 'DELETE' });
    for (let tries = 0; (await api.context.gateway.snapshot(`task/${short}`)) !== undefined; tries++) {
      expect(tries).toBeLessThan(2_000);
      await api.context.system.sleep(10);
    }
    expect((await api.call(`/api/v1/tasks/${short}`)).body).toMatchObject({ status: 'cancelled' });
    for (const id of [long, open]) expect(await api.context.gateway.snapshot(`task/${id}`)).toBeDefined();
  });

  test('the deployment says how long, where the task does not', async () => {
    api.context.site.taskKeepMs = 2_000;
    const { body } = await api.call('/api/v1/tasks', { body: { type: 'y' } });
    api.context.site.taskKeepMs = 3_600_000;
    await api.call(`/api/v1/tasks/${String(body['id'])}`, { method: 'DELETE' });
    const { context, timers, since } = JSON.parse(
      (await api.context.gateway.snapshot(`task/${String(body['id'])}`)) ?? '{}',
    ) as { context: { keepMs: number }; timers: Record<string, number>; since: number };
    expect(context.keepMs).toBe(2_000);
    expect(Object.values(timers)).toEqual([since + 2_000]);
  });

  test('a time beyond what is allowed is refused, on both sides', async () => {
    const { taskKeepLeastMs: least, taskKeepMostMs: most } = limits;
    for (const [keep_ms, status] of [
      [least - 1, 400],
      [least, 202],
      [most, 202],
      [most + 1, 400],
    ])
      expect((await api.call('/api/v1/tasks', { body: { type: 'x', keep_ms } })).status).toBe(status);
  });
});
