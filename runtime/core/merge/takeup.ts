/**
 * What becomes of a branch that lost, for one actor: its inputs from outside are taken up again in order and under their
 * own ids, and the machine decides about each; what the branch derived by itself is dropped. Then the end that clients were
 * told and the fields that must not move back are joined. What came of it all is one report, which the journal keeps.
 */
import type { Cursor } from '../../protocol/chain.ts';
import { stateText, type Envelope, type Outcome } from '../../protocol/envelope.ts';
import type { Address } from '../../protocol/ids.ts';
import type { JournalRecord } from '../../protocol/journal.ts';
import { stateOf, thaw, type Actor } from '../actor.ts';
import type { LoadedDefinition } from '../definition.ts';
import type { Lost, LostRecord } from './lost.ts';
import { mergeActor } from './merge.ts';
import { envelopeOf } from './replica.ts';
import type { MergeRules } from './rules.ts';

/** Of an input: it was in the current branch already, the machine took it now, or it stands against what the branch holds. */
export type Fate = 'kept' | 'applied' | 'superseded';

export interface LostInput {
  readonly command_id: string;
  readonly event: string;
  readonly origin: 'command' | 'report';
  readonly by?: string;
  /** Where it stood in the branch that lost (0: it waited to be decided) and when it was decided there, in milliseconds since 1970. */
  readonly sequence: number;
  readonly at: number;
  readonly outcome: Fate;
  /** Why the machine refused it. */
  readonly reason?: string;
  /** State of the actor after it, or that stood against it. */
  readonly state: string;
}

/** What a journal entry keeps of a branch that lost, for one actor. */
export interface TakenUp {
  readonly actor: Address;
  readonly machine: string;
  readonly fork: Pick<Cursor, 'epoch' | 'sequence' | 'hash'>;
  /** The branch that lost: its end, its records as they were, and the state that it led to (empty: none). */
  readonly lost: Pick<Cursor, 'epoch' | 'sequence'> & {
    readonly state: string;
    readonly records: readonly LostRecord[];
  };
  /** The branch that goes on, and the state before and after the taking up (empty: none). */
  readonly winner: { readonly epoch: number; readonly before: string; readonly after: string };
  readonly inputs: readonly LostInput[];
  /** What was told as an end and is true no more: both ends, and which of them stands. */
  readonly correction?: { readonly told: string; readonly stands: string };
  /** Why the stored actor of the branch could not be joined. */
  readonly unjoined?: string;
}

/** The inputs from outside that the branch had accepted, or that waited there; each once, in order. */
export function inputsOf({ records }: Lost, rules: MergeRules): LostRecord[] {
  const seen = new Set<string>();
  return records.filter(({ record }) => {
    if (!isInput(record) || record.outcome !== undefined) return false;
    if (record.event !== undefined && !rules.external.has(record.event.type)) return false;
    const key = `${record.origin} ${record.id} ${record.event?.type ?? ''} ${JSON.stringify(record.event?.['token'] ?? '')}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

function isInput({ origin }: JournalRecord): boolean {
  return origin === 'command' || origin === 'report';
}

/** What the batch lends: the actor as it is now, and the decision of one envelope with all that follows from it. */
export interface Deciding {
  readonly epoch: number;
  actor(): Actor | undefined;
  decide(envelope: Envelope): Outcome;
  derivedId(): string;
}

export function takeUp(lost: Lost, definition: LoadedDefinition, rules: MergeRules, deciding: Deciding): TakenUp {
  const before = stateOfOrNone(deciding.actor());
  const inputs = inputsOf(lost, rules).map(({ sequence, at, record }): LostInput => {
    const outcome = deciding.decide(envelopeOf(record));
    return {
      command_id: record.id,
      event: record.event?.type ?? 'create',
      origin: record.origin as 'command' | 'report',
      ...(record.by !== undefined && { by: record.by }),
      sequence,
      at,
      ...fateOf(outcome),
      state: stateOfOrNone(deciding.actor()),
    };
  });
  const thawed = lost.snapshot === null ? undefined : thaw(definition, lost.actor, lost.snapshot);
  const loser = thawed?.ok ? thawed.actor : undefined;
  let correction: TakenUp['correction'];
  const winner = deciding.actor();
  if (winner && loser)
    for (const event of mergeActor(rules, winner, loser)) {
      const told = event.type === 'CORRECTION' ? (event['told'] as string) : undefined;
      deciding.decide({ id: `merge.${deciding.derivedId()}`, to: lost.actor, origin: 'merge', event });
      if (told !== undefined) correction = { told, stands: stateOfOrNone(deciding.actor()) };
    }
  return {
    actor: lost.actor,
    machine: definition.id,
    fork: lost.fork,
    lost: { ...lost.branch, state: stateOfOrNone(loser), records: lost.records },
    winner: { epoch: deciding.epoch, before, after: stateOfOrNone(deciding.actor()) },
    inputs,
    ...(correction && { correction }),
    ...(thawed?.ok === false && { unjoined: thawed.detail }),
  };
}

function stateOfOrNone(actor: Actor | undefined): string {
  return actor ? stateText(stateOf(actor)) : '';
}

function fateOf(outcome: Outcome): { outcome: Fate; reason?: string } {
  switch (outcome.outcome) {
    case 'applied':
    case 'answered':
      return { outcome: 'applied' };
    case 'duplicate':
      return { outcome: 'kept' };
    case 'refused':
    case 'set-aside':
      return { outcome: 'superseded', reason: outcome.reason };
  }
}
