/** Keys of another type, as a foreign program leaves them: only a server can hold such. */
import { beforeEach, describe, expect, test } from 'vitest';
import { wholeCommit } from './commit.suite.ts';
import { leaseOf } from './commits.ts';
import type { RedisBed } from './redisbed.ts';

export function damageSuite(bed: () => RedisBed): void {
  describe('damage', () => {
    let shard = 600;
    beforeEach(() => void (shard += 2));

    const parts = ['snapshots', 'journal', 'commands', 'outbound', 'relayed', 'sent', 'setAside', 'mailboxes'] as const;
    test.each(parts)('R1 where %s is of another type, a commit is refused whole', async (part) => {
      const { store, space, redis, contents } = bed();
      const lease = await leaseOf(store, shard);
      await redis.set(space.shard(shard)[part], 'foreign');
      const before = await contents();
      expect(await store.commit(lease, 1, wholeCommit(shard, shard + 1))).toEqual({
        outcome: 'damaged',
        detail: expect.stringContaining(`${space.shard(shard)[part]} is a string`) as string,
        whole: true,
      });
      expect(await contents()).toEqual(before);
      await redis.del(space.shard(shard)[part]);
      expect(await store.commit(lease, 1, wholeCommit(shard, shard + 1))).toMatchObject({ outcome: 'committed' });
    });

    test('R1 the same holds for an inbox, an outbox and the replies', async () => {
      const { store, space, redis, contents } = bed();
      const lease = await leaseOf(store, shard);
      const agent = `a-${shard}-one`;
      for (const key of [space.inbox(shard, agent), space.outbox(shard, agent), space.replies(shard, 'api')]) {
        await redis.set(key, 'foreign');
        const before = await contents();
        expect(await store.commit(lease, 1, wholeCommit(shard, shard + 1))).toMatchObject({
          outcome: 'damaged',
          whole: false,
        });
        expect(await contents()).toEqual(before);
        await redis.del(key);
      }
    });

    test('a shard whose commands are of another type cannot be taken, and says which key it is', async () => {
      const { store, space, redis, contents } = bed();
      const { commands } = space.shard(shard);
      await redis.set(commands, 'foreign');
      const before = await contents();
      await expect(store.acquire(shard, 'one', 5_000)).rejects.toThrow(commands);
      expect(await contents()).toEqual(before);
    });
  });
}
