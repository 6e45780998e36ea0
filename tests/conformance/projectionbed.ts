/** A projection store and the read model over it, and journal entries to feed it. */
import { agentProjection } from '../../actors/agent/projection.ts';
import { scheduleProjection } from '../../actors/schedule/projection.ts';
import { taskProjection } from '../../actors/task/projection.ts';
import { MemoryProjectionStore } from '../../runtime/memory/projection.ts';
import { MemoryReadModel } from '../../runtime/memory/readmodel.ts';
import type { PositionedEntry, ProjectionStore } from '../../runtime/ports.ts';
import { migrate } from '../../runtime/postgres/migrate.ts';
import { Pool } from '../../runtime/postgres/pool.ts';
import { PostgresProjectionStore } from '../../runtime/postgres/projector.ts';
import { PostgresReadModel } from '../../runtime/postgres/readmodel.ts';
import type { Address } from '../../runtime/protocol/ids.ts';
import type { JournalRecord } from '../../runtime/protocol/journal.ts';
import type { ReadModel } from '../../runtime/readmodel.ts';
import { createDatabase } from '../support/servers.ts';
import { MemoryLog } from '../support/site.ts';

export interface ProjectionBed {
  store: ProjectionStore;
  model: ReadModel;
  /** Actors without a projection of their own: address -> state. */
  others(): Promise<Map<string, string>>;
  close(): Promise<void>;
}

export interface PostgresBed extends ProjectionBed {
  pool: Pool;
}

const projections = [taskProjection, agentProjection, scheduleProjection];

export async function memoryProjectionBed(): Promise<ProjectionBed> {
  const store = new MemoryProjectionStore(projections);
  return {
    store,
    model: new MemoryReadModel(store),
    others: async () => new Map([...store.table('actors')].map(([address, row]) => [address, String(row['state'])])),
    close: async () => undefined,
  };
}

export async function postgresProjectionBed(): Promise<PostgresBed> {
  const log = new MemoryLog();
  const pool = new Pool({ url: await createDatabase('projection'), log });
  await migrate(pool, log);
  return {
    pool,
    store: new PostgresProjectionStore(pool, projections),
    model: new PostgresReadModel(pool),
    others: async () => {
      const rows = await pool.query<{ address: string; state: string }>('SELECT address, state FROM actors');
      return new Map(rows.map(({ address, state }) => [address, state]));
    },
    close: () => pool.close(),
  };
}

/** Feeds one shard's journal, entry by entry or in batches, and knows where it stands. */
export class Feed {
  readonly shard: number;
  readonly #store: ProjectionStore;
  #position = '0-0';
  #sequence = 0;
  epoch = 1;

  constructor(store: ProjectionStore, shard: number) {
    this.#store = store;
    this.shard = shard;
  }

  get position(): string {
    return this.#position;
  }

  entry(at: number, records: readonly JournalRecord[]): PositionedEntry {
    const sequence = ++this.#sequence;
    return { position: `${at}-${sequence}`, entry: { shard: this.shard, epoch: this.epoch, sequence, at, records } };
  }

  async apply(...entries: PositionedEntry[]): Promise<{ applied: number; quarantined: number }> {
    const outcome = await this.#store.apply(this.shard, this.#position, entries);
    if ('conflict' in outcome) throw new Error(`the feed is at ${this.#position}, the store at ${outcome.conflict}`);
    this.#position = entries.at(-1)?.position ?? this.#position;
    return outcome;
  }
}

let envelopes = 0;

/** A record of which a test says what it is about. */
export function recordOf(
  actor: Address,
  revision: number,
  state: JournalRecord['state'],
  rest: Partial<JournalRecord> = {},
): JournalRecord {
  return { actor, id: `e${++envelopes}`, origin: 'command', revision, state, ...rest };
}

export function submitted(task: string, input: JournalRecord['input'] = {}): JournalRecord {
  return recordOf(`task/${task}`, 1, { open: 'queued' }, { input: { type: 'echo', parameters: { a: 1 }, ...input } });
}
