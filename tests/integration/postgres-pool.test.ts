/** Connections that break, freeze or run out: the process goes on, and what may pass is told apart from what will not. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Pool } from '../../runtime/postgres/pool.ts';
import { Unavailable } from '../../runtime/protocol/errors.ts';
import { startPrivatePostgres, type PrivateServer } from '../support/servers.ts';
import { MemoryLog } from '../support/site.ts';

let server: PrivateServer<{ url: string; pid: number }>;
const log = new MemoryLog();
const pools: Pool[] = [];
beforeAll(async () => {
  server = await startPrivatePostgres();
});
afterAll(async () => {
  await Promise.all(pools.map((pool) => pool.close()));
  await server.dispose();
});

function open(settings: Partial<ConstructorParameters<typeof Pool>[0]> = {}): Pool {
  const pool = new Pool({ url: server.url, log, ...settings });
  pools.push(pool);
  return pool;
}

const backend = async (pool: Pool): Promise<number> => {
  const [row] = await pool.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  return row!.pid;
};

async function until(what: string, holds: () => Promise<boolean>, deadlineMs = 10_000): Promise<void> {
  for (const end = performance.now() + deadlineMs; performance.now() < end;) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${what} did not come within ${deadlineMs} ms`);
}

describe('a connection', () => {
  test('that ends while it is idle is logged and replaced', async () => {
    const [pool, other] = [open({ connectionsMax: 1 }), open()];
    const pid = await backend(pool);
    const before = log.lines.length;
    await other.query('SELECT pg_terminate_backend($1)', [pid]);
    await until('the warning', async () => log.lines.length > before);
    expect(await backend(pool)).not.toBe(pid);
  });

  test('to a socket that is not there is unavailable: the server has stopped', async () => {
    const pool = open({ url: 'postgres://u@localhost/d?host=/run/no-such-folder' });
    await expect(pool.query('SELECT 1')).rejects.toBeInstanceOf(Unavailable);
  });

  test('that ends in the middle of a statement is unavailable, and replaced', async () => {
    const [pool, other] = [open({ connectionsMax: 1 }), open()];
    const pid = await backend(pool);
    const waiting = expect(pool.query('SELECT pg_sleep(20)')).rejects.toBeInstanceOf(Unavailable);
    await until('the statement', async () => {
      const rows = await other.query("SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND query LIKE '%sleep%'", [pid]);
      return rows.length > 0;
    });
    await other.query('SELECT pg_terminate_backend($1)', [pid]);
    await waiting;
    expect(await backend(pool)).not.toBe(pid);
  });

  test('that ends between two statements of a transaction rolls all of it back', async () => {
    const [pool, other] = [open({ connectionsMax: 1 }), open()];
    await other.query('CREATE TABLE IF NOT EXISTS pairs (n int)');
    const half = pool.transaction(async (client) => {
      await client.query('INSERT INTO pairs VALUES (1)');
      await other.query('SELECT pg_terminate_backend($1)', [
        (await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]!.pid,
      ]);
      await client.query('INSERT INTO pairs VALUES (2)');
    });
    await expect(half).rejects.toBeInstanceOf(Unavailable);
    expect(await pool.query('SELECT n FROM pairs')).toEqual([]);
  });

  test('is not used again after a statement that took too long', async () => {
    const pool = open({ connectionsMax: 1, queryTimeoutMs: 200 });
    const pid = await backend(pool);
    await expect(pool.query('SELECT pg_sleep(20)')).rejects.toBeInstanceOf(Unavailable);
    expect(await backend(pool)).not.toBe(pid);
  });
});

describe('the data', () => {
  test('are at fault when they are: the error keeps its code', async () => {
    const pool = open();
    await expect(pool.query("SELECT 'x'::jsonb")).rejects.toMatchObject({ code: '22P02' });
    // The server quotes the data: words in it mean nothing.
    await expect(pool.query("SELECT 'timeout'::int")).rejects.toMatchObject({ code: '22P02' });
  });

  test('are not, where tables or columns are missing: an operator has to look', async () => {
    const pool = open();
    for (const text of ['SELECT * FROM nowhere', 'SELECT nothing FROM pg_class'])
      await expect(pool.query(text)).rejects.toThrow(/does not exist; "orchestrator migrate validate"/);
    await expect(pool.query('SELECT * FROM nowhere')).rejects.toBeInstanceOf(Unavailable);
  });
});

describe('the server', () => {
  test('that freezes does not hold a caller longer than the time-out', async () => {
    const pool = open({ connectionsMax: 1, queryTimeoutMs: 300, connectTimeoutMs: 300 });
    await backend(pool);
    const frozen = server.current.pid;
    // The backend is a child of the server: both stop.
    const [row] = await pool.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    process.kill(row!.pid, 'SIGSTOP');
    process.kill(frozen, 'SIGSTOP');
    try {
      const begun = performance.now();
      await expect(pool.query('SELECT 1')).rejects.toBeInstanceOf(Unavailable);
      await expect(pool.query('SELECT 1')).rejects.toBeInstanceOf(Unavailable);
      expect(performance.now() - begun).toBeLessThan(20_000);
    } finally {
      process.kill(frozen, 'SIGCONT');
      process.kill(row!.pid, 'SIGCONT');
    }
    await until('the server', () => pool.query('SELECT 1').then(() => true, ifUnavailable));
  });

  test('that has no connection left is unavailable, until one is free', async () => {
    const pool = open({ connectionsMax: 1, connectTimeoutMs: 200 });
    await pool.withClient(async () => {
      await expect(pool.query('SELECT 1')).rejects.toBeInstanceOf(Unavailable);
    });
    expect(await pool.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  test('that is killed and started again is found again, without anyone doing anything', async () => {
    const pool = open();
    await pool.query('SELECT 1');
    await server.kill('SIGKILL');
    // A backend outlives its postmaster for a moment and may still answer on a link that is open.
    await until('the end of the server', () =>
      pool.query('SELECT 1').then(
        () => false,
        () => true,
      ),
    );
    expect(await pool.query('SELECT 1').then(() => true, ifUnavailable)).toBe(false);
    await server.restart();
    await until('the server', () => pool.query('SELECT 1').then(() => true, ifUnavailable));
  });

  test('that goes after the pool was closed is nothing to warn of', async () => {
    const own = new MemoryLog();
    const pool = new Pool({ url: server.url, log: own });
    await Promise.all([1, 2, 3, 4].map(() => pool.query('SELECT pg_sleep(0.05)')));
    await Promise.all([pool.close(), pool.close()]);
    await server.stop();
    expect(own.lines).toEqual([]);
    await expect(pool.query('SELECT 1')).rejects.toBeInstanceOf(Unavailable);
    await server.restart();
  });
});

function ifUnavailable(error: unknown): boolean {
  if (error instanceof Unavailable) return false;
  throw error;
}
