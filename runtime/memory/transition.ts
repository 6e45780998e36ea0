/** One journal record as a line of an actor's history. */
import { stateText } from '../protocol/envelope.ts';
import type { JournalEntry, JournalRecord } from '../protocol/journal.ts';
import type { Json } from '../protocol/json.ts';
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
      payload: payloadOf(record),
      state: stateText(record.state),
      reason: record.reason ?? null,
      by: record.by ?? null,
      traceparent: record.traceparent ?? null,
      at,
      position: `${shard}.${epoch}.${sequence}.${ordinal}`,
    },
  };
}

/** Left out: what stands in the actor's row, and a token, which is worth something to whoever reads it. */
const leftOut = new Set(['type', 'parameters', 'result', 'token']);

function payloadOf(record: JournalRecord): Json {
  const members = Object.entries(record.event ?? record.input ?? {}).filter(([name]) => !leftOut.has(name));
  return members.length > 0 ? (structuredClone(Object.fromEntries(members)) as Json) : null;
}
