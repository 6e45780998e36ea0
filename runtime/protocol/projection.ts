/** How the journal becomes rows. A projection is pure: record in, columns out; what it does not name stays as it is. */
import type { JournalRecord } from './journal.ts';

export type Column = 'text' | 'integer' | 'bigint' | 'double precision' | 'jsonb' | 'timestamptz' | 'counter';

export interface Projection {
  definition: string;
  table: string;
  /** Columns beside `id`, `shard`, `updated_at` and `revision`. */
  columns: Readonly<Record<string, Column>>;
  /**
   * The columns that an applied record sets; `null` clears, absent keeps. Times are milliseconds since 1970, JSON columns
   * are values, counters are what is added.
   */
  patch(record: JournalRecord, at: number): Record<string, unknown>;
}
