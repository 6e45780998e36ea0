/** A task as it was submitted, on the way to its shard. */
import type { Unique } from '../actors/unique/schema.ts';
import type { Command } from '../runtime/protocol/envelope.ts';
import type { Address } from '../runtime/protocol/ids.ts';

export interface Submission {
  command: Command;
  shard: number;
  id: string;
  /** JSON pointer of the item in the body. */
  at: string;
  ref: string | undefined;
  tenant: string | undefined;
  /** As they stand in the body: ids, and references to items of the same request. */
  dependsOn: readonly string[];
  /** The uniqueness key, where there is to be one of its kind. */
  claim?: Omit<Unique, 'key' | 'by'> & { key: Address };
}
