/** Connections to PostgreSQL: every wait has an end, and a broken connection never ends the process. */
import type { ConnectionOptions } from 'node:tls';
import pg from 'pg';
import { limits } from '../../config/limits.ts';
import type { Log } from '../ports.ts';
import { Unavailable } from '../protocol/errors.ts';

export interface PostgresSettings {
  url: string;
  /** Undefined: no TLS. Its members are read at each connection, so that a certificate can be renewed in place. */
  tls?: ConnectionOptions | undefined;
  log: Log;
  connectionsMax?: number;
  /** Longest statement, and longest pause inside a transaction. */
  queryTimeoutMs?: number;
  /** For a connection to be made, or for one of the pool to be free. */
  connectTimeoutMs?: number;
}

/**
 * What the same call may survive later, as SQLSTATE: connection, resources, operator, lock, serialization, a pause that was
 * too long, a server that only reads for now, its disk.
 */
const transient = /^(08|53|57|40|58|55P03|25P03|25006)/;
/** Not what this program works on: a user without rights, another database, tables or columns that are not there. */
const foreign = /^(28|3D|3F|42501|42P01|42703)/;
const unreachable =
  /^(ENOENT|ECONN(REFUSED|RESET|ABORTED)|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENETDOWN|ENOTFOUND|EAI_AGAIN|EPIPE)$/;
/** A certificate that does not hold today may be renewed tomorrow. */
const untrusted = /^(CERT_|ERR_(TLS|SSL)_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH)/;
/** The driver's own words for a connection that is gone; it gives them no code. */
const broken = /^Connection terminated|timeout|^Client (has encountered|was closed)|^Cannot use a pool/;

export class Pool {
  readonly #pool: pg.Pool;
  #closed: Promise<void> | undefined;

  constructor({
    url,
    tls,
    log,
    connectionsMax = 8,
    queryTimeoutMs = limits.queryTimeoutMs,
    connectTimeoutMs = limits.callDeadlineMs,
  }: PostgresSettings) {
    this.#pool = new pg.Pool({
      connectionString: withoutTlsParameters(url),
      // Said either way: the driver would otherwise look for PGSSLMODE.
      ssl: tls ?? false,
      max: connectionsMax,
      connectionTimeoutMillis: connectTimeoutMs,
      query_timeout: queryTimeoutMs,
      statement_timeout: queryTimeoutMs,
      idle_in_transaction_session_timeout: queryTimeoutMs,
      application_name: 'orchestrator',
    });
    let last = '';
    const report = (error: Error): void => {
      // What ends with the pool, or right after it, is no news.
      if (error.message !== last && this.#closed === undefined)
        log.warn({ error: error.message }, 'postgres connection failed');
      last = error.message;
    };
    this.#pool.on('error', report);
    this.#pool.on('connect', (client) => {
      last = '';
      client.on('error', report);
    });
  }

  /** @throws Unavailable for what may pass; a data error is thrown as pg's DatabaseError */
  async query<Row extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    return this.withClient(async (client) => (await client.query<Row>(text, [...values])).rows);
  }

  async withClient<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect().catch((error: unknown) => {
      throw asUnavailable(error);
    });
    try {
      const result = await work(client);
      client.release();
      return result;
    } catch (error) {
      // After a time-out the connection may still be busy with the old statement: it is closed, not used again.
      client.release(true);
      throw asUnavailable(error);
    }
  }

  /** BEGIN … COMMIT around the work. After a failure the connection is closed, and with it the server rolls back. */
  async transaction<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    return this.withClient(async (client) => {
      await client.query('BEGIN');
      const result = await work(client);
      await client.query('COMMIT');
      return result;
    });
  }

  /** Resolves when no connection is in use any more. Idempotent. */
  close(): Promise<void> {
    return (this.#closed ??= this.#pool.end());
  }
}

/** What the address says of TLS was decided before, and would win over the setting. */
function withoutTlsParameters(url: string): string {
  const [address = '', query] = url.split(/\?(.*)/s);
  const kept = (query ?? '').split('&').filter((part) => part !== '' && !/^(ssl|uselibpqcompat)/i.test(part));
  return kept.length > 0 ? `${address}?${kept.join('&')}` : address;
}

function asUnavailable(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof Unavailable) return error;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (error instanceof pg.DatabaseError && foreign.test(code))
    return new Unavailable(
      'postgres',
      `${error.message}; "orchestrator migrate validate" says what is not as it should be`,
      {
        cause: error,
      },
    );
  // The message of the server may quote anyone's data, so there only the code decides.
  const passes =
    error instanceof pg.DatabaseError
      ? transient.test(code)
      : unreachable.test(code) || untrusted.test(code) || (code === '' && broken.test(error.message));
  return passes ? new Unavailable('postgres', error.message, { cause: error }) : error;
}
