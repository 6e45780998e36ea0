/** How the actor of the current branch is joined with the same one at the end of a branch that lost. */
import type { MachineEvent, StateValue } from '../../protocol/envelope.ts';
import type { JsonObject } from '../../protocol/json.ts';
import { stateOf, type Actor } from '../actor.ts';
import { joinedFields, type MergeRules } from './rules.ts';

/** What the current actor is told so that nothing which the other branch said is silently untrue. */
export function mergeActor(rules: MergeRules, winner: Actor, loser: Actor): MachineEvent[] {
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
  else events.push({ type: 'CORRECTION', told: other });
  return events;
}

function picked(context: JsonObject, names: readonly string[]): JsonObject {
  return Object.fromEntries(names.filter((name) => context[name] !== undefined).map((name) => [name, context[name]!]));
}

function topState(state: StateValue): string {
  return typeof state === 'string' ? state : (Object.keys(state)[0] ?? '');
}
