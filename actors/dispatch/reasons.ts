/**
 * Why a queued task does not run: every reason that holds now, not only the first. When the remedies of all of them are
 * applied, it runs. Pure: a look at the same indexes that the dispatcher decides by.
 */
import type { Address } from '../../runtime/protocol/ids.ts';
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
  const { type } = lane;
  const task = (spot.gate?.queue ?? spot.kind.queue).get(address)!;
  const demand = task.demand;
  const reasons: Reason[] = [];
  if (lane.paused) reasons.push({ code: 'queue_paused', type });
  const matching = [...lane.agents.values()].filter((seat) => meets(demand?.requires, seat));
  const able = matching.filter((seat) => hasSpace(demand, seat));
  if (lane.agents.size === 0) reasons.push({ code: 'no_agent', type });
  else if (matching.length === 0)
    reasons.push({ code: 'no_matching_agent', type, agents: lane.agents.size, requires: demand?.requires ?? {} });
  else if (able.length === 0)
    reasons.push({ code: 'claim_too_large', claim: claimText(task), largest: largestOf(matching, task) });
  else if (!able.some((seat) => hasSpace(demand, { slots: seat.freeSlots, resources: seat.left })))
    reasons.push({
      code: 'no_free_slot',
      agents: able.length,
      ...((demand?.slots ?? demand?.resources) !== undefined && { claim: claimText(task) }),
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

/** The task that has to start before others of its key; else the one before others that are charged the same limits. */
function firstOf({ gate, kind }: Spot, address: Address): ReadyTask | undefined {
  const [ofKey] = gate?.queue.best(1) ?? [];
  if (ofKey && ofKey.address !== address) return ofKey;
  return kind.demand?.limits && kind.queue.best(1)[0];
}

function limitReason(purse: Purse, limit: string, cost: number, now: number): Reason | undefined {
  const allotment = purse.get(limit);
  if (!allotment || purse.spendable(limit, now) >= cost) return undefined;
  const { denial, ofUnits, deniedUntilMs } = allotment;
  if (denial === 'unknown') return { code: 'limit_unknown', limit };
  if (ofUnits !== undefined && cost > ofUnits) return { code: 'limit_too_small', limit, cost, units: ofUnits };
  if (denial !== 'spent') return undefined;
  return {
    ...{ code: 'limit_spent', limit, cost },
    ...(ofUnits !== undefined && { units: ofUnits }),
    ...(deniedUntilMs !== undefined && { free_at: new Date(deniedUntilMs).toISOString() }),
  };
}

function claimText({ demand }: ReadyTask): object {
  return { slots: demand?.slots ?? 1, ...demand?.resources };
}

/** Of each claimed kind, the most that any agent has. */
function largestOf(seats: readonly Seat[], { demand }: ReadyTask): object {
  const largest: Record<string, number> = { slots: Math.max(...seats.map(({ slots }) => slots)) };
  for (const name in demand?.resources) largest[name] = Math.max(...seats.map(({ resources }) => resources[name] ?? 0));
  return largest;
}
