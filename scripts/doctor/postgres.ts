/** PostgreSQL: reachable, new enough, and with the tables of this release. */
import { readdirSync } from 'node:fs';
import pg from 'pg';
import type { Config } from '../../config/schema.ts';
import { findPostgres } from '../../runtime/embedded/postgres-binary.ts';
import { Transport } from '../transport.ts';
import { failed, messageOf, ok, warning, type Diagnosis } from './diagnosis.ts';

const deadlineMs = 3_000;
const versionMin = 14;
const folder = new URL('../../runtime/postgres/migrations/', import.meta.url);

export async function examinePostgres(config: Config): Promise<Diagnosis[]> {
  const what = 'PostgreSQL';
  const { url } = config.postgres;
  if (url === undefined)
    try {
      await findPostgres();
      return [ok(what, 'embedded: it starts and migrates with the server')];
    } catch (error) {
      return [failed(what, messageOf(error), 'npm ci on this machine, or set [postgres] url')];
    }
  let client: pg.Client | undefined;
  try {
    client = new pg.Client({
      ...{ connectionString: url.replace(/[?&]ssl[^&]*/g, ''), ssl: new Transport(config).postgres ?? false },
      ...{ connectionTimeoutMillis: deadlineMs, query_timeout: deadlineMs },
    });
    // A connection that ends by itself says so here; the query under way says it as well.
    client.on('error', () => undefined);
    await client.connect();
    return [await version(client), await migrations(client)];
  } catch (error) {
    const detail = messageOf(error) || 'it does not answer';
    return [failed(what, detail, 'start PostgreSQL, make user and database, or mend [postgres] url')];
  } finally {
    await client?.end().catch((error: unknown) => {
      process.stderr.write(`closing the connection to PostgreSQL: ${messageOf(error)}\n`);
    });
  }
}

async function version(client: pg.Client): Promise<Diagnosis> {
  const { rows } = await client.query<{ server_version: string }>('SHOW server_version');
  const text = rows[0]?.server_version ?? '0';
  return Number.parseInt(text, 10) >= versionMin
    ? ok('PostgreSQL', text)
    : failed('PostgreSQL', `${text} is too old`, `install PostgreSQL ${versionMin} or newer`);
}

async function migrations(client: pg.Client): Promise<Diagnosis> {
  const what = 'PostgreSQL tables';
  const files = readdirSync(folder).filter((name) => name.endsWith('.sql'));
  const { rows: known } = await client.query<{ there: boolean }>(
    "SELECT to_regclass('migrations') IS NOT NULL AS there",
  );
  if (known[0]?.there !== true) return warning(what, 'none yet', 'the first start makes them');
  const { rows } = await client.query<{ name: string }>('SELECT name FROM migrations');
  const done = rows.map(({ name }) => name);
  const newer = done.find((name) => !files.includes(name));
  if (newer !== undefined)
    return failed(
      what,
      `the database has ${newer}, which this release does not know`,
      'install the newer release again',
    );
  const missing = files.filter((name) => !done.includes(name));
  return missing.length === 0
    ? ok(what, `${files.length} of ${files.length} migrations`)
    : warning(what, `${missing.join(', ')} not applied`, 'the next start applies them');
}
