/** What a commit does beside the records of its journal entry, so that the journal alone is enough to rebuild the shard. */
import type { JsonObject } from '../protocol/json.ts';
import type { JournalBeside } from '../protocol/journal.ts';
import type { Commit } from './decision.ts';

/** Undefined for most commits. */
export function besideOf(commit: Commit): JournalBeside | undefined {
  const {
    mailboxesOpened: opened,
    mailboxesClosed: closed,
    outbound,
    deferred,
    deferredApart,
    relayed,
    takenUp,
  } = commit;
  const later = deferred.length + deferredApart.length;
  if (opened.length + closed.length + outbound.length + later + relayed.size + takenUp.length === 0) return undefined;
  return {
    ...(opened.length > 0 && { opened }),
    ...(closed.length > 0 && { closed }),
    ...(outbound.length > 0 && { outbound }),
    ...(later > 0 && { deferred: [...deferred, ...deferredApart] }),
    ...(relayed.size > 0 && { relayed: Object.fromEntries(relayed) }),
    ...(takenUp.length > 0 && { lost: takenUp as unknown as JsonObject[] }),
  };
}
