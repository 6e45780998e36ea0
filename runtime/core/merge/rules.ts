/**
 * How branches of one actor are joined, as its machine says in `meta.merge` and as its own graph answers already. Checked
 * when a pair of sites loads its definitions: a rule that is missing is named, and not found out in a failover.
 */
import type { AnyStateNode } from 'xstate';
import type { Json, JsonObject } from '../../protocol/json.ts';
import { isObject } from '../../protocol/json.ts';
import type { LoadedDefinition } from '../definition.ts';

/** What a context field becomes of its values in two branches; without a rule the current branch has it. */
export const fieldRules = ['max', 'min', 'or', 'union', 'first', 'winner'] as const;
export type FieldRule = (typeof fieldRules)[number];

export interface DeclaredMerge {
  /** Events that are taken up again from a branch that lost; default: every command and report. */
  external?: readonly string[];
  /** States that clients were told as an end, beside the final ones. */
  told?: readonly string[];
  /** Ends, the one that prevails first. A pair of which one leads to the other needs no word: it is further along. */
  precedence?: readonly string[];
  /** Event by which an actor that is not at its end takes over the end of another branch, and the context that it carries. */
  settle?: { event: string; carries: readonly string[] };
  fields?: Readonly<Record<string, FieldRule>>;
}

export interface MergeRules {
  readonly external: ReadonlySet<string>;
  readonly ends: ReadonlySet<string>;
  readonly settle: DeclaredMerge['settle'];
  readonly fields: Readonly<Record<string, FieldRule>>;
  /** Whether the end `left` prevails over the end `right`. */
  prevails(left: string, right: string): boolean;
}

const known = new WeakMap<LoadedDefinition, MergeRules>();

/** The rules of a definition, worked out once. @throws Error naming the definition and what is missing or wrong */
export function rulesOf(definition: LoadedDefinition): MergeRules {
  let rules = known.get(definition);
  if (!rules) known.set(definition, (rules = mergeRulesOf(definition)));
  return rules;
}

/** @throws Error naming the definition and what is missing or wrong */
export function mergeRulesOf(definition: LoadedDefinition): MergeRules {
  const fail = (rule: string): never => {
    throw new Error(`definition "${definition.id}": meta.merge: ${rule}`);
  };
  const { root } = definition.machine;
  const declared: DeclaredMerge = (isObject(root.meta) ? root.meta['merge'] : undefined) ?? {};
  const top = new Map(Object.entries(root.states));
  const external = declared.external ?? Object.keys(definition.events);
  for (const type of external)
    if (!Object.hasOwn(definition.events, type)) fail(`external event "${type}" has no schema in events`);
  for (const [field, rule] of Object.entries(declared.fields ?? {}))
    if (!fieldRules.includes(rule)) fail(`field "${field}" has the rule "${rule}"; known are ${fieldRules.join(', ')}`);
  const ends = new Set(declared.told);
  for (const [key, node] of top) if (node.type === 'final') ends.add(key);
  for (const end of [...ends, ...(declared.precedence ?? [])]) if (!top.has(end)) fail(`there is no state "${end}"`);
  const order = declared.precedence ?? [];
  const reached = new Map([...ends].map((end) => [end, reachableFrom(top.get(end)!)]));
  const stronger = new Set<string>();
  for (const left of ends)
    for (const right of ends) {
      if (left >= right) continue;
      const listed = order.indexOf(left) - order.indexOf(right);
      const leads = reached.get(left)!.has(right);
      const follows = reached.get(right)!.has(left);
      if (order.includes(left) && order.includes(right))
        stronger.add(listed < 0 ? `${left} ${right}` : `${right} ${left}`);
      else if (leads !== follows) stronger.add(leads ? `${right} ${left}` : `${left} ${right}`);
      else fail(`precedence does not say which of "${left}" and "${right}" prevails`);
    }
  const { settle } = declared;
  if (settle && ![...definition.stateNodes.values()].some((node) => node.transitions.has(settle.event)))
    fail(`no state takes the event "${settle.event}" of settle`);
  return {
    external: new Set(external),
    ends,
    settle,
    fields: declared.fields ?? {},
    prevails: (left, right) => stronger.has(`${left} ${right}`),
  };
}

/** Keys of the top-level states that can be reached from a state, by whatever event. */
function reachableFrom(start: AnyStateNode): Set<string> {
  const reached = new Set<string>();
  const waiting = [start];
  const visit = (node: AnyStateNode): void => {
    for (const transitions of [...node.transitions.values(), node.always ?? []])
      for (const { target } of transitions)
        for (const goal of target ?? []) {
          const state = topOf(goal);
          if (!state || reached.has(state.key)) continue;
          reached.add(state.key);
          waiting.push(state);
        }
    for (const child of Object.values(node.states)) visit(child);
  };
  for (let node = waiting.pop(); node; node = waiting.pop()) visit(node);
  return reached;
}

function topOf(node: AnyStateNode): AnyStateNode | undefined {
  let at: AnyStateNode | undefined = node;
  while (at?.parent?.parent) at = at.parent;
  return at?.parent ? at : undefined;
}

/** The fields of the current context that the other branch changes; empty when there are none. */
export function joinedFields(rules: MergeRules, current: JsonObject, other: JsonObject): JsonObject {
  const changed: Record<string, Json> = {};
  for (const [field, rule] of Object.entries(rules.fields)) {
    const mine = current[field];
    const joined = joinedValue(rule, mine, other[field]);
    if (joined !== undefined && JSON.stringify(joined) !== JSON.stringify(mine)) changed[field] = joined as Json;
  }
  return changed;
}

/** Idempotent, and the same in whatever order branches come. */
function joinedValue(rule: FieldRule, mine: unknown, other: unknown): unknown {
  if (other === undefined || rule === 'winner') return mine;
  if (mine === undefined) return other;
  switch (rule) {
    case 'max':
      return Math.max(Number(mine), Number(other));
    case 'min':
      return Math.min(Number(mine), Number(other));
    case 'or':
      return Boolean(mine) || Boolean(other);
    case 'first':
      return mine;
    case 'union': {
      const all = new Set([...(mine as unknown[]), ...(other as unknown[])].map((item) => JSON.stringify(item)));
      return [...all].sort().map((item) => JSON.parse(item) as unknown);
    }
  }
}
