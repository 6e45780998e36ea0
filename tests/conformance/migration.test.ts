import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { migrate } from '../../runtime/postgres/migrate.ts';
import { Pool } from '../../runtime/postgres/pool.ts';
import { createDatabase } from '../support/servers.ts';
import { MemoryLog } from '../support/site.ts';

const log = new MemoryLog();
const tables = ['actors', 'agents', 'audit', 'migrations', 'quarantine', 'tasks', 'transitions', 'watermarks'];

describe('migrations', () => {
  let url = '';
  let pool: Pool;
  beforeEach(async () => {
    url = await createDatabase('migration');
    pool = new Pool({ url, log });
  });
  afterEach(() => pool.close());

  const present = async () => {
    const rows = await pool.query<{ name: string }>(
      "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'",
    );
    return rows.map(({ name }) => name).sort();
  };

  test('bring an empty database to this version, once', async () => {
    const first = await migrate(pool, log);
    expect(first.applied.length).toBeGreaterThan(0);
    expect(await present()).toEqual(tables);
    expect(await migrate(pool, log)).toEqual({ applied: [] });
    expect(await present()).toEqual(tables);
  });

  test('of several processes that start at once, one migrates and the others wait for it', async () => {
    const pools = [1, 2, 3, 4].map(() => new Pool({ url, log, connectionsMax: 1 }));
    try {
      const outcomes = await Promise.all(pools.map((each) => migrate(each, log)));
      expect(outcomes.filter(({ applied }) => applied.length > 0)).toHaveLength(1);
      expect(await present()).toEqual(tables);
    } finally {
      await Promise.all(pools.map((each) => each.close()));
    }
  });

  test('one that was changed after it was applied is refused, and named', async () => {
    const { applied } = await migrate(pool, log);
    await pool.query('UPDATE migrations SET checksum = $1 WHERE name = $2', ['0'.repeat(64), applied[0]]);
    await expect(migrate(pool, log)).rejects.toThrow(`${applied[0]} was changed after it was applied`);
  });

  test('a database of a newer version is refused, and nothing is written', async () => {
    await pool.query('CREATE TABLE migrations (name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz)');
    await pool.query('INSERT INTO migrations (name, checksum) VALUES ($1, $2)', ['999_future.sql', 'x']);
    await expect(migrate(pool, log)).rejects.toThrow(/999_future\.sql.*newer version/);
    expect(await present()).toEqual(['migrations']);
  });

  test('a failure leaves the database as it was', async () => {
    await pool.query('CREATE TABLE quarantine (mine text)');
    await expect(migrate(pool, log)).rejects.toThrow(/quarantine/);
    expect(await present()).toEqual(['quarantine']);
    await pool.query('DROP TABLE quarantine');
    expect((await migrate(pool, log)).applied.length).toBeGreaterThan(0);
  });
});
