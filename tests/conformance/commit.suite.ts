/** The commit: all of it or nothing, once, by the present owner only. */
import { beforeEach, describe, expect, test } from 'vitest';
import { limits } from '../../config/limits.ts';
import type { Commit } from '../../runtime/ports.ts';
import type { Address } from '../../runtime/protocol/ids.ts';
import { named, type Bed } from './bed.ts';
import { acksOf, commitOf, envelopeTo, journalText, leaseOf } from './commits.ts';

/** Something of every kind. */
export function wholeCommit(shard: number, other: number): Commit {
  return commitOf({
    snapshots: new Map([[`task/t-${shard}-a` as Address, '{"revision":1}']]),
    journal: journalText(shard, 1, 1),
    mailboxesOpened: [`a-${shard}-one`],
    bundles: new Map([[`a-${shard}-one`, ['[{"kind":"assign","task":"y"}]', '[]']]]),
    bundleEpoch: '11',
    posts: new Map([[`a-${shard}-one`, [{ kind: 'assign', task: 'x' }, { kind: 'cancel' }]]]),
    outbound: [{ shard: other, number: 1, envelope: envelopeTo(`task/t-${other}-b`) }],
    sent: new Map([[other, 1]]),
    deferred: [envelopeTo(`task/t-${shard}-c`, 'd1'), envelopeTo(`task/t-${shard}-d`, 'd2')],
    deferredApart: [envelopeTo(`task/t-${shard}-e`, 'd3')],
    replies: [
      {
        recipient: 'api',
        request: 'r1',
        outcomes: [{ outcome: 'applied', to: `task/t-${shard}-a`, revision: 1, state: 'queued' }],
      },
    ],
    setAside: [
      { source: 'commands', entry: '1-1', reason: 'unreadable', detail: 'no JSON', fields: '["command","{"]' },
    ],
    relayed: new Map([[other, '3 5']]),
  });
}

export function commitSuite(bed: () => Bed): void {
  describe('commit', () => {
    let shard = 200;
    let other = 0;
    beforeEach(() => {
      shard += 2;
      other = shard + 1;
    });

    test('R1 a commit makes everything true at once', async () => {
      const { store, space, append, stream } = bed();
      const lease = await leaseOf(store, shard);
      await append(space.shard(shard).commands, ['command', '{}']);
      const entries = await store.read(lease, [], 10, 100);
      const outcome = await store.commit(lease, 1, { ...wholeCommit(shard, other), acks: acksOf(entries) });
      const keys = space.shard(shard);
      const [journalEntry] = await stream(keys.journal);
      expect(outcome).toEqual({ outcome: 'committed', repeated: false, journal: journalEntry?.id });
      expect(await store.load(shard, [`task/t-${shard}-a`, `task/t-${shard}-none`])).toEqual(
        new Map([[`task/t-${shard}-a`, '{"revision":1}']]),
      );
      expect((await stream(space.inbox(shard, `a-${shard}-one`))).map(({ fields }) => named(fields))).toEqual([
        { epoch: '11', batch: '[{"kind":"assign","task":"y"}]' },
        { epoch: '11', batch: '[]' },
        { kind: 'assign', task: 'x' },
        { kind: 'cancel' },
      ]);
      expect(await store.open(lease)).toMatchObject({
        mailboxes: [`a-${shard}-one`],
        relayed: new Map([[other, '3 5']]),
        sent: new Map([[other, 1]]),
      });
      const commands = (await stream(keys.commands)).map(({ fields }) => named(fields)['derived']);
      expect(commands).toEqual([
        JSON.stringify([envelopeTo(`task/t-${shard}-c`, 'd1'), envelopeTo(`task/t-${shard}-d`, 'd2')]),
        JSON.stringify([envelopeTo(`task/t-${shard}-e`, 'd3')]),
      ]);
      expect(await store.outbound(shard, 10)).toMatchObject([{ shard: other, number: 1 }]);
      expect(await stream(keys.setAside)).toHaveLength(1);
      expect(await stream(space.replies(shard, 'api'))).toHaveLength(1);
    });

    test('R1 what was read is pending until the commit that acknowledges it', async () => {
      const { store, space, append, stream } = bed();
      const lease = await leaseOf(store, shard);
      await append(space.shard(shard).commands, ['command', '1']);
      await append(space.shard(shard).commands, ['command', '2']);
      const entries = await store.read(lease, [], 10, 100);
      await store.commit(lease, 1, commitOf({ acks: acksOf(entries.slice(0, 1)) }));
      expect((await store.claim(lease, [], 10)).map(({ id }) => id)).toEqual([entries[1]?.id]);
      await store.commit(lease, 2, commitOf({ acks: acksOf(entries.slice(1)) }));
      expect(await store.claim(lease, [], 10)).toEqual([]);
      expect(await stream(space.shard(shard).commands)).toEqual([]);
    });

    test('R5 a repeated sequence is answered from memory and writes nothing', async () => {
      const { store, contents } = bed();
      const lease = await leaseOf(store, shard);
      const first = await store.commit(lease, 1, wholeCommit(shard, other));
      const before = await contents();
      const again = await store.commit(lease, 1, wholeCommit(shard, other));
      expect(again).toEqual({ ...first, repeated: true });
      expect(await contents()).toEqual(before);
      // Also a commit without a journal entry is answered as it was.
      await store.commit(lease, 2, commitOf());
      expect(await store.commit(lease, 2, commitOf())).toEqual({
        outcome: 'committed',
        repeated: true,
        journal: undefined,
      });
    });

    test('R5 a lower epoch and a missing sequence are refused, and nothing is written', async () => {
      const { store, contents } = bed();
      expect(await store.commit({ shard, owner: 'one', epoch: 1 }, 1, wholeCommit(shard, other))).toEqual({
        outcome: 'stale',
        epoch: 0,
      });
      const old = await leaseOf(store, shard);
      await store.commit(old, 1, commitOf());
      await store.release(old);
      const lease = await leaseOf(store, shard, 'two');
      const before = await contents();
      expect(await store.commit(old, 2, wholeCommit(shard, other))).toEqual({ outcome: 'stale', epoch: 2 });
      expect(await store.commit(old, 1, wholeCommit(shard, other))).toEqual({ outcome: 'stale', epoch: 2 });
      expect(await store.commit(lease, 2, wholeCommit(shard, other))).toEqual({ outcome: 'gap', expected: 1 });
      expect(await contents()).toEqual(before);
      expect(await store.commit(lease, 1, commitOf())).toMatchObject({ outcome: 'committed', repeated: false });
    });

    test('R3 nothing leaves the shard before its commit, and a refused commit sends nothing', async () => {
      const { store, space, gateway, journals, stream } = bed();
      const lease = await leaseOf(store, shard);
      const left = async () => ({
        inbox: (await stream(space.inbox(shard, `a-${shard}-one`))).length,
        outbound: (await store.outbound(shard, 10)).length,
        replies: (await gateway.read('api', new Map([[shard, '0-0']]), 1)).length,
        journal: (await journals.range(shard, '0-0', 10)).length,
      });
      const none = { inbox: 0, outbound: 0, replies: 0, journal: 0 };
      expect(await store.commit(lease, 2, wholeCommit(shard, other))).toMatchObject({ outcome: 'gap' });
      expect(await store.commit({ ...lease, epoch: 0 }, 1, wholeCommit(shard, other))).toMatchObject({
        outcome: 'stale',
      });
      expect(await left()).toEqual(none);
      await store.commit(lease, 1, wholeCommit(shard, other));
      expect(await left()).toEqual({ inbox: 4, outbound: 1, replies: 1, journal: 1 });
      expect(await stream(space.shard(other).commands)).toEqual([]);
    });

    test('snapshots are replaced and removed', async () => {
      const { store } = bed();
      const lease = await leaseOf(store, shard);
      const [a, b]: Address[] = [`task/t-${shard}-a`, `task/t-${shard}-b`];
      await store.commit(
        lease,
        1,
        commitOf({
          snapshots: new Map([
            [a!, '1'],
            [b!, '1'],
          ]),
        }),
      );
      const changes = {
        snapshots: new Map([
          [a!, '2'],
          [b!, null],
        ]),
      };
      await store.commit(lease, 2, commitOf(changes));
      expect(await store.load(shard, [a!, b!])).toEqual(new Map([[a, '2']]));
    });

    test('lists of any length are one commit', async () => {
      const { store, space, stream } = bed();
      const lease = await leaseOf(store, shard);
      const count = 5_000;
      const numbers = [...Array(count).keys()];
      const commit = commitOf({
        snapshots: new Map(numbers.map((n) => [`task/t-${shard}-${n}` as Address, String(n)])),
        deferred: numbers.map((n) => envelopeTo(`task/t-${shard}-${n}`, `d${n}`)),
      });
      expect(await store.commit(lease, 1, commit)).toMatchObject({ outcome: 'committed' });
      const seen = new Map<string, string>();
      for (let cursor = '0', done = false; !done;) {
        const page = await store.scan(shard, cursor);
        ({ cursor, done } = page);
        for (const [address, text] of page.snapshots) seen.set(address, text);
      }
      expect(seen).toEqual(commit.snapshots);
      const derived = await stream(space.shard(shard).commands);
      expect(derived).toHaveLength(count / limits.batchEnvelopesMax);
      expect(derived.flatMap(({ fields }) => JSON.parse(fields[1]!) as unknown[])).toEqual(commit.deferred);
      const addresses = [...commit.snapshots.keys()];
      await store.commit(lease, 2, commitOf({ snapshots: new Map(addresses.map((address) => [address, null])) }));
      expect((await store.load(shard, addresses)).size).toBe(0);
    });
  });
}
