/** The sides of the API and of everything downstream: commands in, replies, snapshots and journals out. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { Outcome } from '../../runtime/protocol/envelope.ts';
import { named, type Bed } from './bed.ts';
import { commitOf, journalText, leaseOf } from './commits.ts';

export function readerSuite(bed: () => Bed): void {
  let shard = 500;
  beforeEach(() => void (shard += 2));

  describe('gateway', () => {
    test('R7 the gateway appends commands and writes nothing else', async () => {
      const { store, gateway, space, contents, stream } = bed();
      const lease = await leaseOf(store, shard);
      const to = `task/t-${shard}-a` as const;
      await store.commit(
        lease,
        1,
        commitOf({ snapshots: new Map([[to, '{"x":1}']]), journal: journalText(shard, 1, 1) }),
      );
      const { commands } = space.shard(shard);
      const others = async () => [...(await contents())].filter(([key]) => key !== commands).sort();
      const before = await others();
      const one = { id: 'c1', to, event: { type: 'cancel' } };
      const two = { id: 'c2', to, input: { type: 'echo' } };
      await gateway.publish(shard, [one]);
      await gateway.publish(shard, [one, two], { recipient: 'api', request: 'r1' });
      await gateway.redrive(shard, ['1-1', '2-2'], { recipient: 'api', request: 'r2' });
      await gateway.redrive(shard, ['3-3']);
      expect(await gateway.snapshot(to)).toBe('{"x":1}');
      expect(await gateway.snapshot(`task/t-${shard}-none`)).toBeUndefined();
      expect(await gateway.snapshot('no/address')).toBeUndefined();
      await gateway.setAside(shard, '0-0', 10);
      await gateway.read('api', new Map([[shard, '0-0']]), 1);
      expect(await others()).toEqual(before);
      expect((await stream(commands)).map(({ fields }) => named(fields))).toEqual([
        { command: JSON.stringify(one) },
        { batch: JSON.stringify([one, two]), reply: 'api', request: 'r1' },
        { redrive: '["1-1","2-2"]', reply: 'api', request: 'r2' },
        { redrive: '["3-3"]' },
      ]);
    });

    test('replies come to their recipient, after the given positions, and wake it', async () => {
      const { store, gateway, system } = bed();
      const lease = await leaseOf(store, shard);
      const outcomes: Outcome[] = [{ outcome: 'set-aside', to: undefined, reason: 'unreadable', detail: 'x' }];
      const replies = [
        { recipient: 'me', request: 'r1', outcomes },
        { recipient: 'other', request: 'r2', outcomes },
        { recipient: 'me', request: 'r3', outcomes: [] },
      ];
      const start: ReadonlyMap<number, string> = new Map([
        [shard, '0-0'],
        [shard + 1, '0-0'],
      ]);
      expect(await gateway.read('me', start, 1)).toEqual([]);
      const waiting = gateway.read('me', start, 4_000);
      await system.sleep(30);
      await store.commit(lease, 1, commitOf({ replies }));
      const [woken] = await waiting;
      expect(woken).toMatchObject({ shard, request: 'r1' });
      const mine = await gateway.read('me', start, 1);
      expect(mine.map(({ position: _, ...reply }) => reply)).toEqual([
        { shard, request: 'r1', outcomes: JSON.parse(JSON.stringify(outcomes)) as Outcome[] },
        { shard, request: 'r3', outcomes: [] },
      ]);
      expect(await gateway.read('me', new Map([[shard, mine[0]!.position]]), 1)).toEqual([mine[1]]);
    });
  });

  describe('journal', () => {
    test('range, last and read give the entries after a position, in order', async () => {
      const { store, journals } = bed();
      expect(await journals.last(shard)).toBe('0-0');
      expect(await journals.range(shard, '0-0', 10)).toEqual([]);
      const lease = await leaseOf(store, shard);
      const stored: (string | undefined)[] = [];
      for (let sequence = 1; sequence <= 3; sequence++) {
        const outcome = await store.commit(lease, sequence, commitOf({ journal: journalText(shard, 1, sequence) }));
        if (outcome.outcome === 'committed') stored.push(outcome.journal);
      }
      const all = await journals.range(shard, '0-0', 10);
      expect(all.map(({ position, entry }) => [position, entry.sequence])).toEqual(stored.map((p, n) => [p, n + 1]));
      expect(await journals.range(shard, '0-0', 2)).toEqual(all.slice(0, 2));
      expect(await journals.range(shard, all[1]!.position, 10)).toEqual(all.slice(2));
      expect(await journals.last(shard)).toBe(all[2]!.position);
      expect(await journals.read(new Map([[shard, all[0]!.position]]), 10, 1)).toEqual(all.slice(1));
      expect(await journals.read(new Map([[shard, '0-0']]), 1, 1)).toEqual(all.slice(0, 1));
    });

    test('a follower of several shards is woken by any of them', async () => {
      const { store, journals, system } = bed();
      const lease = await leaseOf(store, shard + 1);
      const after = new Map([
        [shard, '0-0'],
        [shard + 1, '0-0'],
      ]);
      expect(await journals.read(after, 10, 30)).toEqual([]);
      const waiting = journals.read(after, 10, 4_000);
      await system.sleep(30);
      await store.commit(lease, 1, commitOf({ journal: journalText(shard + 1, 1, 1) }));
      expect(await waiting).toMatchObject([{ entry: { shard: shard + 1, sequence: 1 } }]);
    });
  });
}
