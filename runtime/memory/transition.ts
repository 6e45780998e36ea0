/** One journal record as a line of an actor's history. */
import { stateText } from '../protocol/envelope.ts';
import { payloadOf } from '../protocol/history.ts';
import type { JournalEntry, JournalRecord } from '../protocol/journal.ts';
import type { HistoryRow } from '../readmodel.ts';

export interface Transition {
  actor: string;
  /** Epoch, sequence and ordinal: where it stands in the journal of its shard. */
  place: readonly [epoch: number, sequence: number, ordinal: number];
  row: HistoryRow;
}

export function transitionOf(
  shard: number,
  { epoch, sequence, at }: JournalEntry,
  ordinal: number,
  record: JournalRecord,
): Transition {
  return {
    actor: record.actor,
    place: [epoch, sequence, ordinal],
    row: {
      revision: record.revision,
      outcome: record.outcome ?? 'applied',
      origin: record.origin,
      event: record.event?.type ?? 'create',
      payload: structuredClone(payloadOf(record)),
      state: stateText(record.state),
      reason: record.reason ?? null,
      by: record.by ?? null,
      traceparent: record.traceparent ?? null,
      envelope: record.id,
      at,
      position: `${shard}.${epoch}.${sequence}.${ordinal}`,
    },
  };
}
