/** What a link of the other site's journal does to the shard of a standby. Pure. */
import { freeze, thaw, type Actor } from '../core/actor.ts';
import { emptyCommit, type MirrorChange } from '../core/decision.ts';
import { InvariantBroken } from '../core/invariant.ts';
import type { Begin } from '../core/merge/course.ts';
import type { Actors } from '../core/merge/replica.ts';
import type { Commit, Registry } from '../ports.ts';
import type { Link } from '../protocol/chain.ts';
import { parseAddress, type Address } from '../protocol/ids.ts';
import type { JournalEntry, Position } from '../protocol/journal.ts';

export function thawed(registry: Registry, address: Address, text: string): Actor {
  const definition = registry.get(parseAddress(address)?.definition ?? '');
  if (!definition) throw new InvariantBroken('R9', `${address}: this release has no such definition`);
  const outcome = thaw(definition, address, text);
  if (!outcome.ok) throw new InvariantBroken('R9', `${address}: ${outcome.detail}`);
  return outcome.actor;
}

/**
 * The commit of a link as the standby makes it: what the active site's commit did to the shard, and nothing that left it.
 * @param before what the actors were that the entry names
 * @param waiting names of the envelopes that are put off here; without it, any may be
 */
export function mirrored(
  entry: JournalEntry,
  link: Link,
  begins: readonly Begin[],
  cursor: Position | undefined,
  before: ReadonlyMap<Address, Actor | undefined>,
  actors: Actors,
  waiting?: ReadonlySet<string>,
): Commit {
  const { at, records, beside = {} } = entry;
  const commit = emptyCommit(at);
  commit.journal = link.text;
  commit.link = link;
  commit.begins = begins;
  for (const [address, was] of before) {
    const actor = actors.get(address);
    if (actor === was) continue;
    commit.snapshots.set(address, actor ? freeze(actor) : null);
  }
  commit.mailboxesOpened.push(...(beside.opened ?? []));
  commit.mailboxesClosed.push(...(beside.closed ?? []));
  for (const [source, taken] of Object.entries(beside.relayed ?? {})) commit.relayed.set(Number(source), taken);
  for (const item of beside.outbound ?? []) {
    commit.sent.set(item.shard, item.number);
    commit.outbound.push(item);
  }
  const putOff = new Map((beside.deferred ?? []).map((envelope) => [nameOf(envelope), JSON.stringify(envelope)]));
  const decided =
    waiting?.size === 0
      ? []
      : records
          .map(({ actor, id }) => nameOf({ to: actor, id }))
          .filter((name) => !putOff.has(name) && waiting?.has(name) !== false);
  commit.mirror = { putOff, decided, ...(cursor !== undefined && { cursor }) } satisfies MirrorChange;
  return commit;
}

export function nameOf({ to, id }: { to: Address; id: string }): string {
  return `${to} ${id}`;
}
