/**
 * What stands in the streams of a standby's shard since it was the active site, and nobody has decided: inputs from outside go
 * to the other site, what the shard itself had put off is kept for later, and deliveries of other shards stay where they are.
 */
import { limits } from '../../config/limits.ts';
import type { Entry } from '../core/decision.ts';
import { fieldsOf, intake } from '../core/intake.ts';
import type { LostRecord } from '../core/merge/lost.ts';
import type { Application, MirrorStore } from '../ports.ts';
import type { Envelope } from '../protocol/envelope.ts';
import type { JournalRecord, Position } from '../protocol/journal.ts';

export interface Waiting {
  /** Commands and reports as records without a decision. */
  records: LostRecord[];
  /** What the shard had put off. */
  putOff: Envelope[];
  /** The entries that these are, by stream. */
  acks: Map<Entry['source'], Position[]>;
  /** The newest of the entries. */
  last: Position;
}

/** Undefined where nothing waits. @param sequence of the link that stands last */
export async function waitingIn(
  shard: number,
  sequence: number,
  mailboxes: readonly string[],
  mirrors: Pick<MirrorStore, 'waiting' | 'reports'>,
  application: Application,
): Promise<Waiting | undefined> {
  const commands = await mirrors.waiting(shard, limits.handOverCommandsMax);
  const reports = mailboxes.length > 0 ? await mirrors.reports(shard, mailboxes, limits.handOverCommandsMax) : [];
  const found: Waiting = { records: [], putOff: [], acks: new Map(), last: '0-0' };
  const outboxes = new Map<string, Position[]>();
  for (const entry of [...commands, ...reports]) {
    const fields = fieldsOf(entry);
    if (entry.source === 'commands' && fields.has('relayed')) continue;
    const { envelopes, problem, problems } = intake(entry, application);
    // Whoever is active here next sets it aside, with its reason.
    if (problem || problems) continue;
    if (fields.has('derived')) found.putOff.push(...envelopes);
    // Packages stand in the stream that they came from as well, and questions are out of date.
    else if (!fields.has('lost') && !fields.has('question'))
      found.records.push(...envelopes.map((envelope) => recordOf(envelope, sequence, entry.id)));
    found.last = entry.id;
    if (entry.source === 'commands') {
      const done = found.acks.get('commands');
      if (done) done.push(entry.id);
      else found.acks.set('commands', [entry.id]);
      continue;
    }
    const { outbox } = entry.source;
    let done = outboxes.get(outbox);
    if (!done) {
      outboxes.set(outbox, (done = []));
      found.acks.set({ outbox }, done);
    }
    done.push(entry.id);
  }
  return found.acks.size > 0 ? found : undefined;
}

function recordOf({ to, id, origin, input, event, by }: Envelope, sequence: number, position: Position): LostRecord {
  const record: JournalRecord = {
    ...{ actor: to, id, origin, revision: 0, state: '' },
    ...(input && { input }),
    ...(event && { event }),
    ...(by !== undefined && { by }),
  };
  return { sequence, at: Number(position.split('-')[0]), record };
}
