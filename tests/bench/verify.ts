/**
 * What makes a number worth printing: every task ended as it should, and the journal that was written under load replays to
 * the very snapshots that are stored (R9).
 */
import { freeze, type Actor } from '../../runtime/core/actor.ts';
import { viewOfStored } from '../../runtime/protocol/snapshot.ts';
import type { Registry } from '../../runtime/core/definition.ts';
import { step } from '../../runtime/core/step.ts';
import type { JournalReader, ShardStore } from '../../runtime/ports.ts';
import type { Envelope } from '../../runtime/protocol/envelope.ts';
import { parseAddress, type Address } from '../../runtime/protocol/ids.ts';
import { positionStart, type JournalEntry, type JournalRecord, type Position } from '../../runtime/protocol/journal.ts';

export interface Verified {
  succeeded: number;
  journalEntries: number;
  journalRecords: number;
  journalBytes: number;
}

/** @throws Error naming the first task that is not succeeded, or the first actor whose replay differs */
export async function verify(
  shard: number,
  store: ShardStore,
  journals: JournalReader,
  registry: Registry,
): Promise<Verified> {
  const actors = new Map<Address, Actor>();
  const verified: Verified = { succeeded: 0, journalEntries: 0, journalRecords: 0, journalBytes: 0 };
  let after: Position = positionStart;
  for (
    let page = await journals.range(shard, after, 50);
    page.length > 0;
    page = await journals.range(shard, after, 50)
  ) {
    for (const { position, entry } of page) {
      after = position;
      verified.journalEntries++;
      verified.journalRecords += entry.records.length;
      verified.journalBytes += JSON.stringify(entry).length;
      for (const record of entry.records) replay(actors, registry, entry, record);
    }
  }
  let cursor = '0';
  for (let more = true; more;) {
    const page = await store.scan(shard, cursor);
    cursor = page.cursor;
    more = !page.done;
    for (const [address, text] of page.snapshots) {
      const actor = actors.get(address);
      if (!actor || freeze(actor) !== text)
        throw new Error(`${address}: the replay gives ${actor ? freeze(actor) : 'nothing'}, stored is ${text}`);
      if (!address.startsWith('task/')) continue;
      const { state } = viewOfStored(actor.id, text);
      if (state !== 'succeeded') throw new Error(`${address} is ${JSON.stringify(state)}`);
      verified.succeeded++;
    }
  }
  return verified;
}

function replay(actors: Map<Address, Actor>, registry: Registry, entry: JournalEntry, record: JournalRecord): void {
  const { outcome, revision, state: _, actor: to, reason: __, ...rest } = record;
  if (outcome === 'retired') actors.delete(to);
  if (outcome !== undefined) return;
  const envelope: Envelope = { ...rest, to };
  const definition = registry.get(parseAddress(to)?.definition ?? '');
  if (!definition) throw new Error(`${to}: the journal names a definition that is not registered`);
  const decision = step(definition, actors.get(to), envelope, entry.at);
  if (decision.outcome !== 'applied')
    throw new Error(`${to}: the journal says applied, the replay ${JSON.stringify(decision)}`);
  if (decision.actor.revision !== revision)
    throw new Error(`${to}: the journal has revision ${revision}, the replay ${decision.actor.revision}`);
  actors.set(to, decision.actor);
}
