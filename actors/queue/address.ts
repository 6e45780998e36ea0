/** Where the queue actor of a task type lives: in the shard of the type. */
import { address, hash32, makeId, shardOfLane, type Address } from '../../runtime/protocol/ids.ts';

const readableLength = 80;

/** Types of up to 80 characters stand in the id as they are; of longer ones a hash does, after a "~" that no type has. */
export function queueAddress(type: string, shards: number): Address {
  const hash = `${hash32(type).toString(16)}${hash32(`${type}~`).toString(16)}`;
  const unique = type.length <= readableLength ? type : `${type.slice(0, 60)}~${hash}`;
  return address('queue', makeId('q', shardOfLane(type, 0, shards), unique));
}
