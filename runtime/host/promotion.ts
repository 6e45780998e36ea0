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
    const taken = new Map<number, string>();
    for (const target of shards) {
      if (target === shard) continue;
      const known = (await mirrors.taken(target, shard)) ?? noneTaken;
      taken.set(target, known);
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
    await prune(store, shard, taken);
    await store.release(lease);
  }
}

/** Outbound entries that the target has taken over already. */
async function prune(store: ShardStore, shard: number, taken: ReadonlyMap<number, string>): Promise<void> {
  const entries = await store.outbound(shard, limits.handOverCommandsMax);
  const gone = entries.filter(
    ({ shard: target, number }) => take(taken.get(target) ?? noneTaken, number) === undefined,
  );
  for (let from = 0; from < gone.length; from += limits.scanCount)
    await store.removeOutbound(
      shard,
      gone.slice(from, from + limits.scanCount).map(({ id }) => id),
    );
}
