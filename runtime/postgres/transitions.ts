/** History: one row per journal record, at the record's place in the journal. */
import { stateText } from '../protocol/envelope.ts';
import { payloadOf } from '../protocol/history.ts';
import type { JournalRecord, Position } from '../protocol/journal.ts';
import type { JsonObject } from '../protocol/json.ts';
import type { Statement } from './rows.ts';

/** One journal record with its place. */
export interface Placed {
  position: Position;
  epoch: number;
  sequence: number;
  ordinal: number;
  shard: number;
  at: number;
  record: JournalRecord;
}

/** Writes no row where the place of one of them is taken. All are of one shard, in the order of their places. */
export function transitions(records: readonly Placed[]): Statement {
  const column = <T>(pick: (placed: Placed) => T): T[] => records.map(pick);
  return {
    text: `WITH taken AS (
        SELECT 1 FROM transitions WHERE shard = $17 AND (epoch, sequence, ordinal) >= ($18::bigint, $19::bigint, $20::int)
          AND (epoch, sequence, ordinal) <= ($21::bigint, $22::bigint, $23::int) LIMIT 1)
      INSERT INTO transitions (shard, epoch, sequence, ordinal, actor, revision, outcome, origin, event, payload, state, reason, caused_by, envelope, traceparent, at)
      SELECT v.shard, v.epoch, v.sequence, v.ordinal, v.actor, v.revision, v.outcome, v.origin, v.event, v.payload::jsonb, v.state, v.reason, v.caused_by, v.envelope, v.traceparent, to_timestamp(v.at / 1000.0)
      FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::int[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::float8[])
        AS v (shard, epoch, sequence, ordinal, actor, revision, outcome, origin, event, payload, state, reason, caused_by, envelope, traceparent, at)
      WHERE NOT EXISTS (SELECT FROM taken)`,
    values: [
      column(({ shard }) => shard),
      column(({ epoch }) => epoch),
      column(({ sequence }) => sequence),
      column(({ ordinal }) => ordinal),
      column(({ record }) => record.actor),
      column(({ record }) => record.revision),
      column(({ record }) => record.outcome ?? 'applied'),
      column(({ record }) => record.origin),
      column(({ record }) => record.event?.type ?? 'create'),
      column(({ record }) => textOf(payloadOf(record))),
      column(({ record }) => stateText(record.state)),
      column(({ record }) => record.reason ?? null),
      column(({ record }) => record.by ?? null),
      column(({ record }) => record.id),
      column(({ record }) => record.traceparent ?? null),
      column(({ at }) => at),
      ...range(records),
    ],
  };
}

/** Whether each place is after the one before: a journal that was begun anew goes back. */
export function inOrder(records: readonly Placed[]): boolean {
  return records.every((placed, index) => {
    const before = records[index - 1];
    return !before || before.epoch < placed.epoch || (before.epoch === placed.epoch && isLater(placed, before));
  });
}

function isLater(placed: Placed, before: Placed): boolean {
  return before.sequence < placed.sequence || (before.sequence === placed.sequence && before.ordinal < placed.ordinal);
}

/** From the first place to the last. */
function range(records: readonly Placed[]): number[] {
  const [first, last] = [records[0]!, records[records.length - 1]!];
  return [first.shard, ...[first, last].flatMap(({ epoch, sequence, ordinal }) => [epoch, sequence, ordinal])];
}

function textOf(payload: JsonObject | null): string | null {
  return payload && JSON.stringify(payload);
}
