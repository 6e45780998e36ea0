/** What the history of an actor keeps of a journal record beside its columns. */
import type { JournalRecord } from './journal.ts';
import type { JsonObject } from './json.ts';
import { redacted } from './redaction.ts';

/**
 * An event without its type, which has a column; an input without parameters and an event without a result, which stand in
 * the task's row. With these the record can be decided again, so tokens are replaced by their digests and not left out.
 */
export function payloadOf({ event, input }: JournalRecord): JsonObject | null {
  let kept: JsonObject;
  if (event) {
    const { type: _, result: __, chunk, ...members } = event;
    // A partial result is shown as it is: what looks like a token in it is the agent's own.
    if (chunk !== undefined) return { ...redacted(members), chunk };
    kept = members;
  } else {
    const { parameters: _, ...members } = input ?? {};
    kept = members;
  }
  return Object.keys(kept).length > 0 ? redacted(kept) : null;
}
