/** Takes history and lists back to a point in time: what the journals have up to there is projected anew. */
import { limits } from '../../config/limits.ts';
import type { JournalArchive, PositionedEntry, ProjectionStore } from '../ports.ts';
import { positionStart, type Position } from '../protocol/journal.ts';
import type { Pool } from './pool.ts';

export interface RetreatSettings {
  pool: Pool;
  archive: JournalArchive;
  projection: ProjectionStore;
  shards: number;
  /** Milliseconds since 1970. */
  untilMs: number;
}

export async function cutHistory({ pool, archive, projection, shards, untilMs }: RetreatSettings): Promise<void> {
  await pool.transaction(async (client) => {
    await client.query('DELETE FROM journal WHERE at > to_timestamp($1::float8 / 1000.0)', [untilMs]);
    await client.query('TRUNCATE transitions, tasks, agents, schedules, actors, quarantine, watermarks');
  });
  for (let shard = 0; shard < shards; shard++) {
    let from: Position = positionStart;
    let page: PositionedEntry[] = [];
    const store = async (): Promise<void> => {
      const outcome = await projection.apply(shard, from, page);
      if ('conflict' in outcome) throw new Error(`shard ${shard}: somebody else projects it: stop the orchestrator`);
      from = page.at(-1)?.position ?? from;
      page = [];
    };
    for await (const each of archive.entries(shard)) {
      page.push(each);
      if (page.length === limits.projectEntriesMax) await store();
    }
    await store();
  }
}
