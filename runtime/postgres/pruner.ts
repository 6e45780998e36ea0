/** Old rows of tasks that are over, and of the audit log. Several processes may do it at once: no row goes twice. */
import type { RowPruner } from '../ports.ts';
import type { Pool } from './pool.ts';

const statements = {
  // Only an end has a time: a parked task has none, and stays until an operator ends it.
  tasks: `DELETE FROM tasks WHERE id IN (
    SELECT id FROM tasks WHERE finished_at < to_timestamp($1::float8 / 1000.0) LIMIT $2 FOR UPDATE SKIP LOCKED)`,
  audit: `DELETE FROM audit WHERE id IN (
    SELECT id FROM audit WHERE at < to_timestamp($1::float8 / 1000.0) LIMIT $2 FOR UPDATE SKIP LOCKED)`,
} as const;

export class PostgresRowPruner implements RowPruner {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  async prune(kind: 'tasks' | 'audit', beforeMs: number, count: number): Promise<number> {
    return this.#pool.transaction(async (client) => {
      const { rowCount } = await client.query(statements[kind], [Math.max(0, beforeMs), count]);
      return rowCount ?? 0;
    });
  }
}
