/** History by months: makes those that come, drops those that are old. Several processes may do so at once: one does. */
import type pg from 'pg';
import { limits } from '../../config/limits.ts';
import type { HistoryKeeper } from '../ports.ts';
import type { Pool } from './pool.ts';

/** Any number that other programs in this database do not use. */
const advisoryLock = 728_413_906;

export class PostgresHistoryKeeper implements HistoryKeeper {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  async keep(nowMs: number, keepMs: number | undefined): Promise<{ made: string[]; dropped: string[] }> {
    return this.#pool.transaction(async (client) => {
      const { rows } = await client.query<{ taken: boolean }>('SELECT pg_try_advisory_xact_lock($1) AS taken', [
        advisoryLock,
      ]);
      if (!rows[0]?.taken) return { made: [], dropped: [] };
      // Readers go on: a change that does not get its lock at once is made at the next look.
      await client.query("SET LOCAL lock_timeout = '2s'");
      const present = await partitions(client);
      const made = await makeAhead(client, present, nowMs);
      const dropped = keepMs === undefined ? [] : await dropOld(client, present, nowMs - keepMs);
      return { made, dropped };
    });
  }
}

async function partitions(client: pg.PoolClient): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'transitions'::regclass ORDER BY 1`,
  );
  return rows.map(({ name }) => name);
}

async function makeAhead(client: pg.PoolClient, present: readonly string[], nowMs: number): Promise<string[]> {
  const first = Math.max(0, ...present.map((name) => untilOf(name) ?? 0));
  const made: string[] = [];
  for (let ahead = 0; ahead <= limits.historyMonthsAheadMax; ahead++) {
    const from = monthStart(nowMs, ahead);
    const until = monthStart(nowMs, ahead + 1);
    const name = `transitions_${nameOf(from)}`;
    if (from < first || present.includes(name)) continue;
    await client.query(`CREATE TABLE ${name} (LIKE transitions INCLUDING DEFAULTS)`);
    const range = [new Date(from).toISOString(), new Date(until).toISOString()];
    // What came before the month was made stands in the default partition, and must not when this one is attached.
    await client.query(
      `WITH moved AS (DELETE FROM transitions_default WHERE at >= $1::timestamptz AND at < $2::timestamptz RETURNING *)
       INSERT INTO ${name} SELECT * FROM moved`,
      range,
    );
    await client.query(
      `ALTER TABLE transitions ATTACH PARTITION ${name} FOR VALUES FROM ('${range[0]}') TO ('${range[1]}')`,
    );
    made.push(name);
  }
  return made;
}

/** Whole months only; what is old in the default partition goes row by row. */
async function dropOld(client: pg.PoolClient, present: readonly string[], cutMs: number): Promise<string[]> {
  const dropped = present.filter((name) => (monthEnd(name) ?? Infinity) <= cutMs);
  for (const name of dropped) await client.query(`DROP TABLE ${name}`);
  await client.query('DELETE FROM transitions_default WHERE at < to_timestamp($1::float8 / 1000.0)', [cutMs]);
  return dropped;
}

function monthStart(nowMs: number, ahead: number): number {
  const now = new Date(nowMs);
  return Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + ahead, 1);
}

function nameOf(monthMs: number): string {
  return new Date(monthMs).toISOString().slice(0, 7).replace('-', '_');
}

/** End of the partition that held everything when history was first split; undefined for the others. */
function untilOf(name: string): number | undefined {
  const parts = /^transitions_until_(\d{4})_(\d{2})$/.exec(name);
  return parts ? Date.UTC(Number(parts[1]), Number(parts[2]) - 1, 1) : undefined;
}

function monthEnd(name: string): number | undefined {
  const parts = /^transitions_(\d{4})_(\d{2})$/.exec(name);
  return parts ? Date.UTC(Number(parts[1]), Number(parts[2]), 1) : untilOf(name);
}
