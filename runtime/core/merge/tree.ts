/**
 * The histories of one shard as a tree of links. Forks come from promotions: each branch that leaves the common past has an
 * epoch of its own. The branch with the highest epoch is the current one, whatever its length and whoever heard of it first.
 */
import type { Cursor, Link } from '../../protocol/chain.ts';
import { InvariantBroken } from '../invariant.ts';

export class BranchTree {
  readonly #links = new Map<string, Link>();
  readonly #children = new Map<string, number>();
  #tip: Link | undefined;

  constructor(links: Iterable<Link> = []) {
    for (const link of links) this.add(link);
  }

  get size(): number {
    return this.#links.size;
  }

  /** The end of the current branch; undefined for an empty tree. */
  get tip(): Link | undefined {
    return this.#tip;
  }

  has(hash: string): boolean {
    return this.#links.has(hash);
  }

  /** False when it was there. @throws InvariantBroken when two links claim one place of one epoch */
  add(link: Link): boolean {
    if (this.#links.has(link.hash)) return false;
    const siblings = this.#children.get(link.previous) ?? 0;
    if (siblings > 0)
      for (const other of this.#links.values())
        if (other.previous === link.previous && other.epoch === link.epoch)
          throw new InvariantBroken('I1', `two links stand at ${link.epoch}.${link.sequence}`);
    this.#links.set(link.hash, link);
    this.#children.set(link.previous, siblings + 1);
    if (!this.#tip || precedes(this.#tip, link)) this.#tip = link;
    return true;
  }

  /** Links from after `from` (a hash; the beginning without it) to `to`; undefined when one of them is missing. */
  path(to: string, from = ''): Link[] | undefined {
    const path: Link[] = [];
    for (let hash = to; hash !== from;) {
      const link = this.#links.get(hash);
      if (!link) return undefined;
      path.push(link);
      hash = link.previous;
    }
    return path.reverse();
  }

  /** Hash of the last link that both histories have; empty when that is none. */
  lastCommon(left: string, right: string): string {
    const seen = new Set<string>();
    for (let hash = left; hash !== ''; hash = this.#links.get(hash)?.previous ?? '') seen.add(hash);
    for (let hash = right; hash !== ''; hash = this.#links.get(hash)?.previous ?? '') if (seen.has(hash)) return hash;
    return '';
  }

  /** The current branch from its beginning. */
  current(): Link[] {
    return this.#tip ? (this.path(this.#tip.hash) ?? []) : [];
  }

  /** What stands beside the current branch, by epoch and sequence: the order in which it is taken up again. */
  losing(): Link[] {
    const current = new Set(this.current().map(({ hash }) => hash));
    return [...this.#links.values()]
      .filter(({ hash }) => !current.has(hash))
      .sort((left, right) => left.epoch - right.epoch || left.sequence - right.sequence);
  }

  /** Ends of all branches beside the current one. */
  losingTips(): Link[] {
    return this.losing().filter(({ hash }) => !this.#children.has(hash));
  }
}

/** Whether `right` is further than `left`: a higher epoch, or later in the same. */
export function precedes(left: Pick<Cursor, 'epoch' | 'sequence'>, right: Pick<Cursor, 'epoch' | 'sequence'>): boolean {
  return left.epoch < right.epoch || (left.epoch === right.epoch && left.sequence < right.sequence);
}
