/** Leases: who has a shard, for how long, and under which epoch. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { Bed } from './bed.ts';
import { leaseOf } from './commits.ts';

export function leaseSuite(bed: () => Bed): void {
  describe('leases', () => {
    let shard = 100;
    beforeEach(() => void shard++);

    test('a free shard is taken at epoch 1; whoever comes next is told who has it and for how long', async () => {
      const { store } = bed();
      expect(await store.acquire(shard, 'one', 5_000)).toEqual({
        outcome: 'acquired',
        lease: { shard, owner: 'one', epoch: 1 },
      });
      const second = await store.acquire(shard, 'two', 5_000);
      expect(second).toMatchObject({ outcome: 'held', owner: 'one' });
      const remainingMs = second.outcome === 'held' ? second.remainingMs : -1;
      expect(remainingMs).toBeGreaterThan(0);
      expect(remainingMs).toBeLessThanOrEqual(5_000);
    });

    test('R5 every acquisition raises the epoch, also that of the owner itself', async () => {
      const { store } = bed();
      const first = await leaseOf(store, shard);
      const again = await leaseOf(store, shard);
      expect([first.epoch, again.epoch]).toEqual([1, 2]);
      expect(await store.renew(first, 5_000)).toBe(false);
      expect(await store.renew(again, 5_000)).toBe(true);
    });

    test('a lease that ran out is free; its old owner cannot renew it once it is taken', async () => {
      const { store, system } = bed();
      const old = await leaseOf(store, shard, 'one', 40);
      await system.sleep(80);
      const lease = await leaseOf(store, shard, 'two');
      expect(lease.epoch).toBe(2);
      expect(await store.renew(old, 5_000)).toBe(false);
      expect(await store.acquire(shard, 'one', 5_000)).toMatchObject({ outcome: 'held', owner: 'two' });
    });

    test('renewing prolongs', async () => {
      const { store, system } = bed();
      const lease = await leaseOf(store, shard, 'one', 60);
      expect(await store.renew(lease, 10_000)).toBe(true);
      await system.sleep(100);
      expect(await store.acquire(shard, 'two', 5_000)).toMatchObject({ outcome: 'held', owner: 'one' });
    });

    test('a lease that ran out and was taken by nobody can be renewed', async () => {
      const { store, system } = bed();
      const lease = await leaseOf(store, shard, 'one', 20);
      await system.sleep(50);
      expect(await store.renew(lease, 5_000)).toBe(true);
      expect(await store.acquire(shard, 'two', 5_000)).toMatchObject({ outcome: 'held' });
    });

    test('a released shard is free at once; a late release changes nothing', async () => {
      const { store } = bed();
      const first = await leaseOf(store, shard);
      await store.release(first);
      await store.release(first);
      const second = await leaseOf(store, shard, 'two');
      expect(second.epoch).toBe(2);
      await store.release(first);
      expect(await store.acquire(shard, 'three', 5_000)).toMatchObject({ outcome: 'held', owner: 'two' });
    });
  });

  describe('membership', () => {
    test('who joined is seen by all, until it leaves or its time runs out', async () => {
      const { membership, system } = bed();
      expect(await membership.join('b', 5_000)).toEqual(['b']);
      expect(await membership.join('a', 60)).toEqual(['a', 'b']);
      expect(await membership.join('b', 5_000)).toEqual(['a', 'b']);
      await system.sleep(100);
      expect(await membership.join('b', 5_000)).toEqual(['b']);
      expect(await membership.join('c', 5_000)).toEqual(['b', 'c']);
      await membership.leave('b');
      await membership.leave('b');
      expect(await membership.join('c', 5_000)).toEqual(['c']);
    });
  });
}
