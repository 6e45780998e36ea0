/** What leaves a shard for others: envelopes by the relay, what was set aside, and the janitor's work. */
import { beforeEach, describe, expect, test } from 'vitest';
import { peerReader } from '../../runtime/protocol/keys.ts';
import { limits } from '../../config/limits.ts';
import { ahead, named, type Bed } from './bed.ts';
import { commitOf, envelopeTo, journalText, leaseOf } from './commits.ts';

export function relaySuite(bed: () => Bed): void {
  describe('relay', () => {
    let shard = 400;
    beforeEach(() => void (shard += 2));

    test('outbound entries stand in order until they are removed; their delivery names source and number', async () => {
      const { store, space, stream } = bed();
      const [target, lease] = [shard + 1, await leaseOf(store, shard)];
      const envelopes = [1, 2, 3].map((n) => envelopeTo(`task/t-${target}-x`, `e${n}`));
      const outbound = envelopes.map((envelope, index) => ({ shard: target, number: index + 1, envelope }));
      await store.commit(lease, 1, commitOf({ outbound, sent: new Map([[target, 3]]) }));
      const entries = await store.outbound(shard, 2);
      expect(entries.map(({ number, envelope }) => [number, JSON.parse(envelope)])).toEqual([
        [1, envelopes[0]],
        [2, envelopes[1]],
      ]);
      await store.deliver(shard, entries);
      // At least once: a relay that lost its answer delivers again.
      await store.deliver(shard, entries.slice(0, 1));
      await store.removeOutbound(
        shard,
        entries.map(({ id }) => id),
      );
      expect((await store.outbound(shard, 10)).map(({ number }) => number)).toEqual([3]);
      const delivered = (await stream(space.shard(target).commands)).map(({ fields }) => named(fields));
      const [first, second] = entries.map(({ number, envelope }) => ({
        relayed: envelope,
        source: String(shard),
        number: String(number),
      }));
      expect(delivered).toEqual([first, second, first]);
      await store.removeOutbound(shard, []);
      await store.deliver(shard, []);
    });

    test('what is set aside is listed, found by its id, and gone once it is redriven', async () => {
      const { store, gateway } = bed();
      const lease = await leaseOf(store, shard);
      const item = (n: number) => ({
        source: 'outbox:a-1-x',
        entry: `${n}-0`,
        reason: 'unreadable',
        detail: `detail ${n}`,
        fields: JSON.stringify(['kind', String(n)]),
      });
      await store.commit(lease, 1, commitOf({ setAside: [item(1), item(2), item(3)] }));
      const all = await gateway.setAside(shard, '0-0', 10);
      expect(all.map(({ id: _, ...rest }) => rest)).toEqual([item(1), item(2), item(3)]);
      expect(await gateway.setAside(shard, '0-0', 2)).toEqual(all.slice(0, 2));
      expect(await gateway.setAside(shard, all[1]!.id, 10)).toEqual(all.slice(2));
      const found = await store.setAsideEntries(shard, [all[1]!.id, '1-1']);
      expect(found).toEqual(new Map([[all[1]!.id, item(2)]]));
      await store.commit(lease, 2, commitOf({ redriven: [all[1]!.id] }));
      expect((await gateway.setAside(shard, '0-0', 10)).map(({ entry }) => entry)).toEqual(['1-0', '3-0']);
      expect(await store.setAsideEntries(shard, [all[1]!.id])).toEqual(new Map());
    });
  });

  describe('tidying', () => {
    let shard = 450;
    beforeEach(() => void shard++);
    // A server deletes whole nodes of a stream, 100 entries each.
    const count = 350;

    async function journalOf(): Promise<string[]> {
      const { store, journals } = bed();
      const lease = await leaseOf(store, shard);
      for (let sequence = 1; sequence <= count; sequence++)
        await store.commit(lease, sequence, commitOf({ journal: journalText(shard, 1, sequence) }));
      return (await journals.range(shard, '0-0', count)).map(({ position }) => position);
    }

    test('the journal is trimmed below what every reader has stored, and nowhere else', async () => {
      const { store, system, journals, janitor } = bed();
      const positions = await journalOf();
      const lease = await leaseOf(store, shard);
      const late = janitor(['postgres', 'mirror'], ahead(system, 2 * limits.journalKeepMs));
      await journals.acknowledge(shard, 'postgres', positions[300]!);
      expect((await late.tidy(lease, [])).journalTrimmed).toBe(0);
      await journals.acknowledge(shard, 'mirror', positions[250]!);
      const { journalTrimmed } = await late.tidy(lease, []);
      expect(journalTrimmed).toBeGreaterThanOrEqual(100);
      expect(journalTrimmed).toBeLessThanOrEqual(250);
      const left = (await journals.range(shard, '0-0', count)).map(({ position }) => position);
      expect(left).toEqual(positions.slice(journalTrimmed));
    });

    test('young entries stay for live followers, though every reader has them', async () => {
      const { store, system, journals, janitor } = bed();
      const positions = await journalOf();
      const lease = await leaseOf(store, shard);
      await journals.acknowledge(shard, 'postgres', positions.at(-1)!);
      expect((await janitor(['postgres'], ahead(system, 0)).tidy(lease, [])).journalTrimmed).toBe(0);
      expect(await journals.last(shard)).toBe(positions.at(-1));
    });

    test('the other site of a pair keeps what it does not have yet, once it has said that it follows', async () => {
      const { store, system, journals, janitor } = bed();
      const positions = await journalOf();
      const lease = await leaseOf(store, shard);
      const late = janitor(['postgres'], ahead(system, 2 * limits.journalKeepMs));
      await journals.acknowledge(shard, 'postgres', positions.at(-1)!);
      await journals.acknowledge(shard, peerReader, positions[0]!);
      expect((await late.tidy(lease, [])).journalTrimmed).toBe(0);
      await journals.acknowledge(shard, peerReader, positions[250]!);
      const { journalTrimmed } = await late.tidy(lease, []);
      expect(journalTrimmed).toBeGreaterThanOrEqual(100);
      expect(journalTrimmed).toBeLessThanOrEqual(250);
    });

    test('an inbox is trimmed below what its agent acknowledged', async () => {
      const { store, space, stream, receive, acknowledge } = bed();
      const lease = await leaseOf(store, shard);
      const agent = `a-${shard}-one`;
      const inbox = space.inbox(shard, agent);
      const messages = [...Array(count).keys()].map((n) => ({ kind: 'm', n: String(n) }));
      await store.commit(lease, 1, commitOf({ mailboxesOpened: [agent], posts: new Map([[agent, messages]]) }));
      expect((await store.tidy(lease, [agent])).inboxTrimmed).toBe(0);
      const received = await receive(inbox, 300);
      // Received and not acknowledged: the agent may crash and ask again.
      await acknowledge(
        inbox,
        received.slice(0, 220).map(({ id }) => id),
      );
      const { inboxTrimmed } = await store.tidy(lease, [agent]);
      expect(inboxTrimmed).toBeGreaterThanOrEqual(100);
      expect(inboxTrimmed).toBeLessThanOrEqual(220);
      expect((await stream(inbox)).at(-1)?.fields).toEqual(['kind', 'm', 'n', String(count - 1)]);
      expect((await receive(inbox, count))[0]?.fields).toEqual(['kind', 'm', 'n', '300']);
      // A mailbox that is not there is nobody's business.
      expect((await store.tidy(lease, [`a-${shard}-none`])).inboxTrimmed).toBe(0);
    });
  });
}
