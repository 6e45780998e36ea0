/** How the journal becomes rows. A projection is pure: record in, columns out; what it does not name stays as it is. */
import type { JournalRecord } from './journal.ts';
import type { ActorView } from './snapshot.ts';

export type Column = 'text' | 'integer' | 'bigint' | 'double precision' | 'jsonb' | 'timestamptz' | 'counter';

/** A value for a row that had the status before the record; for other rows the column stays as it is. */
export class WhenStatus {
  readonly status: string;
  readonly value: unknown;
  constructor(status: string, value: unknown) {
    this.status = status;
    this.value = value;
  }
}

export interface Projection {
  definition: string;
  table: string;
  /** Columns beside `id`, `shard`, `updated_at` and `revision`. */
  columns: Readonly<Record<string, Column>>;
  /**
   * The columns that an applied record sets; `null` clears, absent keeps. Times are milliseconds since 1970, JSON columns
   * are values, counters are what is added. A record says the state after it only: what depends on the one before is a
   * `WhenStatus`, in a table that has the column `status`.
   */
  patch(record: JournalRecord, at: number): Record<string, unknown>;
  /** All columns from the actor itself, where its records are lost. */
  row(actor: ActorView): Record<string, unknown>;
}
