import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { migrate, migrationStatus } from '../../runtime/postgres/migrate.ts';
import { Pool } from '../../runtime/postgres/pool.ts';
import { createDatabase } from '../support/servers.ts';
import { MemoryLog } from '../support/site.ts';

const log = new MemoryLog();
const tables = [
  'actors',
  'agents',
  'audit',
  'checkpoints',
  'conflicts',
  'journal',
  'migrations',
  'quarantine',
  'schedules',
  'site',
  'tasks',
  'transitions',
  'transitions_default',
  'transitions_until',
  'watermarks',
];

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
    // The first part of the history is named after the present month.
    return rows.map(({ name }) => name.replace(/_until_\d{4}_\d{2}$/, '_until')).sort();
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

  test('one that takes longer than any other statement may is not cut', async () => {
    const hasty = new Pool({ url, log, queryTimeoutMs: 300 });
    try {
      await pool.withClient(async (client) => {
        await client.query('BEGIN; SELECT pg_advisory_xact_lock(728413905)');
        const migrating = migrate(hasty, log);
        migrating.catch(() => undefined);
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        await client.query('COMMIT');
        expect((await migrating).applied.length).toBeGreaterThan(0);
      });
    } finally {
      await hasty.close();
    }
  });

  test('the status says of each what became of it, and changes nothing', async () => {
    const before = await migrationStatus(pool);
    expect(before.length).toBeGreaterThan(1);
    expect(new Set(before.map(({ state }) => state))).toEqual(new Set(['pending']));
    expect(await present()).toEqual([]);
    const [first, second] = (await migrate(pool, log)).applied;
    expect(new Set((await migrationStatus(pool)).map(({ state }) => state))).toEqual(new Set(['applied']));
    await pool.query("UPDATE migrations SET checksum = 'x' WHERE name = $1", [first]);
    await pool.query("UPDATE migrations SET name = '999_future.sql' WHERE name = $1", [second]);
    const states = new Map((await migrationStatus(pool)).map(({ name, state }) => [name, state]));
    expect([states.get(first!), states.get(second!), states.get('999_future.sql')]).toEqual([
      'edited',
      'pending',
      'unknown',
    ]);
  });

  test('a failure leaves the database as it was', async () => {
    await pool.query('CREATE TABLE quarantine (mine text)');
    await expect(migrate(pool, log)).rejects.toThrow(/quarantine/);
    expect(await present()).toEqual(['quarantine']);
    await pool.query('DROP TABLE quarantine');
    expect((await migrate(pool, log)).applied.length).toBeGreaterThan(0);
  });
});
