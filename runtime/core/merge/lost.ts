/**
 * What a branch that lost held of one actor, as the site that wrote it hands it over: everything that was decided after the
 * fork, and how the actor stood at its end. It is data: the current branch decides what becomes of it (see takeup.ts).
 */
import type { Cursor, Link } from '../../protocol/chain.ts';
import { parseAddress, type Address } from '../../protocol/ids.ts';
import { isObject } from '../../protocol/json.ts';
import type { JournalRecord } from '../../protocol/journal.ts';
import { entryOf } from './replica.ts';

/** A record with the place of its link and the time of its decision (milliseconds since 1970). */
export interface LostRecord {
  readonly sequence: number;
  readonly at: number;
  readonly record: JournalRecord;
}

export interface Lost {
  readonly actor: Address;
  /** The last link that both branches have; sequence 0 is the beginning. */
  readonly fork: Pick<Cursor, 'epoch' | 'sequence' | 'hash'>;
  /** The end of the branch that lost. */
  readonly branch: Pick<Cursor, 'epoch' | 'sequence'>;
  /** In order. A record without a decision (revision 0) was waiting to be decided: it comes last. */
  readonly records: readonly LostRecord[];
  /** The actor at the end of the branch, as it is stored; null where it is gone. */
  readonly snapshot: string | null;
}

/**
 * One package per actor, in the order in which the branch touched them.
 * @param links of the branch after the fork, in order; at least one, where nothing waits
 * @param waiting commands that nobody had decided
 * @param snapshotOf the actor at the end of the branch
 */
export function lossesOf(
  fork: Lost['fork'],
  links: readonly Link[],
  waiting: readonly LostRecord[],
  snapshotOf: (actor: Address) => string | null,
): Lost[] {
  const records = new Map<Address, LostRecord[]>();
  const add = (lost: LostRecord): void => {
    const list = records.get(lost.record.actor);
    if (list) list.push(lost);
    else records.set(lost.record.actor, [lost]);
  };
  for (const link of links) {
    const { at, records: decided } = entryOf(link);
    for (const record of decided) add({ sequence: link.sequence, at, record });
  }
  for (const lost of waiting) add(lost);
  const end = links.at(-1) ?? fork;
  const branch = { epoch: end.epoch, sequence: end.sequence };
  return [...records].map(([actor, list]) => ({
    actor,
    fork: { epoch: fork.epoch, sequence: fork.sequence, hash: fork.hash },
    branch,
    records: list,
    snapshot: snapshotOf(actor),
  }));
}

/** What came from another site is looked at like everything that stands on a stream (R10). */
export function isLost(value: unknown): value is Lost {
  if (!isObject(value)) return false;
  const { actor, fork, branch, records, snapshot } = value;
  if (typeof actor !== 'string' || !parseAddress(actor)) return false;
  if (!isPlace(fork) || !isPlace(branch) || (snapshot !== null && typeof snapshot !== 'string')) return false;
  return (
    Array.isArray(records) &&
    records.length > 0 &&
    records.every(
      (item) =>
        isObject(item) &&
        typeof item['sequence'] === 'number' &&
        typeof item['at'] === 'number' &&
        isObject(item['record']) &&
        item['record']['actor'] === actor &&
        typeof item['record']['id'] === 'string',
    )
  );
}

function isPlace(value: unknown): boolean {
  return isObject(value) && typeof value['epoch'] === 'number' && typeof value['sequence'] === 'number';
}
