/** Which agent may take which task, and which should: requirements, preferences, claims against what is free. Pure. */
import type { AgentContext } from '../agent/enrolment.ts';
import { resourceLeft, slotsInUse } from '../agent/occupancy.ts';
import { claimOf, type Comparison, type Demand, type Requirements } from '../task/demand.ts';
import type { Room } from './match.ts';

/** An agent as the dispatcher sees it. */
export interface Seat extends Room {
  readonly slots: number;
  readonly batch: boolean;
  readonly capabilities: readonly string[];
  readonly labels: Readonly<Record<string, string | number>>;
  readonly resources: Readonly<Record<string, number>>;
  /** What is left of each resource. */
  readonly left: Readonly<Record<string, number>>;
}

const nothing: Readonly<Record<string, number>> = Object.freeze({});

export function seatOf(agent: string, context: AgentContext): Seat {
  const { slots, usedAt, capabilities = [], labels = {}, resources = nothing, claims } = context;
  const left = claims
    ? Object.fromEntries(Object.keys(resources).map((name) => [name, resourceLeft(context, name)]))
    : resources;
  return {
    ...{ agent, slots, usedAt, capabilities, labels, resources, left },
    freeSlots: Math.max(0, slots - slotsInUse(context)),
    batch: context.batch === true,
  };
}

/** Values of different kinds are never equal, and only numbers have an order. A label that is missing is only "!=". */
export function holds({ label, op, value }: Comparison, labels: Seat['labels']): boolean {
  if (!Object.hasOwn(labels, label)) return op === '!=';
  const has = labels[label]!;
  switch (op) {
    case '=':
      return has === value;
    case '!=':
      return has !== value;
    case 'in':
      return Array.isArray(value) && value.includes(has);
    case '<':
      return typeof has === 'number' && has < Number(value);
    case '<=':
      return typeof has === 'number' && has <= Number(value);
    case '>':
      return typeof has === 'number' && has > Number(value);
    case '>=':
      return typeof has === 'number' && has >= Number(value);
  }
}

export function meets(
  requires: Requirements | undefined,
  { capabilities, labels }: Pick<Seat, 'capabilities' | 'labels'>,
): boolean {
  return (
    requires === undefined ||
    (requires.capabilities.every((one) => capabilities.includes(one)) &&
      requires.labels.every((comparison) => holds(comparison, labels)))
  );
}

/** Sum of the weights of what the task prefers and the agent has. */
export function scoreOf(prefers: Demand['prefers'], labels: Seat['labels']): number {
  let score = 0;
  for (const preference of prefers ?? []) if (holds(preference, labels)) score += preference.weight;
  return score;
}

interface Space {
  readonly slots: number;
  readonly resources: Readonly<Record<string, number>>;
}

/** Whether the claim of a task goes into a space: the whole of an agent, or what is free of it. */
export function hasSpace(demand: Demand | undefined, { slots, resources }: Space): boolean {
  if (slots < (demand?.slots ?? 1)) return false;
  for (const name in demand?.resources)
    if ((Object.hasOwn(resources, name) ? resources[name]! : 0) < demand.resources[name]!) return false;
  return true;
}

/** What would stay unused of the claimed kinds, each as a share of the agent: the less, the better the fit. */
export function leftover(demand: Demand, seat: Seat, { slots, resources }: Space): number {
  const claim = claimOf(demand);
  if (!claim) return 0;
  let sum = (slots - claim.slots) / seat.slots;
  for (const name in claim.resources)
    sum += ((resources[name] ?? 0) - claim.resources[name]!) / (seat.resources[name] ?? 1);
  return sum;
}
