/** Everything that the adapter promises on one Redis, on a Redis Cluster: three masters, three replicas. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { damageSuite } from '../conformance/damage.suite.ts';
import { redisBed, type RedisBed } from '../conformance/redisbed.ts';
import { shardStoreSuite } from '../conformance/shardstore.suite.ts';
import { newSeed } from '../support/chance.ts';
import { runDisturbed } from '../support/disturbed.ts';
import { RedisCluster } from '../support/rediscluster.ts';

let cluster: RedisCluster;
beforeAll(async () => {
  cluster = await RedisCluster.start();
});
afterAll(() => cluster.dispose());

describe('on a cluster', () => {
  let bed: RedisBed;
  beforeAll(async () => {
    bed = await redisBed(cluster.urls);
  });
  afterAll(() => bed.close());
  shardStoreSuite(() => bed);
  damageSuite(() => bed);
});

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test(
  'R1 R5 R7 R9 R11: masters are killed, slots move and runtimes die under load: nothing is lost or applied twice',
  { timeout: 120_000 },
  async () => {
    await runDisturbed({
      seed: newSeed(),
      tasks: 1_500,
      overMs: 18_000,
      url: cluster.urls[0]!,
      cluster: cluster.urls,
      disturb: async (fleet, chance, space) => {
        await pause(1_000);
        const killed = await cluster.failOver(space.shard(chance.below(8)).lease);
        await pause(1_000);
        await cluster.restart(killed);
        await cluster.whole();
        // Slot by slot and key by key, with a runtime killed meanwhile.
        for (let shard = 0; shard < 3; shard++) {
          const moving = cluster.moveSlot(space.shard(shard).lease, 50);
          if (shard === 1) await fleet.replace(chance.below(3));
          expect(await moving).toBeGreaterThan(5);
        }
        const again = await cluster.failOver(space.shard(0).lease);
        await fleet.replace(chance.below(3));
        await cluster.restart(again);
        await cluster.whole();
      },
    });
  },
);
