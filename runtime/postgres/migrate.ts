/** Brings the database to the version of this program. Safe when several processes start at once. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import type { Log } from '../ports.ts';
import type { Pool } from './pool.ts';

const versionMin = 14;
const folder = new URL('./migrations/', import.meta.url);
/** Any number that other programs in this database do not use. */
const advisoryLock = 728_413_905;

/** @throws Error when the server is too old, an applied migration was changed, or the database is newer than the program */
export async function migrate(pool: Pool, log: Log): Promise<{ applied: string[] }> {
  const files = readdirSync(folder)
    .filter((name) => name.endsWith('.sql'))
    .sort();
  return pool.transaction(async (client) => {
    const { rows } = await client.query<{ server_version_num: string }>('SHOW server_version_num');
    const version = Math.floor(Number(rows[0]?.server_version_num) / 10_000);
    if (version < versionMin) throw new Error(`PostgreSQL ${version} is too old: ${versionMin} or newer is needed`);
    await client.query('SELECT pg_advisory_xact_lock($1)', [advisoryLock]);
    await client.query(
      'CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())',
    );
    const done = new Map(
      (await client.query<{ name: string; checksum: string }>('SELECT name, checksum FROM migrations')).rows.map(
        (row) => [row.name, row.checksum],
      ),
    );
    const unknown = [...done.keys()].filter((name) => !files.includes(name));
    if (unknown.length > 0)
      throw new Error(
        `the database has the migration ${unknown[0]}, which this program does not know: it belongs to a newer version`,
      );
    const applied: string[] = [];
    for (const name of files) {
      const sql = readFileSync(new URL(name, folder), 'utf8');
      const checksum = createHash('sha256').update(sql).digest('hex');
      const before = done.get(name);
      if (before !== undefined && before !== checksum)
        throw new Error(`the migration ${name} was changed after it was applied`);
      if (before !== undefined) continue;
      await client.query(sql);
      await client.query('INSERT INTO migrations (name, checksum) VALUES ($1, $2)', [name, checksum]);
      applied.push(name);
    }
    if (applied.length > 0) log.info({ applied }, 'database migrated');
    return { applied };
  });
}
