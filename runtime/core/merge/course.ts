/**
 * What a standby does about one shard, from where it stands and where the other site stands. Pure, so that the simulator and
 * the mirror take the same course.
 */
import { limits } from '../../../config/limits.ts';
import type { Cursor } from '../../protocol/chain.ts';

/** Where a branch began: its first link, and the hash of the one before, of a lower epoch. */
export interface Begin {
  readonly epoch: number;
  readonly sequence: number;
  readonly previous: string;
}

export interface Whereabouts {
  readonly head: Cursor;
  /** Where the branches on the way to the head began, the newest last. */
  readonly begins: readonly Begin[];
  /** Sequence of the oldest link that its journal still has; one more than the head's where it has none. */
  readonly oldest: number;
}

export type Course =
  /** The head stands on the peer's history: its next links continue it. */
  | { readonly course: 'follow' }
  /** The peer is behind, or on a branch that lost: it has to move first. */
  | { readonly course: 'wait' }
  /** What this site wrote after the fork is not in the peer's history: hand it over, then copy. */
  | {
      readonly course: 'yield';
      readonly fork: Pick<Cursor, 'epoch' | 'sequence' | 'hash'>;
      /** Links after the fork that its journal does not have any more, and nobody can hand over. */
      readonly gone: number;
    }
  /** It is another history altogether, and nobody can say which is right: a person has to. */
  | { readonly course: 'refuse' }
  /** Nothing of its own is lost, but its history cannot be continued link by link. */
  | { readonly course: 'copy'; readonly why: string };

export function courseOf(mine: Whereabouts, peer: Whereabouts): Course {
  const { head } = mine;
  if (head.incarnation !== peer.head.incarnation)
    return head.sequence === 0 ? { course: 'copy', why: 'this shard is new' } : { course: 'refuse' };
  if (head.epoch > peer.head.epoch) return { course: 'wait' };
  const fork = forkOf(mine.begins, peer.begins);
  if (fork && head.sequence > fork.sequence)
    return { course: 'yield', fork, gone: Math.max(0, mine.oldest - fork.sequence - 1) };
  if (head.sequence > peer.head.sequence) return { course: 'wait' };
  if (head.sequence < peer.head.sequence && peer.oldest > head.sequence + 1)
    return { course: 'copy', why: `the peer's journal begins at ${peer.oldest}, this site has ${head.sequence}` };
  return { course: 'follow' };
}

/** The last link that both have; undefined where neither left the history of the other. */
function forkOf(
  mine: readonly Begin[],
  peer: readonly Begin[],
): Pick<Cursor, 'epoch' | 'sequence' | 'hash'> | undefined {
  let common = 0;
  while (common < mine.length && common < peer.length && isSame(mine[common]!, peer[common]!)) common++;
  const [left, right] = [mine[common], peer[common]];
  const first = left && (!right || left.sequence <= right.sequence) ? left : right;
  if (!first) return undefined;
  return { epoch: mine[common - 1]?.epoch ?? 0, sequence: first.sequence - 1, hash: first.previous };
}

function isSame(left: Begin, right: Begin): boolean {
  return left.epoch === right.epoch && left.sequence === right.sequence && left.previous === right.previous;
}

/** The begins of a branch after its next link. */
export function begun(
  begins: readonly Begin[],
  head: Cursor,
  next: Pick<Cursor, 'epoch' | 'sequence'>,
): readonly Begin[] {
  return next.epoch === head.epoch
    ? begins
    : [...begins.slice(1 - limits.branchesMax), { epoch: next.epoch, sequence: next.sequence, previous: head.hash }];
}
