/** The control shard, and the two actors of a site of a pair that live in it. */
import { address, makeId, type Address } from '../../runtime/protocol/ids.ts';
import type { SiteNumber } from '../../runtime/protocol/siteepoch.ts';

export type SiteName = 'primary' | 'secondary';

/** One more than the data shards: it is neither gated nor mirrored, and runs at a site whatever the role of the site is. */
export function controlShard(shards: number): number {
  return shards;
}

export function siteAddress(name: SiteName, shards: number): Address {
  return address('site', makeId('c', controlShard(shards), name));
}

export function syncAddress(name: SiteName, shards: number): Address {
  return address('sync', makeId('c', controlShard(shards), name));
}

export function siteNumber(name: SiteName): SiteNumber {
  return name === 'primary' ? 1 : 2;
}

export function otherSite(name: SiteName): SiteName {
  return name === 'primary' ? 'secondary' : 'primary';
}
