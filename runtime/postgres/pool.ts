/** Connections to PostgreSQL: every wait has an end, and a broken connection never ends the process. */
import pg from 'pg';
import { limits } from '../../config/limits.ts';
import type { Log } from '../ports.ts';
import { Unavailable } from '../protocol/errors.ts';

export interface PostgresSettings {
  url: string;
  log: Log;
  connectionsMax?: number;
}

/** SQLSTATE classes after which the same call may succeed: connection, resources, operator, lock, serialization. */
const transient = /^(08|53|57|55P03|40)/;
const unreachable = new Set(['ECONNREFUSED', 'ECONNRESET', 'ETIMEDOUT', 'ENOTFOUND', 'EPIPE']);

export class Pool {
  readonly #pool: pg.Pool;

  constructor({ url, log, connectionsMax = 8 }: PostgresSettings) {
    this.#pool = new pg.Pool({
      connectionString: url,
      max: connectionsMax,
      connectionTimeoutMillis: limits.callDeadlineMs,
      query_timeout: limits.queryTimeoutMs,
      statement_timeout: limits.queryTimeoutMs,
      idle_in_transaction_session_timeout: limits.queryTimeoutMs,
      application_name: 'orchestrator',
    });
    let last = '';
    const report = (error: Error): void => {
      if (error.message !== last) log.warn({ error: error.message }, 'postgres connection failed');
      last = error.message;
    };
    this.#pool.on('error', report);
    this.#pool.on('connect', (client) => client.on('error', report));
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

  /** BEGIN … COMMIT around the work; a failure rolls back. */
  async transaction<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    return this.withClient(async (client) => {
      await client.query('BEGIN');
      try {
        const result = await work(client);
        await client.query('COMMIT');
        return result;
      } catch (error) {
        await client.query('ROLLBACK').catch(() => undefined);
        throw error;
      }
    });
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }
}

function asUnavailable(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const broken = /Connection terminated|timeout|Client has encountered a connection error|Cannot use a pool/.test(
    error.message,
  );
  return transient.test(code) || unreachable.has(code) || broken
    ? new Unavailable('postgres', error.message, { cause: error })
    : error;
}
