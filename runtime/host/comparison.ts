/**
 * The anti-entropy check: actors of both sites side by side. A pair that goes on changes under the look, so what seems to
 * differ is looked at once more when the standby has everything that the other site had, and nothing was written meanwhile
 * or the revisions are the same.
 */
import { limits } from '../../config/limits.ts';
import type { MirrorStore, PeerSite, ShardStore, System } from '../ports.ts';
import type { Address } from '../protocol/ids.ts';
import { viewOfStored } from '../protocol/snapshot.ts';

export interface ComparisonSettings {
  shards: readonly number[];
  store: Pick<ShardStore, 'load' | 'scan'>;
  mirrors: Pick<MirrorStore, 'head' | 'sample' | 'place'>;
  peer: PeerSite;
  system: System;
  /** Ends a comparison that takes long; what it found until then stands. */
  signal?: AbortSignal;
}

export interface Drift {
  shard: number;
  actor: Address;
  detail: string;
}

export interface Comparison {
  /** Actors that were alike, each counted as often as it was looked at. */
  compared: number;
  equal: boolean;
  drift: Drift[];
  /** Shards that did not come up with the other site in time, or are being copied: nothing is said of them. */
  unjudged: number[];
}

/** @param full all actors, and not a sample of each shard @throws Unavailable */
export async function compareSites(settings: ComparisonSettings, full = false): Promise<Comparison> {
  const found: Comparison = { compared: 0, equal: true, drift: [], unjudged: [] };
  for (const shard of settings.shards) if (!settings.signal?.aborted) await compareShard(settings, shard, full, found);
  found.equal = found.drift.length === 0;
  return found;
}

async function compareShard(
  settings: ComparisonSettings,
  shard: number,
  full: boolean,
  found: Comparison,
): Promise<void> {
  const { store, mirrors, peer } = settings;
  if ((await mirrors.place(shard)).copying) {
    found.unjudged.push(shard);
    return;
  }
  const suspects = new Set<Address>();
  const look = async (addresses: readonly Address[]): Promise<void> => {
    if (addresses.length === 0) return;
    const [here, there] = await Promise.all([store.load(shard, addresses), peer.load(shard, addresses)]);
    for (const address of addresses)
      if (here.get(address) === there.get(address)) found.compared++;
      else suspects.add(address);
  };
  if (full)
    for (const site of [peer, store])
      for (let cursor = '0', done = false; !done && !settings.signal?.aborted;) {
        const page = await site.scan(shard, cursor);
        ({ cursor, done } = page);
        await look(page.snapshots.map(([address]) => address));
      }
  else for (const site of [peer, mirrors]) await look(await site.sample(shard, limits.checkActorsPerShardMax));
  if (suspects.size > 0) await lookAgain(settings, shard, [...suspects], found);
}

async function lookAgain(
  { store, mirrors, peer, system }: ComparisonSettings,
  shard: number,
  suspects: readonly Address[],
  found: Comparison,
): Promise<void> {
  const end = system.monotonicMs() + limits.checkEvenMs;
  for (let left = suspects; left.length > 0;) {
    const { head: before } = await peer.whereabouts(shard);
    while ((await mirrors.head(shard)).sequence < before.sequence && system.monotonicMs() < end) await system.sleep(20);
    const mine = await mirrors.head(shard);
    const [here, there] = await Promise.all([store.load(shard, left), peer.load(shard, left)]);
    const { head: after } = await peer.whereabouts(shard);
    const isStill = mine.hash === before.hash && after.hash === before.hash;
    left = left.filter((actor) => {
      const [own, others] = [here.get(actor), there.get(actor)];
      if (own === others) found.compared++;
      else if (!isStill && !isOfOneRevision(own, others)) return true;
      else found.drift.push({ shard, actor, detail: differenceOf(own, others) });
      return false;
    });
    if (left.length > 0 && system.monotonicMs() >= end) {
      found.unjudged.push(shard);
      return;
    }
  }
}

function isOfOneRevision(own: string | undefined, others: string | undefined): boolean {
  return own !== undefined && others !== undefined && revisionOf(own) === revisionOf(others);
}

function revisionOf(text: string): number {
  return viewOfStored('', text).revision;
}

function differenceOf(own: string | undefined, others: string | undefined): string {
  if (own === undefined) return 'it is missing here';
  if (others === undefined) return 'it is here only';
  const [mine, theirs] = [viewOfStored('', own), viewOfStored('', others)];
  const place = ({ revision, state }: typeof mine): string => `revision ${revision} in ${JSON.stringify(state)}`;
  return `${place(mine)} here, ${place(theirs)} there`;
}

/** Actors that mirrors are to take from the other site as they stand there. */
export class Repairs {
  readonly #wanted = new Map<number, Set<Address>>();

  ask(drift: readonly Pick<Drift, 'shard' | 'actor'>[]): void {
    for (const { shard, actor } of drift) {
      const wanted = this.#wanted.get(shard);
      if (wanted) wanted.add(actor);
      else this.#wanted.set(shard, new Set([actor]));
    }
  }

  /** What is asked for of the shard; it is not asked for any more. */
  take(shard: number): Address[] {
    const wanted = [...(this.#wanted.get(shard) ?? [])];
    this.#wanted.delete(shard);
    return wanted;
  }
}
