/** Checkpoints of the archive: images of shards in rows, bounded in size. */
import type pg from 'pg';
import { limits } from '../../config/limits.ts';
import type { ShardImage } from '../ports.ts';
import type { Address } from '../protocol/ids.ts';
import type { Pool } from './pool.ts';

type Actors = [Address, string][];

/** Part 0. */
interface Head extends Omit<ShardImage, 'snapshots' | 'relayed' | 'sent'> {
  relayed: [number, string][];
  sent: [number, number][];
}

export async function readCheckpoint(
  pool: Pool,
  shard: number,
  untilMs: number | undefined,
): Promise<ShardImage | { begins: number } | undefined> {
  const heads = await pool.query<{ epoch: string; sequence: string; at: string }>(
    `SELECT epoch, sequence, extract(epoch FROM at) * 1000 AS at FROM checkpoints
     WHERE shard = $1 AND part = 0 ORDER BY epoch, sequence`,
    [shard],
  );
  const [first] = heads;
  if (!first) return undefined;
  const chosen = heads.findLast(({ at }) => untilMs === undefined || Number(at) <= untilMs);
  if (!chosen) return { begins: Number(first.at) };
  const parts = await pool.query<{ content: Buffer }>(
    'SELECT content FROM checkpoints WHERE shard = $1 AND epoch = $2 AND sequence = $3 ORDER BY part',
    [shard, chosen.epoch, chosen.sequence],
  );
  const [head, ...actors] = parts.map(({ content }) => JSON.parse(content.toString('utf8')) as unknown);
  const { relayed, sent, ...about } = head as Head;
  return {
    ...about,
    relayed: new Map(relayed),
    sent: new Map(sent),
    snapshots: new Map((actors as Actors[]).flat()),
  };
}

/** One transaction: the checkpoint is there as a whole before anything goes. */
export function keepCheckpoint(pool: Pool, image: ShardImage): Promise<{ entries: number }> {
  const { snapshots, relayed, sent, ...about } = image;
  const { shard, epoch, sequence, at } = about;
  const head: Head = { ...about, relayed: [...relayed], sent: [...sent] };
  return pool.transaction(async (client) => {
    await client.query('DELETE FROM checkpoints WHERE shard = $1', [shard]);
    let part = 0;
    for (const content of [head, ...parts(snapshots)])
      await client.query(
        `INSERT INTO checkpoints (shard, epoch, sequence, part, at, content)
         VALUES ($1, $2, $3, $4, to_timestamp($5::float8 / 1000.0), $6)`,
        [shard, epoch, sequence, part++, at, Buffer.from(JSON.stringify(content))],
      );
    return { entries: await removeBefore(client, image) };
  });
}

async function removeBefore(client: pg.PoolClient, { shard, epoch, sequence }: ShardImage): Promise<number> {
  const { rowCount } = await client.query(
    'DELETE FROM journal WHERE shard = $1 AND (epoch, sequence) <= ($2::bigint, $3::bigint)',
    [shard, epoch, sequence],
  );
  return rowCount ?? 0;
}

function* parts(snapshots: ReadonlyMap<Address, string>): Generator<Actors> {
  let part: Actors = [];
  let size = 0;
  for (const [address, text] of snapshots) {
    if (part.length > 0 && size + text.length > limits.entryBytesMax) {
      yield part;
      part = [];
      size = 0;
    }
    part.push([address, text]);
    size += text.length;
  }
  if (part.length > 0) yield part;
}
