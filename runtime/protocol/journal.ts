/**
 * The journal: one entry per commit, in it one record per envelope that was decided. It is the only feed of everything
 * downstream (PostgreSQL, the other site, live views), and replaying it through `step` gives the snapshots (R9).
 */
import type { Address } from './ids.ts';
import type { Envelope, MachineEvent, Origin, StateValue } from './envelope.ts';
import type { JsonObject } from './json.ts';

export interface JournalRecord {
  actor: Address;
  /** Envelope id. */
  id: string;
  origin: Origin;
  /** Absent means `applied`. */
  outcome?: 'duplicate' | 'refused' | 'retired';
  /** Revision and state after the record. */
  revision: number;
  state: StateValue;
  input?: JsonObject;
  event?: MachineEvent;
  /** Reason code of a refusal. */
  reason?: string;
  by?: string;
  traceparent?: string;
}

export interface JournalBeside {
  /** Ids whose mailboxes were opened, and those whose were closed after that. */
  opened?: readonly string[];
  closed?: readonly string[];
  /** Envelopes on their way to other shards, numbered for each. */
  outbound?: readonly { shard: number; number: number; envelope: Envelope }[];
  /** Envelopes that this shard decides in a later batch. */
  deferred?: readonly Envelope[];
  /** Source shard -> everything that was taken over from it so far (see core/taken.ts). */
  relayed?: Readonly<Record<string, string>>;
  /** What became of a branch that lost, one report an actor (see core/merge/takeup.ts). */
  lost?: readonly JsonObject[];
}

export interface JournalEntry {
  shard: number;
  /** Lease epoch and sequence of the commit: dense within an epoch. */
  epoch: number;
  sequence: number;
  /** Wall clock of the decision, in milliseconds since 1970; every step of the batch saw this time. */
  at: number;
  records: readonly JournalRecord[];
  /** What the commit did beside its records, where it did: with it a shard can be rebuilt from its journal alone. */
  beside?: JournalBeside;
}

/** Id of a Redis stream entry, `<milliseconds>-<number>`; `0-0` is before every entry. */
export type Position = string;
export const positionStart: Position = '0-0';

export function comparePositions(left: Position, right: Position): number {
  const [leftMs = '0', leftSeq = '0'] = left.split('-');
  const [rightMs = '0', rightSeq = '0'] = right.split('-');
  return Number(leftMs) - Number(rightMs) || Number(leftSeq) - Number(rightSeq);
}

const positionPattern = /^\d{1,15}-\d{1,15}$/;
export function isPosition(text: string): boolean {
  return positionPattern.test(text);
}
