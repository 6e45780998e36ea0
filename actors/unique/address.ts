/** Where a uniqueness key lives: with the tasks of its type, or by its digest when it spans types. */
import { address, hash32, makeId, shardOfLane, type Address } from '../../runtime/protocol/ids.ts';

/**
 * @param digest what is to be unique, hashed: hexadecimal
 * @param type of the tasks, when the key is of one type
 */
export function uniqueAddress(digest: string, type: string | undefined, shards: number): Address {
  const shard = type === undefined ? hash32(digest) % shards : shardOfLane(type, 0, shards);
  return address('unique', makeId('u', shard, digest));
}
