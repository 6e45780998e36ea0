/** Brings the database to the version of this program. Safe when several processes start at once. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import type pg from 'pg';
import type { Log } from '../ports.ts';
import type { Pool } from './pool.ts';

const versionMin = 14;
const folder = new URL('./migrations/', import.meta.url);
/** Any number that other programs in this database do not use. */
const advisoryLock = 728_413_905;

/** `edited`: its text is another one than the one that was applied; `unknown`: a newer version applied it. */
export interface MigrationState {
  name: string;
  state: 'applied' | 'pending' | 'edited' | 'unknown';
}

interface Migration {
  name: string;
  sql: string;
  checksum: string;
}

/** Those of this program and those of the database, in order. Changes nothing. */
export async function migrationStatus(pool: Pool): Promise<MigrationState[]> {
  return pool.withClient(async (client) => compare(await applied(client)));
}

/** @throws Error when the server is too old, an applied migration was changed, or the database is newer than the program */
export async function migrate(pool: Pool, log: Log): Promise<{ applied: string[] }> {
  return pool.transaction(async (client) => {
    const { rows } = await client.query<{ server_version_num: string }>('SHOW server_version_num');
    const version = Math.floor(Number(rows[0]?.server_version_num) / 10_000);
    if (version < versionMin) throw new Error(`PostgreSQL ${version} is too old: ${versionMin} or newer is needed`);
    // A large table takes as long as it takes; the bound of ordinary statements would cut it at every start.
    await client.query('SET LOCAL statement_timeout = 0');
    await client.query(unbounded('SELECT pg_advisory_xact_lock($1)', [advisoryLock]));
    await client.query(
      'CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())',
    );
    const list = compare(await applied(client));
    const foreign = list.find(({ state }) => state === 'unknown');
    if (foreign)
      throw new Error(
        `the database has the migration ${foreign.name}, which this program does not know: it belongs to a newer version`,
      );
    const edited = list.find(({ state }) => state === 'edited');
    if (edited) throw new Error(`the migration ${edited.name} was changed after it was applied`);
    const pending = new Set(list.filter(({ state }) => state === 'pending').map(({ name }) => name));
    const done: string[] = [];
    for (const { name, sql, checksum } of migrations()) {
      if (!pending.has(name)) continue;
      await client.query(unbounded(sql));
      await client.query('INSERT INTO migrations (name, checksum) VALUES ($1, $2)', [name, checksum]);
      done.push(name);
    }
    if (done.length > 0) log.info({ applied: done }, 'database migrated');
    return { applied: done };
  });
}

function migrations(): Migration[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.sql'))
    .sort()
    .map((name) => {
      const sql = readFileSync(new URL(name, folder), 'utf8');
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    });
}

/** Name -> checksum of what the database has. */
async function applied(client: pg.PoolClient): Promise<Map<string, string>> {
  const { rows: tables } = await client.query<{ there: boolean }>(
    "SELECT to_regclass('migrations') IS NOT NULL AS there",
  );
  if (!tables[0]?.there) return new Map();
  const { rows } = await client.query<{ name: string; checksum: string }>('SELECT name, checksum FROM migrations');
  return new Map(rows.map(({ name, checksum }) => [name, checksum]));
}

function compare(present: ReadonlyMap<string, string>): MigrationState[] {
  const own = migrations();
  const list: MigrationState[] = own.map(({ name, checksum }) => {
    const before = present.get(name);
    return { name, state: before === undefined ? 'pending' : before === checksum ? 'applied' : 'edited' };
  });
  const names = new Set(own.map(({ name }) => name));
  for (const name of present.keys()) if (!names.has(name)) list.push({ name, state: 'unknown' });
  return list.sort((left, right) => (left.name < right.name ? -1 : 1));
}

/** The longest that a timer takes: nothing shorter may end the driver's wait for the answer (it reads 0 as the default). */
const timerMsMax = 2 ** 31 - 1;

function unbounded(text: string, values: unknown[] = []): pg.QueryConfig {
  return { text, values, query_timeout: timerMsMax } as pg.QueryConfig;
}
