/**
 * A shard copied from the other site while that one goes on. Snapshots are read page by page and so are of different
 * moments; the links that were written meanwhile are replayed over them, and a record that a snapshot holds already is
 * passed over. Links before are kept as history, not replayed: what they did is in every snapshot.
 */
import { limits } from '../../config/limits.ts';
import { emptyCommit, type MirrorChange } from '../core/decision.ts';
import { InvariantBroken } from '../core/invariant.ts';
import { begun, type Begin } from '../core/merge/course.ts';
import { entryOf, followEntry, type Actors } from '../core/merge/replica.ts';
import type { Commit, PeerSite, Registry } from '../ports.ts';
import type { Cursor, Link } from '../protocol/chain.ts';
import { Unavailable } from '../protocol/errors.ts';
import type { Envelope } from '../protocol/envelope.ts';
import type { Address } from '../protocol/ids.ts';
import { positionStart, type JournalRecord, type Position } from '../protocol/journal.ts';
import type { Actor } from '../core/actor.ts';
import { mirrored, nameOf, thawed } from './mirrored.ts';

export interface CopySettings {
  shard: number;
  peer: PeerSite;
  registry: Registry;
  /** Mailboxes that are there now. */
  mailboxes: readonly string[];
  /** Links from here on are kept as history. */
  from: number;
  nowMs: () => number;
  progress: (snapshots: number) => void;
  stopped: () => boolean;
}

export async function copyShard(settings: CopySettings, commit: (commit: Commit) => Promise<void>): Promise<void> {
  const { shard, peer, registry, mailboxes, from, nowMs, progress, stopped } = settings;
  const start = await peer.whereabouts(shard);
  const first = Math.max(from, start.oldest);
  const beside = await peer.beside(shard);
  progress(0);
  const opening = await firstLink(peer, shard, first);
  const head: Cursor = opening
    ? { ...start.head, epoch: 0, sequence: opening.link.sequence - 1, hash: opening.link.previous }
    : start.head;
  const begins = start.begins.filter(({ sequence }) => sequence <= head.sequence);
  const anew = { ...head, epoch: opening ? (begins.at(-1)?.epoch ?? 0) : head.epoch };
  await commit({
    ...emptyCommit(nowMs()),
    mailboxesOpened: beside.mailboxes,
    relayed: beside.relayed,
    sent: beside.sent,
    outbound: beside.outbound.map(({ shard: target, number, envelope }) => ({
      ...{ shard: target, number },
      envelope: JSON.parse(envelope) as Envelope,
    })),
    mirror: {
      anew: { mailboxes, head: anew, begins },
      copying: true,
      cursor: positionStart,
      delivered: beside.delivered.map(({ shard: source, number, envelope }) => ({ source, number, envelope })),
      putOff: new Map(beside.putOff.map((envelope) => [nameOf(envelope), JSON.stringify(envelope)])),
    },
  });
  const actors: Actors = new Map();
  let cursor = '0';
  let copied = 0;
  for (let done = false; !done;) {
    if (stopped()) throw new Unavailable('peer', 'stopped while it was copying');
    const page = await peer.scan(shard, cursor);
    ({ cursor, done } = page);
    for (const [address, text] of page.snapshots) actors.set(address, thawed(registry, address, text));
    copied += page.snapshots.length;
    if (page.snapshots.length > 0) await commit({ ...emptyCommit(nowMs()), snapshots: new Map(page.snapshots) });
    progress(copied);
  }
  const end = await peer.whereabouts(shard);
  await replay({ settings, commit, actors, head: anew, begins, start: start.head, end: end.head, sent: beside.sent });
  await commit({ ...emptyCommit(nowMs()), mirror: { copying: false } });
}

async function firstLink(
  peer: PeerSite,
  shard: number,
  sequence: number,
): Promise<{ position: Position; link: Link } | undefined> {
  let after = positionStart;
  for (;;) {
    const page = await peer.links(shard, after, limits.mirrorLinksMax, 1);
    const found = page.find(({ link }) => link.sequence >= sequence);
    if (found) return found;
    const last = page.at(-1);
    if (!last) return undefined;
    after = last.position;
  }
}

interface Replaying {
  settings: CopySettings;
  commit: (commit: Commit) => Promise<void>;
  actors: Actors;
  head: Cursor;
  begins: readonly Begin[];
  /** Heads of the other site before and after its snapshots were read. */
  start: Cursor;
  end: Cursor;
  sent: ReadonlyMap<number, number>;
}

async function replay({ settings, commit, actors, start, end, sent, ...from }: Replaying): Promise<void> {
  const { shard, peer, registry, stopped } = settings;
  let { head, begins } = from;
  let after = positionStart;
  while (head.sequence < end.sequence) {
    const page = await peer.links(shard, after, limits.mirrorLinksMax, limits.mirrorBlockMs);
    if (page.length === 0 || stopped()) throw new Unavailable('peer', 'the links of a copy did not come');
    for (const { position, link } of page) {
      after = position;
      if (link.sequence <= head.sequence) continue;
      if (link.previous !== head.hash)
        throw new InvariantBroken('I2', `${link.sequence} does not follow ${head.sequence}`);
      begins = begun(begins, head, link);
      head = { incarnation: link.incarnation, epoch: link.epoch, sequence: link.sequence, hash: link.hash };
      const entry = entryOf(link);
      if (link.sequence <= start.sequence) {
        const history = { ...emptyCommit(entry.at), journal: link.text, link, begins };
        await commit({ ...history, mirror: { cursor: position } satisfies MirrorChange });
        continue;
      }
      const before = new Map<Address, Actor | undefined>(
        entry.records.map(({ actor }) => [actor, actors.get(actor)] as const),
      );
      for (const record of entry.records)
        if (isNews(actors.get(record.actor), record))
          followEntry(registry, actors, { at: entry.at, records: [record] });
      const commitOfLink = mirrored(entry, link, begins, position, before, actors);
      commitOfLink.outbound = commitOfLink.outbound.filter(
        ({ shard: target, number }) => number > (sent.get(target) ?? 0),
      );
      await commit(commitOfLink);
    }
  }
}

/** Whether a snapshot does not hold the record yet. An actor that is gone was gone when its page was read. */
export function isNews(actor: Actor | undefined, record: JournalRecord): boolean {
  if (record.outcome === 'duplicate' || record.outcome === 'refused') return false;
  if (record.outcome === 'retired') return actor !== undefined && actor.revision === record.revision;
  return actor ? record.revision > actor.revision : record.revision === 1;
}
