/**
 * What becomes of branches that lost. Inputs from outside are taken up again, in order and under their own ids, and the
 * machine decides about each; what the branch derived by itself is dropped. When no input waits any more, ends that clients
 * were told and fields that must not move down are joined. All of it is a function of the tree: run again it finds what is
 * still to do, and nothing when nothing is.
 */
import type { Cursor, Link } from '../../protocol/chain.ts';
import { stateText, type Envelope, type MachineEvent, type StateValue } from '../../protocol/envelope.ts';
import { parseAddress, type Address } from '../../protocol/ids.ts';
import type { JournalRecord } from '../../protocol/journal.ts';
import type { JsonObject } from '../../protocol/json.ts';
import { stateOf, type Actor } from '../actor.ts';
import type { Registry } from '../definition.ts';
import { entryOf, envelopeOf, follow, type Actors } from './replica.ts';
import { joinedFields, type MergeRules } from './rules.ts';
import type { BranchTree } from './tree.ts';

export type Fate =
  | { readonly fate: 'waiting' }
  | { readonly fate: 'applied'; readonly epoch: number; readonly sequence: number }
  | {
      readonly fate: 'superseded';
      readonly epoch: number;
      readonly sequence: number;
      readonly reason: string;
      /** State of the actor in the current branch that stood against it. */
      readonly winner: string;
    };

export interface LostInput {
  readonly actor: Address;
  readonly command: string;
  readonly event: string;
  readonly by?: string;
  /** Where it stood. */
  readonly epoch: number;
  readonly sequence: number;
  readonly became: Fate;
}

export interface Conflict {
  readonly actor: Address;
  /** The last link that both branches have; sequence 0 is the beginning. */
  readonly fork: Pick<Cursor, 'epoch' | 'sequence'>;
  readonly winner: { readonly epoch: number; readonly state: string };
  readonly losers: readonly { readonly epoch: number; readonly state: string }[];
  readonly inputs: readonly LostInput[];
}

export interface Reconciliation {
  /** To append to the shard's commands. */
  readonly reinjections: readonly Envelope[];
  /** To append when no re-injection is left. */
  readonly merges: readonly Envelope[];
  readonly conflicts: readonly Conflict[];
}

export interface ReconcileSettings {
  readonly registry: Registry;
  readonly rules: ReadonlyMap<string, MergeRules>;
}

interface Decided {
  readonly link: Link;
  readonly record: JournalRecord;
}

export function reconcile({ registry, rules }: ReconcileSettings, tree: BranchTree): Reconciliation {
  const losing = tree.losing();
  if (losing.length === 0) return { reinjections: [], merges: [], conflicts: [] };
  const current = tree.current();
  const decided = new Map<string, Decided>();
  for (const link of current)
    for (const record of entryOf(link).records)
      if (isInput(record) && !decided.has(keyOf(record))) decided.set(keyOf(record), { link, record });
  const reinjections: Envelope[] = [];
  const asked = new Set<string>();
  const inputs = new Map<Address, LostInput[]>();
  const touched = new Set<Address>();
  for (const link of losing)
    for (const record of entryOf(link).records) {
      touched.add(record.actor);
      if (!isInput(record) || !isWanted(record, rules) || asked.has(keyOf(record))) continue;
      asked.add(keyOf(record));
      const found = decided.get(keyOf(record));
      if (!found) reinjections.push(envelopeOf(record));
      const list = inputs.get(record.actor) ?? [];
      inputs.set(record.actor, list);
      list.push({
        actor: record.actor,
        command: record.id,
        event: record.event?.type ?? 'create',
        ...(record.by !== undefined && { by: record.by }),
        epoch: link.epoch,
        sequence: link.sequence,
        became: fateOf(found),
      });
    }
  const now: Actors = new Map();
  follow(registry, now, current, touched);
  const merges: Envelope[] = [];
  const conflicts = new Map<Address, Conflict>();
  for (const tip of tree.losingTips()) {
    const then: Actors = new Map();
    follow(registry, then, tree.path(tip.hash) ?? [], touched);
    const common = tree.lastCommon(tip.hash, tree.tip!.hash);
    const fork = current.find(({ hash }) => hash === common) ?? { epoch: 0, sequence: 0 };
    for (const actor of [...then.keys()].sort()) {
      const loser = then.get(actor)!;
      const winner = now.get(actor);
      const known = conflicts.get(actor);
      const state = (one: Actor | undefined) => (one ? stateText(stateOf(one)) : '');
      conflicts.set(actor, {
        actor,
        fork: known?.fork ?? { epoch: fork.epoch, sequence: fork.sequence },
        winner: { epoch: tree.tip!.epoch, state: state(winner) },
        losers: [...(known?.losers ?? []), { epoch: tip.epoch, state: state(loser) }],
        inputs: inputs.get(actor) ?? [],
      });
      const ruling = rules.get(parseAddress(actor)?.definition ?? '');
      if (!winner || !ruling || reinjections.length > 0) continue;
      const place = `${tip.epoch}.${tip.sequence}`;
      mergeActor(ruling, winner, loser, saidOf(current, actor)).forEach((event, index) =>
        merges.push({ id: `merge.${place}.${winner.revision}.${index}`, to: actor, origin: 'merge', event }),
      );
    }
  }
  return { reinjections, merges, conflicts: [...conflicts.values()] };
}

/** Ends that corrections in the current branch name already. */
function saidOf(current: readonly Link[], actor: Address): ReadonlySet<string> {
  const said = new Set<string>();
  for (const link of current)
    for (const { actor: of, event } of entryOf(link).records)
      if (of === actor && event?.type === 'CORRECTION') said.add(event['told'] as string);
  return said;
}

/** What the current actor is told so that nothing which the other branch said is silently untrue. */
export function mergeActor(
  rules: MergeRules,
  winner: Actor,
  loser: Actor,
  said: ReadonlySet<string> = new Set(),
): MachineEvent[] {
  const events: MachineEvent[] = [];
  const mine = topState(stateOf(winner));
  const other = topState(stateOf(loser));
  const context = loser.snapshot.context as JsonObject;
  const fields = joinedFields(rules, winner.snapshot.context as JsonObject, context);
  if (Object.keys(fields).length > 0) events.push({ type: 'MERGE', context: fields });
  if (mine === other || !rules.ends.has(other)) return events;
  if (!rules.ends.has(mine) || (winner.snapshot.status === 'active' && rules.prevails(other, mine))) {
    if (rules.settle && loser.snapshot.status !== 'active')
      events.push({ type: rules.settle.event, state: other, ...picked(context, rules.settle.carries) });
    return events;
  }
  if (rules.prevails(other, mine)) events.push({ type: 'CORRECTION', told: mine, state: stateOf(loser), context });
  else if (!said.has(other)) events.push({ type: 'CORRECTION', told: other });
  return events;
}

function picked(context: JsonObject, names: readonly string[]): JsonObject {
  return Object.fromEntries(names.filter((name) => context[name] !== undefined).map((name) => [name, context[name]!]));
}

function topState(state: StateValue): string {
  return typeof state === 'string' ? state : (Object.keys(state)[0] ?? '');
}

/** From outside, and accepted: what was refused or known already was answered so. */
function isInput({ origin }: JournalRecord): boolean {
  return origin === 'command' || origin === 'report';
}

function isWanted(record: JournalRecord, rules: ReadonlyMap<string, MergeRules>): boolean {
  if (record.outcome !== undefined) return false;
  const external = rules.get(parseAddress(record.actor)?.definition ?? '')?.external;
  return record.event === undefined || external === undefined || external.has(record.event.type);
}

function keyOf({ actor, id, origin, event }: JournalRecord): string {
  return `${actor} ${origin} ${id} ${event?.type ?? ''} ${JSON.stringify(event?.['token'] ?? '')}`;
}

function fateOf(found: Decided | undefined): Fate {
  if (!found) return { fate: 'waiting' };
  const { link, record } = found;
  const place = { epoch: link.epoch, sequence: link.sequence };
  if (record.outcome === undefined || record.outcome === 'retired') return { fate: 'applied', ...place };
  const winner = stateText(record.state);
  return { fate: 'superseded', ...place, reason: record.reason ?? record.outcome, winner };
}
