/** Takes history and lists back to a point in time: what the journals have up to there is projected anew. */
import { limits } from '../../config/limits.ts';
import type { JournalArchive, ListStore, PositionedEntry, ProjectionStore, ShardImage } from '../ports.ts';
import { positionStart, type Position } from '../protocol/journal.ts';
import type { Pool } from './pool.ts';

export interface RetreatSettings {
  pool: Pool;
  archive: JournalArchive;
  projection: ProjectionStore & ListStore;
  shards: number;
  /** Milliseconds since 1970. */
  untilMs: number;
}

export async function cutHistory({ pool, archive, projection, shards, untilMs }: RetreatSettings): Promise<void> {
  const checkpoints = await Promise.all(
    Array.from({ length: shards }, (_, shard) => checkpointOf(archive, shard, untilMs)),
  );
  await pool.transaction(async (client) => {
    await client.query('DELETE FROM journal WHERE at > to_timestamp($1::float8 / 1000.0)', [untilMs]);
    await client.query('TRUNCATE quarantine, watermarks');
    for (const [shard, { epoch, sequence, at } = { epoch: -1, sequence: -1, at: -Infinity }] of checkpoints.entries()) {
      await client.query('DELETE FROM transitions WHERE shard = $1 AND (epoch, sequence) > ($2::bigint, $3::bigint)', [
        ...[shard, epoch, sequence],
      ]);
      // What has not changed since the checkpoint stays: Redis may have let it go before.
      for (const table of ['tasks', 'agents', 'schedules', 'actors'])
        await client.query(`DELETE FROM ${table} WHERE shard = $1 AND updated_at > to_timestamp($2::float8 / 1000.0)`, [
          shard,
          at,
        ]);
    }
  });
  for (const [shard, checkpoint] of checkpoints.entries()) {
    if (checkpoint) await projection.restore(checkpoint);
    let from: Position = checkpoint?.position ?? positionStart;
    let page: PositionedEntry[] = [];
    const store = async (): Promise<void> => {
      const outcome = await projection.apply(shard, from, page);
      if ('conflict' in outcome) throw new Error(`shard ${shard}: somebody else projects it: stop the orchestrator`);
      from = page.at(-1)?.position ?? from;
      page = [];
    };
    for await (const each of archive.entries(shard, untilMs, checkpoint)) {
      page.push(each);
      if (page.length === limits.projectEntriesMax) await store();
    }
    await store();
  }
}

/** @throws Error when the archive begins after that time */
async function checkpointOf(archive: JournalArchive, shard: number, untilMs: number): Promise<ShardImage | undefined> {
  const found = await archive.checkpoint(shard, untilMs);
  if (found && 'begins' in found)
    throw new Error(`the archive of shard ${shard} begins at ${new Date(found.begins).toISOString()}`);
  return found;
}
