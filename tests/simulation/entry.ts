/** Journal entries of links, read once: a run looks at each several times. */
import { entryOf } from '../../runtime/core/merge/replica.ts';
import type { TakenUp } from '../../runtime/core/merge/takeup.ts';
import type { Link } from '../../runtime/protocol/chain.ts';
import type { JournalEntry } from '../../runtime/protocol/journal.ts';

const read = new WeakMap<Link, JournalEntry>();

export function entryIn(link: Link): JournalEntry {
  let entry = read.get(link);
  if (!entry) read.set(link, (entry = entryOf(link)));
  return entry;
}

/** What became of branches that lost, as the link keeps it. */
export function reportsIn(link: Link): readonly TakenUp[] {
  return (entryIn(link).beside?.lost ?? []) as unknown as TakenUp[];
}
