/**
 * Why a queued task does not run: every reason that holds now, not only the first. When the remedies of all of them are
 * applied, it runs. Pure: a look at the same indexes that the dispatcher decides by.
 */
import type { Address } from '../../runtime/protocol/ids.ts';
import type { Demand } from '../task/demand.ts';
import { hasSpace, meets, type Seat } from './fit.ts';
import type { Lane, Spot } from './lane.ts';
import type { Purse } from './purse.ts';
import type { ReadyTask } from './ready.ts';

export type Reason =
  | { code: 'queue_paused'; type: string }
  | { code: 'no_agent'; type: string }
  /** Agents are there, and none of them meets what the task requires. */
  | { code: 'no_matching_agent'; type: string; agents: number; requires: object }
  /** No matching agent is that large, even when it is empty. */
  | { code: 'claim_too_large'; claim: object; largest: object }
  | { code: 'no_free_slot'; agents: number; claim?: object }
  | { code: 'concurrency_key'; key: string; limit: number; under_way: number; strategy: string }
  | { code: 'limit_unknown'; limit: string }
  | { code: 'limit_too_small'; limit: string; cost: number; units: number }
  | { code: 'limit_spent'; limit: string; cost: number; units?: number; free_at?: string }
  /** Tasks of one key, and tasks with the same limits, start in their order: this one goes first, and waits itself. */
  | { code: 'behind'; task: string }
  /** Nothing but others that are before it; `queued` counts all tasks of its type that wait. */
  | { code: 'turn'; queued: number };

export function reasonsOf(lane: Lane, purse: Purse, address: Address, now: number): Reason[] | undefined {
  const spot = lane.spot(address);
  if (!spot) return undefined;
  const { demand } = (spot.gate?.queue ?? spot.kind.queue).get(address)!;
  const { reasons, able } = lastingReasons(lane, demand);
  if (able.length > 0 && !able.some((seat) => hasSpace(demand, { slots: seat.freeSlots, resources: seat.left })))
    reasons.push({
      code: 'no_free_slot',
      agents: able.length,
      ...((demand?.slots ?? demand?.resources) !== undefined && { claim: claimText(demand) }),
    });
  const concurrency = demand?.concurrency;
  if (concurrency && spot.gate && spot.gate.held >= concurrency.limit) {
    const { key, limit, strategy } = concurrency;
    reasons.push({ code: 'concurrency_key', key, limit, under_way: spot.gate.held, strategy });
  }
  for (const [name, cost] of Object.entries(demand?.limits ?? {})) {
    const reason = limitReason(purse, name, cost, now);
    if (reason) reasons.push(reason);
  }
  if (reasons.length > 0) return reasons;
  const first = firstOf(spot, address);
  if (first && first.address !== address) return [{ code: 'behind', task: first.address.slice('task/'.length) }];
  return [{ code: 'turn', queued: lane.queued }];
}

/**
 * What a task that is not queued yet will meet in the queue, whenever that is: nothing of it passes by waiting. A limit that
 * has enough units in a window is none of it.
 */
export function prospectsOf(lane: Lane, purse: Purse, demand: Demand | undefined, now: number): Reason[] {
  const { reasons } = lastingReasons(lane, demand);
  for (const [name, cost] of Object.entries(demand?.limits ?? {})) {
    const reason = limitReason(purse, name, cost, now);
    if (reason && reason.code !== 'limit_spent') reasons.push(reason);
  }
  return reasons;
}

/** What somebody has to do something about; and the agents that could take the task when they were empty. */
function lastingReasons(lane: Lane, demand: Demand | undefined): { reasons: Reason[]; able: Seat[] } {
  const { type, agents } = lane;
  const reasons: Reason[] = lane.paused ? [{ code: 'queue_paused', type }] : [];
  const matching = [...agents.values()].filter((seat) => meets(demand?.requires, seat));
  const able = matching.filter((seat) => hasSpace(demand, seat));
  if (agents.size === 0) reasons.push({ code: 'no_agent', type });
  else if (matching.length === 0)
    reasons.push({ code: 'no_matching_agent', type, agents: agents.size, requires: demand?.requires ?? {} });
  else if (able.length === 0)
    reasons.push({ code: 'claim_too_large', claim: claimText(demand), largest: largestOf(matching, demand) });
  return { reasons, able };
}

/** The task that has to start before others of its key; else the one before others that are charged the same limits. */
function firstOf({ gate, kind }: Spot, address: Address): ReadyTask | undefined {
  const [ofKey] = gate?.queue.best(1) ?? [];
  if (ofKey && ofKey.address !== address) return ofKey;
  return kind.demand?.limits && kind.queue.best(1)[0];
}

function limitReason(purse: Purse, limit: string, cost: number, now: number): Reason | undefined {
  const allotment = purse.get(limit);
  const lacking = cost - purse.spendable(limit, now);
  if (!allotment || lacking <= 0) return undefined;
  const { denial, ofUnits, deniedUntilMs, left = 0 } = allotment;
  // What it said when it granted something may be old: it tells of a change only to those whom it denied.
  if (denial === undefined) return undefined;
  if (denial === 'unknown') return { code: 'limit_unknown', limit };
  if (ofUnits !== undefined && cost > ofUnits) return { code: 'limit_too_small', limit, cost, units: ofUnits };
  // What is left may do for this one, though it did not for the one that asked.
  if (lacking <= left) return undefined;
  return {
    ...{ code: 'limit_spent', limit, cost },
    ...(ofUnits !== undefined && { units: ofUnits }),
    ...(deniedUntilMs !== undefined && { free_at: new Date(deniedUntilMs).toISOString() }),
  };
}

function claimText(demand: Demand | undefined): object {
  return { slots: demand?.slots ?? 1, ...demand?.resources };
}

/** Of each claimed kind, the most that any agent has. */
function largestOf(seats: readonly Seat[], demand: Demand | undefined): object {
  const largest: Record<string, number> = { slots: Math.max(...seats.map(({ slots }) => slots)) };
  for (const name in demand?.resources) largest[name] = Math.max(...seats.map(({ resources }) => resources[name] ?? 0));
  return largest;
}
