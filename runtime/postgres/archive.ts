/** The archive: journal entries as they were written, so that the state in Redis can be rebuilt by replay. */
import type pg from 'pg';
import { limits } from '../../config/limits.ts';
import type { JournalArchive, PositionedEntry, ShardImage } from '../ports.ts';
import type { JournalEntry } from '../protocol/journal.ts';
import { keepCheckpoint, readCheckpoint } from './checkpoints.ts';
import type { Pool } from './pool.ts';

interface Row {
  epoch: string;
  sequence: string;
  position: string;
  entry: Buffer;
}

export class PostgresArchive implements JournalArchive {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  checkpoint(shard: number, untilMs?: number): ReturnType<JournalArchive['checkpoint']> {
    return readCheckpoint(this.#pool, shard, untilMs);
  }

  keep(checkpoint: ShardImage): Promise<{ entries: number }> {
    return keepCheckpoint(this.#pool, checkpoint);
  }

  async *entries(shard: number, untilMs?: number, begin?: ShardImage): AsyncGenerator<PositionedEntry> {
    let after: [string, string] = begin ? [String(begin.epoch), String(begin.sequence)] : ['-1', '-1'];
    for (;;) {
      const rows: Row[] = await this.#pool.query<Row>(
        `SELECT epoch, sequence, position, entry FROM journal
         WHERE shard = $1 AND (epoch, sequence) > ($2::bigint, $3::bigint) AND ($4::float8 IS NULL OR at <= to_timestamp($4 / 1000.0))
         ORDER BY epoch, sequence LIMIT ${limits.projectEntriesMax}`,
        [shard, ...after, untilMs ?? null],
      );
      for (const { position, entry } of rows)
        yield { position, entry: JSON.parse(entry.toString('utf8')) as JournalEntry };
      const last = rows.at(-1);
      if (!last) return;
      after = [last.epoch, last.sequence];
    }
  }
}

/** Stores entries beside their rows, in the same transaction; one that is there already stays as it is. */
export async function archive(
  client: pg.PoolClient,
  shard: number,
  entries: readonly PositionedEntry[],
): Promise<void> {
  for (const part of parts(entries))
    await client.query(
      `INSERT INTO journal (shard, epoch, sequence, position, at, entry)
       SELECT $1, v.epoch, v.sequence, v.position, to_timestamp(v.at / 1000.0), v.entry
       FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::float8[], $6::bytea[]) AS v (epoch, sequence, position, at, entry)
       ON CONFLICT DO NOTHING`,
      [
        shard,
        part.map(({ entry }) => entry.epoch),
        part.map(({ entry }) => entry.sequence),
        part.map(({ position }) => position),
        part.map(({ entry }) => entry.at),
        part.map(({ bytes }) => bytes),
      ],
    );
}

/** What one statement carries at most: the bytes of an entry. */
function* parts(entries: readonly PositionedEntry[]): Generator<(PositionedEntry & { bytes: Buffer })[]> {
  let part: (PositionedEntry & { bytes: Buffer })[] = [];
  let size = 0;
  for (const each of entries) {
    const bytes = Buffer.from(JSON.stringify(each.entry));
    if (part.length > 0 && size + bytes.length > limits.entryBytesMax) {
      yield part;
      part = [];
      size = 0;
    }
    part.push({ ...each, bytes });
    size += bytes.length;
  }
  if (part.length > 0) yield part;
}
