/**
 * The standby's side of the journal: links go through the same `step` as they did at the active site, and must come out the
 * same (R9). Effects are computed and dropped: a mirror originates nothing (R8).
 */
import type { Link } from '../../protocol/chain.ts';
import { stateText, type Envelope } from '../../protocol/envelope.ts';
import { hash32, parseAddress, type Address } from '../../protocol/ids.ts';
import type { JournalEntry, JournalRecord } from '../../protocol/journal.ts';
import { freeze, stateTextOf, type Actor } from '../actor.ts';
import type { Registry } from '../definition.ts';
import { InvariantBroken } from '../invariant.ts';
import { step } from '../step.ts';

export type Actors = Map<Address, Actor>;

export function entryOf(link: Pick<Link, 'text'>): JournalEntry {
  return JSON.parse(link.text) as JournalEntry;
}

export function envelopeOf(record: JournalRecord): Envelope {
  return {
    id: record.id,
    to: record.actor,
    origin: record.origin,
    ...(record.input && { input: record.input }),
    ...(record.event && { event: record.event }),
    ...(record.by !== undefined && { by: record.by }),
  };
}

/**
 * Takes the links up, in order.
 * @param only the actors to follow; all of them without it
 * @throws InvariantBroken when a record comes out otherwise than it was written
 */
export function follow(registry: Registry, actors: Actors, links: readonly Link[], only?: ReadonlySet<Address>): void {
  for (const link of links) followEntry(registry, actors, entryOf(link), only);
}

/** The same for an entry that was read already. */
export function followEntry(
  registry: Registry,
  actors: Actors,
  { at, records }: Pick<JournalEntry, 'at' | 'records'>,
  only?: ReadonlySet<Address>,
): void {
  for (const record of records) if (!only || only.has(record.actor)) followRecord(registry, actors, record, at);
}

function followRecord(registry: Registry, actors: Actors, record: JournalRecord, atMs: number): void {
  const definition = registry.get(parseAddress(record.actor)?.definition ?? '');
  const what = () => `${record.actor} at revision ${record.revision}, ${record.event?.type ?? 'create'}`;
  if (!definition) throw new InvariantBroken('R9', `${what()}: this release has no such definition`);
  const decision = step(definition, actors.get(record.actor), envelopeOf(record), atMs);
  const written = record.outcome ?? 'applied';
  if (decision.outcome !== written)
    throw new InvariantBroken('R9', `${what()}: the journal says ${written}, the replay ${decision.outcome}`);
  if (decision.outcome === 'retired') actors.delete(record.actor);
  if (decision.outcome !== 'applied') return;
  const { actor } = decision;
  if (actor.revision !== record.revision || stateTextOf(actor) !== stateText(record.state))
    throw new InvariantBroken('R9', `${what()}: the replay is at ${actor.revision} in ${stateTextOf(actor)}`);
  actors.set(record.actor, actor);
}

/** One number for everything that actors hold, whatever order they came in: what both sites compare. */
export function stateHash(actors: ReadonlyMap<Address, Actor>): number {
  let sum = 0;
  for (const [address, actor] of actors) sum = (sum + hash32(`${address} ${freeze(actor)}`)) >>> 0;
  return sum;
}
