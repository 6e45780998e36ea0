/** Gates of a site of a pair: what a commit must pass inside of the store, and the history that it leaves. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { Lease, Passage } from '../../runtime/ports.ts';
import { linkAfter, linkField, linkOf, origin } from '../../runtime/protocol/chain.ts';
import type { Address } from '../../runtime/protocol/ids.ts';
import { named, type Bed } from './bed.ts';
import { commitOf, leaseOf } from './commits.ts';

export function gateSuite(bed: () => Bed): void {
  describe('gates', () => {
    let shard = 900;
    let sequence = 0;
    let lease: Lease;
    beforeEach(async () => {
      sequence = 0;
      lease = await leaseOf(bed().store, ++shard);
    });

    async function tried(passage: Passage): Promise<string> {
      const address: Address = `task/t-${shard}-x`;
      const commit = commitOf({ snapshots: new Map([[address, `written as ${passage}`]]) });
      const outcome = await bed().store.commit(lease, sequence + 1, commit, passage);
      if (outcome.outcome === 'committed') sequence++;
      return outcome.outcome === 'gated' ? outcome.why : outcome.outcome;
    }

    async function written(): Promise<string | undefined> {
      const address: Address = `task/t-${shard}-x`;
      return (await bed().store.load(shard, [address])).get(address);
    }

    test('a site on its own has none; what belongs to a pair does not pass there', async () => {
      expect(await tried('')).toBe('committed');
      expect(await tried('11')).toBe('closed');
      expect(await tried('mirror')).toBe('no-gate');
      expect(await written()).toBe('written as ');
    });

    test('a closed gate lets the mirror through and nobody else; a repeat is answered all the same', async () => {
      const { gates, store } = bed();
      await gates.shut([shard]);
      expect(await tried('mirror')).toBe('committed');
      expect(await tried('')).toBe('pair');
      expect(await tried('11')).toBe('closed');
      expect(await written()).toBe('written as mirror');
      expect(await store.commit(lease, 1, commitOf(), '11')).toMatchObject({ outcome: 'committed', repeated: true });
    });

    test('an open gate lets its epoch through and nobody else', async () => {
      const { gates } = bed();
      await gates.shut([shard]);
      expect(await gates.open([shard], 22, 60_000)).toEqual({ outcome: 'opened' });
      expect(await tried('22')).toBe('committed');
      for (const [passage, why] of [
        ['11', 'other-epoch'],
        ['31', 'other-epoch'],
        ['mirror', 'open'],
        ['', 'pair'],
      ] as const)
        expect(await tried(passage)).toBe(why);
      expect(await written()).toBe('written as 22');
    });

    test('it never opens for a lower epoch, and closes for its own and higher ones only', async () => {
      const { gates } = bed();
      await gates.shut([shard]);
      await gates.open([shard], 22, 60_000);
      expect(await gates.open([shard], 21, 60_000)).toEqual({ outcome: 'refused', shard, why: 'other-epoch' });
      await gates.close([shard], 21);
      expect(await tried('22')).toBe('committed');
      await gates.close([shard], 22);
      expect(await tried('22')).toBe('closed');
      expect(await gates.open([shard], 31, 60_000)).toEqual({ outcome: 'opened' });
      expect(await tried('31')).toBe('committed');
    });

    test('it is open for its time; what comes later closes it', async () => {
      const { gates, system } = bed();
      await gates.shut([shard]);
      await gates.open([shard], 22, 30);
      await system.sleep(60);
      expect(await tried('22')).toBe('past-time');
      expect(await tried('22')).toBe('closed');
      // Whoever still holds the site may open it again under the same epoch.
      expect(await gates.open([shard], 22, 60_000)).toEqual({ outcome: 'opened' });
      expect(await tried('22')).toBe('committed');
    });

    test('a clock that went back closes it, for commits and for whoever would prolong', async () => {
      const { gates, sawAhead } = bed();
      await gates.shut([shard]);
      await gates.open([shard], 22, 60_000);
      await sawAhead(shard, 5_000);
      expect(await tried('22')).toBe('clock-went-back');
      expect(await tried('22')).toBe('closed');
      expect(await gates.open([shard], 22, 60_000)).toEqual({ outcome: 'refused', shard, why: 'clock-went-back' });
      expect(await gates.open([shard], 31, 60_000)).toEqual({ outcome: 'opened' });
      expect(await tried('31')).toBe('committed');
    });

    test('shut at a start, it is closed whatever it was, and keeps its epoch', async () => {
      const { gates } = bed();
      await gates.shut([shard]);
      await gates.open([shard], 22, 60_000);
      await gates.shut([shard]);
      expect(await tried('22')).toBe('closed');
      expect(await gates.open([shard], 21, 60_000)).toMatchObject({ outcome: 'refused', why: 'other-epoch' });
    });

    test('links: the store knows the last one and where branches began', async () => {
      const { store } = bed();
      const first = linkAfter(origin(''), 11, '{"records":[]}');
      const begins = [{ epoch: 11, sequence: 1, previous: '' }];
      await store.commit(lease, 1, commitOf({ journal: first.text, link: first, begins }));
      const second = linkAfter(first, 11, '{"records":[1]}');
      await store.commit(lease, 2, commitOf({ journal: second.text, link: second }));
      const entries = await bed().stream(bed().space.shard(shard).journal);
      expect(entries.map(({ fields }) => named(fields))).toEqual(
        [first, second].map((link) => ({ entry: link.text, link: linkField(link) })),
      );
      expect(linkOf('', linkField(second), second.text)).toEqual(second);
      const { head, begins: known } = await store.open(lease);
      expect(head).toEqual({ incarnation: '', epoch: 11, sequence: 2, hash: second.hash });
      expect(known).toEqual(begins);
    });
  });
}
