/** What a site that lost hands over of one shard: packages in a stream of its own, before anything of it is overwritten. */
import { limits } from '../../config/limits.ts';
import { emptyCommit } from '../core/decision.ts';
import { lossesOf, type Lost } from '../core/merge/lost.ts';
import { entryOf } from '../core/merge/replica.ts';
import type { Application, Commit, MirrorStore, PeerSite, ShardStore } from '../ports.ts';
import type { Cursor } from '../protocol/chain.ts';
import type { Address } from '../protocol/ids.ts';
import { nameOf } from './mirrored.ts';
import { waitingIn } from './waiting.ts';

export interface HandOverSettings {
  shard: number;
  application: Application;
  mailboxes: readonly string[];
  /** Number of this site. */
  site: number;
  fork: Lost['fork'];
  mirrors: MirrorStore;
  peer: PeerSite;
  snapshots: Pick<ShardStore, 'load'>;
}

type Store = (commit: Commit) => Promise<void>;

/** @returns number of packages; repeated after a crash it may hand over again, which the other site recognises by the ids */
export async function handOver(settings: HandOverSettings, commit: Store): Promise<number> {
  const { shard, fork, mirrors, application, mailboxes } = settings;
  const links = await mirrors.tail(shard, fork.sequence + 1);
  const sequence = links.at(-1)?.sequence ?? fork.sequence;
  const waiting = await waitingIn(shard, sequence, mailboxes, mirrors, application);
  const records = waiting?.records ?? [];
  const touched = new Set<Address>(links.flatMap((link) => entryOf(link).records.map(({ actor }) => actor)));
  const snapshots = await load(settings, [...touched, ...records.map(({ record }) => record.actor)]);
  const losses = lossesOf(fork, links, records, (address) => snapshots.get(address) ?? null);
  await publish(settings, losses, commit);
  // What was waiting is in the packages: here nobody decides it any more.
  if (waiting) await commit({ ...emptyCommit(0), acks: waiting.acks });
  return losses.length;
}

/**
 * What waits at a site that gave its place up with nothing written beside the other one: it goes there too.
 * @returns number of packages
 */
export async function handOverWaiting(
  settings: Omit<HandOverSettings, 'fork'> & { head: Cursor },
  commit: Store,
): Promise<number> {
  const { shard, mirrors, application, mailboxes, head } = settings;
  const waiting = await waitingIn(shard, head.sequence, mailboxes, mirrors, application);
  if (!waiting) return 0;
  const snapshots = await load(
    settings,
    waiting.records.map(({ record }) => record.actor),
  );
  const losses = lossesOf(head, [], waiting.records, (address) => snapshots.get(address) ?? null);
  await publish(settings, losses, commit);
  const putOff = new Map(waiting.putOff.map((envelope) => [nameOf(envelope), JSON.stringify(envelope)]));
  await commit({ ...emptyCommit(0), acks: waiting.acks, mirror: { putOff } });
  return losses.length;
}

async function load(
  { shard, snapshots }: Pick<HandOverSettings, 'shard' | 'snapshots'>,
  wanted: readonly Address[],
): Promise<Map<Address, string>> {
  const texts = new Map<Address, string>();
  for (let from = 0; from < wanted.length; from += limits.scanCount)
    for (const [address, text] of await snapshots.load(shard, wanted.slice(from, from + limits.scanCount)))
      texts.set(address, text);
  return texts;
}

async function publish(
  { shard, site, mirrors, peer }: Pick<HandOverSettings, 'shard' | 'site' | 'mirrors' | 'peer'>,
  losses: readonly Lost[],
  commit: Store,
): Promise<void> {
  if (losses.length === 0) return;
  // Numbers go on behind what the other site has taken, whatever became of the stream in which the last ones stood.
  const known = Number((await peer.taken(shard, site))?.split(' ')[0] ?? 0);
  let number = Math.max(known, await mirrors.lostNumber(shard));
  for (let from = 0; from < losses.length; from += limits.lostPackagesMax) {
    const page = losses.slice(from, from + limits.lostPackagesMax);
    await commit({
      ...emptyCommit(0),
      mirror: { losses: page.map((lost) => ({ number: ++number, text: JSON.stringify(lost) })) },
    });
  }
}
