/** Where a bulk action lives: spread over the shards by its own name. */
import { address, makeId, shardOfLane, type Address } from '../../runtime/protocol/ids.ts';

export const bulkPrefix = 'b';

/** @param unique a ULID, so that ids sort by time within a shard */
export function bulkId(unique: string, shards: number): string {
  return makeId(bulkPrefix, shardOfLane(unique, 0, shards), unique);
}

export function bulkAddress(id: string): Address {
  return address('bulk', id);
}
