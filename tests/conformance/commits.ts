/** Commits and journal entries for tests of stores: only what a test is about needs to be said. */
import { emptyCommit } from '../../runtime/core/decision.ts';
import type { Commit, Entry, Lease, ShardStore } from '../../runtime/ports.ts';
import type { Envelope } from '../../runtime/protocol/envelope.ts';
import type { Address } from '../../runtime/protocol/ids.ts';

export function commitOf(changes: Partial<Commit> = {}): Commit {
  return { ...emptyCommit(1_000), ...changes };
}

export function envelopeTo(to: Address, id = 'e1'): Envelope {
  return { id, to, origin: 'relay', event: { type: 'go' } };
}

/** A journal entry of this shard without records. */
export function journalText(shard: number, epoch: number, sequence: number): string {
  return JSON.stringify({ shard, epoch, sequence, at: 1_000, records: [] });
}

export async function leaseOf(store: ShardStore, shard: number, owner = 'one', ttlMs = 60_000): Promise<Lease> {
  const outcome = await store.acquire(shard, owner, ttlMs);
  if (outcome.outcome === 'held') throw new Error(`shard ${shard} is held by ${outcome.owner}`);
  return outcome.lease;
}

/** Acknowledgements of the entries, as the decision on them makes them. */
export function acksOf(entries: readonly Entry[]): Commit['acks'] {
  const acks: Commit['acks'] = new Map();
  for (const { source, id } of entries) {
    const known = [...acks.keys()].find((other) => JSON.stringify(other) === JSON.stringify(source)) ?? source;
    acks.set(known, [...(acks.get(known) ?? []), id]);
  }
  return acks;
}
