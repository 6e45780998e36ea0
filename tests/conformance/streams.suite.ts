/** What a shard reads: its commands, the outboxes of its agents, what former owners left, and its timers. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { Entry } from '../../runtime/ports.ts';
import type { Bed } from './bed.ts';
import { acksOf, commitOf, leaseOf } from './commits.ts';

const texts = (entries: readonly Entry[]) =>
  entries.map(({ source, fields }) => `${source === 'commands' ? source : source.outbox} ${fields.join('=')}`).sort();

export function streamsSuite(bed: () => Bed): void {
  describe('reading', () => {
    let shard = 300;
    let agent = '';
    beforeEach(() => {
      shard++;
      agent = `a-${shard}-one`;
    });

    test('commands and outboxes come with their source, in order, each once, so many from each', async () => {
      const { store, space, append } = bed();
      const lease = await leaseOf(store, shard);
      await store.commit(lease, 1, commitOf({ mailboxesOpened: [agent] }));
      for (const n of ['1', '2', '3']) await append(space.shard(shard).commands, ['c', n]);
      for (const n of ['1', '2']) await append(space.outbox(shard, agent), ['r', n]);
      const first = await store.read(lease, [agent], 2, 100);
      expect(texts(first)).toEqual([`${agent} r=1`, `${agent} r=2`, 'commands c=1', 'commands c=2']);
      expect(texts(await store.read(lease, [agent], 2, 100))).toEqual(['commands c=3']);
      expect(await store.read(lease, [agent], 2, 1)).toEqual([]);
    });

    test('what stood in the stream before its first owner is read', async () => {
      const { store, space, append } = bed();
      await append(space.shard(shard).commands, ['c', 'early']);
      const lease = await leaseOf(store, shard);
      expect(texts(await store.read(lease, [], 10, 100))).toEqual(['commands c=early']);
    });

    test('a read waits as long as it was told, and is woken by the first entry', async () => {
      const { store, space, system, append } = bed();
      const lease = await leaseOf(store, shard);
      const start = system.monotonicMs();
      expect(await store.read(lease, [], 10, 60)).toEqual([]);
      expect(system.monotonicMs() - start).toBeGreaterThan(40);
      const waiting = store.read(lease, [], 10, 4_000);
      await system.sleep(30);
      const wokenAtMs = system.monotonicMs();
      await append(space.shard(shard).commands, ['c', '1']);
      expect(texts(await waiting)).toEqual(['commands c=1']);
      expect(system.monotonicMs() - wokenAtMs).toBeLessThan(3_500);
    });

    test('a later owner claims what a former one read and did not commit, in order', async () => {
      const { store, space, append } = bed();
      const old = await leaseOf(store, shard);
      await store.commit(old, 1, commitOf({ mailboxesOpened: [agent] }));
      for (const n of ['1', '2', '3']) await append(space.shard(shard).commands, ['c', n]);
      await append(space.outbox(shard, agent), ['r', '1']);
      const read = await store.read(old, [agent], 2, 100);
      await store.release(old);
      const lease = await leaseOf(store, shard, 'two');
      const claimed = await store.claim(lease, [agent], 10);
      expect(claimed).toEqual(read);
      // Still pending, so claimed again; the third was never read and stays new.
      expect(await store.claim(lease, [agent], 10)).toEqual(read);
      expect(texts(await store.read(lease, [agent], 10, 100))).toEqual(['commands c=3']);
      await store.commit(lease, 1, commitOf({ acks: acksOf(claimed) }));
      expect(texts(await store.claim(lease, [agent], 10))).toEqual(['commands c=3']);
    });

    test('a claim takes the oldest, so many from each stream', async () => {
      const { store, space, append } = bed();
      const lease = await leaseOf(store, shard);
      for (const n of ['1', '2', '3']) await append(space.shard(shard).commands, ['c', n]);
      await store.read(lease, [], 10, 100);
      expect(texts(await store.claim(lease, [], 1))).toEqual(['commands c=1']);
      expect(texts(await store.claim(lease, [], 2))).toEqual(['commands c=1', 'commands c=2']);
    });

    test('a mailbox opens with its streams and goes with them', async () => {
      const { store, space, append, stream, receive } = bed();
      const lease = await leaseOf(store, shard);
      const [inbox, outbox] = [space.inbox(shard, agent), space.outbox(shard, agent)];
      await store.commit(
        lease,
        1,
        commitOf({ mailboxesOpened: [agent], posts: new Map([[agent, [{ kind: 'welcome' }]]]) }),
      );
      expect((await receive(inbox, 10)).map(({ fields }) => fields)).toEqual([['kind', 'welcome']]);
      await append(outbox, ['r', '1']);
      const entries = await store.read(lease, [agent], 10, 100);
      // A mailbox that is open stays as it is when it is opened again.
      await store.commit(lease, 2, commitOf({ mailboxesOpened: [agent] }));
      expect(await store.claim(lease, [agent], 10)).toEqual(entries);
      await store.commit(lease, 3, commitOf({ mailboxesClosed: [agent], acks: acksOf(entries) }));
      expect((await store.open(lease)).mailboxes).toEqual([]);
      expect(await stream(inbox)).toEqual([]);
      expect(await stream(outbox)).toEqual([]);
      await store.commit(lease, 4, commitOf({ mailboxesOpened: [agent] }));
      expect((await store.open(lease)).mailboxes).toEqual([agent]);
      expect(await store.read(lease, [agent], 10, 1)).toEqual([]);
    });

    test('a stream that vanished is made anew, and reading goes on', async () => {
      const { store, space, append, remove } = bed();
      const lease = await leaseOf(store, shard);
      await store.commit(lease, 1, commitOf({ mailboxesOpened: [agent] }));
      await remove(space.shard(shard).commands);
      await remove(space.outbox(shard, agent));
      expect(await store.claim(lease, [agent], 10)).toEqual([]);
      await remove(space.shard(shard).commands);
      expect(await store.read(lease, [agent], 10, 1)).toEqual([]);
      await append(space.shard(shard).commands, ['c', '1']);
      await append(space.outbox(shard, agent), ['r', '1']);
      expect(texts(await store.read(lease, [agent], 10, 100))).toEqual([`${agent} r=1`, 'commands c=1']);
    });

    test('the scan of an empty shard is done at once', async () => {
      const { store } = bed();
      expect(await store.scan(shard, '0')).toEqual({ cursor: '0', done: true, snapshots: [] });
    });
  });
}
