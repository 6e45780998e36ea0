/** History and lists in the memory of one process: the rows that the PostgreSQL adapter would have. */
import type { PositionedEntry, ProjectionStore } from '../ports.ts';
import { stateText } from '../protocol/envelope.ts';
import { parseAddress } from '../protocol/ids.ts';
import { positionStart, type JournalRecord, type Position } from '../protocol/journal.ts';
import { WhenStatus, type Projection } from '../protocol/projection.ts';
import { transitionOf, type Transition } from './transition.ts';

/** Columns of a projection, and beside them `id`, `shard`, `updated_at` and `revision`. Times in ms since 1970. */
export type Row = Record<string, unknown>;

export class MemoryProjectionStore implements ProjectionStore {
  readonly #projections: ReadonlyMap<string, Projection>;
  readonly #watermarks = new Map<number, Position>();
  readonly #tables = new Map<string, Map<string, Row>>();
  /** Actor -> its records, in order of the journal. */
  readonly #transitions = new Map<string, Transition[]>();

  constructor(projections: readonly Projection[]) {
    this.#projections = new Map(projections.map((projection) => [projection.definition, projection]));
  }

  get watermarks(): ReadonlyMap<number, Position> {
    return this.#watermarks;
  }

  /** Rows of a table by their id. */
  table(name: string): Map<string, Row> {
    let table = this.#tables.get(name);
    if (!table) this.#tables.set(name, (table = new Map()));
    return table;
  }

  transitions(actor: string): readonly Transition[] {
    return this.#transitions.get(actor) ?? [];
  }

  /** Histories of the actors whose address begins so. */
  actors(prefix: string): (readonly Transition[])[] {
    return [...this.#transitions].filter(([actor]) => actor.startsWith(prefix)).map(([, history]) => history);
  }

  watermark(shard: number): Promise<Position> {
    return Promise.resolve(this.#watermarks.get(shard) ?? positionStart);
  }

  /** Quarantines nothing: there is no text that memory cannot hold. */
  apply(
    shard: number,
    from: Position,
    entries: readonly PositionedEntry[],
  ): Promise<{ applied: number; quarantined: number } | { conflict: Position }> {
    // Between this look at the watermark and the new one nothing waits: of two that apply the same entries, one does.
    const present = this.#watermarks.get(shard) ?? positionStart;
    const last = entries.at(-1);
    if (!last) return Promise.resolve({ applied: 0, quarantined: 0 });
    if (present !== from) return Promise.resolve({ conflict: present });
    let applied = 0;
    for (const { entry } of entries)
      for (const [ordinal, record] of entry.records.entries()) {
        this.#keep(transitionOf(shard, entry, ordinal, record));
        if (record.outcome === undefined) this.#patch(shard, record, entry.at);
        applied++;
      }
    this.#watermarks.set(shard, last.position);
    return Promise.resolve({ applied, quarantined: 0 });
  }

  #keep(transition: Transition): void {
    const known = this.#transitions.get(transition.actor);
    if (known) known.push(transition);
    else this.#transitions.set(transition.actor, [transition]);
  }

  #patch(shard: number, record: JournalRecord, at: number): void {
    const { actor, revision, state } = record;
    const parts = parseAddress(actor);
    if (!parts) return;
    const projection = this.#projections.get(parts.definition);
    if (!projection) {
      const row = { id: actor, shard, definition: parts.definition, state: stateText(state), updated_at: at, revision };
      this.table('actors').set(actor, row);
      return;
    }
    const table = this.table(projection.table);
    const known = table.get(parts.id);
    // A row that should be there and is not was never begun: its first record did not come.
    if (!known && revision !== 1) return;
    const row: Row =
      !known || revision === 1
        ? Object.fromEntries(Object.keys(projection.columns).map((column) => [column, null]))
        : { ...known };
    // What is kept is a copy, as from a database: the record and its reader share no object.
    const before = row['status'];
    for (const [column, given] of Object.entries(projection.patch(record, at))) {
      if (given instanceof WhenStatus && given.status !== before) continue;
      const value = structuredClone(given instanceof WhenStatus ? given.value : given);
      row[column] =
        projection.columns[column] === 'counter' ? Number(row[column] ?? 0) + Number(value) : (value ?? null);
    }
    table.set(parts.id, Object.assign(row, { id: parts.id, shard, updated_at: at, revision }));
  }
}
