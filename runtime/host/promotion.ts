/**
 * What a standby does with a shard before it becomes the active site, while the gate is still closed: what the other site had
 * put off is to be decided here, and what went between shards is made to fit, because their journals came at different
 * speeds. What a shard has taken over is not sent again, and no number is given out twice.
 */
import { emptyCommit } from '../core/decision.ts';
import { noneTaken, take } from '../core/taken.ts';
import type { MirrorStore, ShardStore } from '../ports.ts';
import { LeaseLost } from './tenure.ts';
import { limits } from '../../config/limits.ts';

export interface PromotionSettings {
  store: ShardStore;
  mirrors: MirrorStore;
  shards: readonly number[];
  owner: string;
}

/** Idempotent: a promotion that was cut short is done again. @throws LeaseLost when a shard is somebody else's */
export async function prepare({ store, mirrors, shards, owner }: PromotionSettings): Promise<void> {
  for (const shard of shards) {
    const outcome = await store.acquire(shard, owner, limits.leaseTtlMs);
    if (outcome.outcome === 'held') throw new LeaseLost(shard, `${outcome.owner} has it`);
    const { lease } = outcome;
    const { sent } = await store.open(lease);
    const { putOff } = await mirrors.place(shard);
    const raised = new Map<number, number>();
    for (const target of shards) {
      if (target === shard) continue;
      const known = (await mirrors.taken(target, shard)) ?? noneTaken;
      const highest = Math.max(...known.split(' ').map(Number));
      if (highest > (sent.get(target) ?? 0)) raised.set(target, highest);
    }
    const commit = {
      ...emptyCommit(0),
      deferred: [...putOff.values()],
      sent: raised,
      mirror: { decided: [...putOff.keys()] },
    };
    const done = await store.commit(lease, 1, commit, 'mirror');
    if (done.outcome !== 'committed')
      throw new LeaseLost(shard, `the shard cannot be promoted: ${JSON.stringify(done)}`);
    await prune(store, mirrors, shard, limits.handOverCommandsMax);
    await store.release(lease);
  }
}

/** Removes outbound entries that their targets have taken over. @param count of entries that are looked at */
export async function prune(
  store: Pick<ShardStore, 'outbound' | 'removeOutbound'>,
  mirrors: Pick<MirrorStore, 'taken'>,
  shard: number,
  count: number,
): Promise<void> {
  const entries = await store.outbound(shard, count);
  const taken = new Map<number, string>();
  for (const target of new Set(entries.map((entry) => entry.shard)))
    taken.set(target, (await mirrors.taken(target, shard)) ?? noneTaken);
  const gone = entries.filter((entry) => take(taken.get(entry.shard) ?? noneTaken, entry.number) === undefined);
  for (let from = 0; from < gone.length; from += limits.scanCount)
    await store.removeOutbound(
      shard,
      gone.slice(from, from + limits.scanCount).map(({ id }) => id),
    );
}
