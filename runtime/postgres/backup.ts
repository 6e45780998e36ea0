/**
 * A backup: every table of the database as it stands in one transaction, so every shard up to one journal position. One file
 * per table, JSON lines, compressed; the manifest comes last and has the sums.
 */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import pg from 'pg';
import * as z from 'zod';
import type { Pool } from './pool.ts';

/** A line is one statement of the restore; a row may have megabytes. */
const rowsPerLine = 25;
const manifestFile = 'manifest.json';

const manifestSchema = z.strictObject({
  format: z.literal('orchestrator-backup-1'),
  version: z.string(),
  at: z.iso.datetime(),
  site: z.strictObject({ incarnation: z.string(), shards: z.int().min(1) }),
  /** Migrations that the database had. */
  migrations: z.array(z.strictObject({ name: z.string(), checksum: z.string() })),
  /** Shard -> the last journal entry that is in the backup. */
  positions: z.record(z.string(), z.string()),
  tables: z.array(
    z.strictObject({
      name: z.string().regex(/^[a-z_]{1,63}$/),
      rows: z.int().min(0),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
});

export type Manifest = z.infer<typeof manifestSchema>;

/** @throws Error when the folder has something in it, or the database holds no site */
export async function writeBackup(
  pool: Pool,
  folder: string,
  about: { version: string; at: string },
): Promise<Manifest> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if ((await readdir(folder)).length > 0) throw new Error(`${folder} is not empty: a backup gets a folder of its own`);
  const manifest = await pool.withClient(async (client) => {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    const [site] = (await client.query<Manifest['site']>('SELECT incarnation, shards FROM site')).rows;
    if (!site) throw new Error('PostgreSQL holds no site: there is nothing to back up; check [postgres] url');
    const { rows: migrations } = await client.query<Manifest['migrations'][number]>(
      'SELECT name, checksum FROM migrations ORDER BY name',
    );
    const { rows: marks } = await client.query<{ shard: number; position: string }>(
      'SELECT shard, position FROM watermarks ORDER BY shard',
    );
    const tables: Manifest['tables'] = [];
    for (const name of await tableNames(client)) tables.push(await writeTable(client, name, folder));
    await client.query('COMMIT');
    const positions = Object.fromEntries(marks.map(({ shard, position }) => [String(shard), position]));
    return { format: 'orchestrator-backup-1' as const, ...about, site, migrations, positions, tables };
  });
  const draft = join(folder, `${manifestFile}.part`);
  await writeFile(draft, `${JSON.stringify(manifest, null, 2)}\n`, { mode: 0o600 });
  await rename(draft, join(folder, manifestFile));
  return manifest;
}

/** Reads a backup and compares every sum. @throws Error that names the file which is missing or was changed */
export async function checkBackup(folder: string): Promise<Manifest> {
  const text = await readFile(join(folder, manifestFile), 'utf8').catch(() => {
    throw new Error(`${folder} has no ${manifestFile}: it is no backup, or one that was cut short`);
  });
  const parsed = manifestSchema.safeParse(JSON.parse(text));
  if (!parsed.success) throw new Error(`${join(folder, manifestFile)}: ${z.prettifyError(parsed.error)}`);
  for (const { name, sha256 } of parsed.data.tables) {
    const path = fileOf(folder, name);
    const hash = createHash('sha256');
    await pipeline(createReadStream(path), hash).catch((error: unknown) => {
      throw new Error(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
    });
    if (hash.digest('hex') !== sha256) throw new Error(`${path} is not what was written: its sum is another one`);
  }
  return parsed.data;
}

/** Fills the tables of a database that has the backup's migrations. What they hold is removed, in the same transaction. */
export async function readBackup(pool: Pool, folder: string, manifest: Manifest): Promise<void> {
  await pool.transaction(async (client) => {
    const present = await tableNames(client);
    const missing = manifest.tables.find(({ name }) => !present.includes(name));
    if (missing) throw new Error(`the backup has the table ${missing.name}, which this version does not have`);
    await client.query(`TRUNCATE ${present.map((name) => pg.escapeIdentifier(name)).join(', ')} CASCADE`);
    for (const { name, rows } of manifest.tables) {
      const table = pg.escapeIdentifier(name);
      let read = 0;
      const lines = createInterface({ input: createReadStream(fileOf(folder, name)).pipe(createGunzip()) });
      for await (const line of lines) {
        const { rowCount } = await client.query(
          `INSERT INTO ${table} SELECT * FROM json_populate_recordset(NULL::${table}, $1::json)`,
          [line],
        );
        read += rowCount ?? 0;
      }
      if (read !== rows) throw new Error(`${fileOf(folder, name)} has ${read} rows, the manifest says ${rows}`);
    }
    await client.query(sequences);
  });
}

/** Numbers that the database gives out go on behind those that were restored. */
const sequences = `DO $$
  DECLARE owned record;
  BEGIN
    FOR owned IN
      SELECT c.oid::regclass AS tbl, a.attname AS col, pg_get_serial_sequence(c.oid::regclass::text, a.attname) AS seq
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
        AND pg_get_serial_sequence(c.oid::regclass::text, a.attname) IS NOT NULL
    LOOP
      EXECUTE format('SELECT setval(%L, GREATEST((SELECT max(%I) FROM %s), 1))', owned.seq, owned.col, owned.tbl);
    END LOOP;
  END $$`;

/** Every table but the one that says how they are made, which stands in the manifest; of a table in parts the whole. */
async function tableNames(client: pg.PoolClient): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class
     WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'migrations'
     ORDER BY 1`,
  );
  return rows.map(({ name }) => name);
}

async function writeTable(client: pg.PoolClient, name: string, folder: string): Promise<Manifest['tables'][number]> {
  let rows = 0;
  const hash = createHash('sha256');
  await client.query(
    `DECLARE backup NO SCROLL CURSOR FOR SELECT row_to_json(t)::text AS line FROM ${pg.escapeIdentifier(name)} AS t`,
  );
  async function* lines(): AsyncGenerator<string> {
    for (;;) {
      const page = (await client.query<{ line: string }>(`FETCH ${rowsPerLine} FROM backup`)).rows;
      if (page.length === 0) return;
      rows += page.length;
      yield `[${page.map(({ line }) => line).join(',')}]\n`;
    }
  }
  const summed = async function* (chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      hash.update(chunk);
      yield chunk;
    }
  };
  await pipeline(lines, createGzip(), summed, createWriteStream(fileOf(folder, name), { mode: 0o600, flush: true }));
  await client.query('CLOSE backup');
  return { name, rows, sha256: hash.digest('hex') };
}

function fileOf(folder: string, table: string): string {
  return join(folder, `${table}.ndjson.gz`);
}
