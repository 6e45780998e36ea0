/** What an agent has in use: derived from what it holds, never counted beside it (R11). */
import type { Claim } from '../task/demand.ts';
import type { AgentContext } from './enrolment.ts';

type Holder = Pick<AgentContext, 'holding' | 'claims'>;

export function slotsInUse({ holding, claims }: Holder): number {
  let slots = Object.keys(holding).length;
  for (const task in claims) slots += claims[task]!.slots - 1;
  return slots;
}

/** Of one resource, what is left. */
export function resourceLeft({ resources, claims }: Pick<AgentContext, 'resources' | 'claims'>, name: string): number {
  let left = Object.hasOwn(resources, name) ? resources[name]! : 0;
  for (const task in claims) left -= claims[task]!.resources[name] ?? 0;
  return left;
}

export function occupied(
  { holding: before, claims }: Holder,
  tasks: readonly (readonly [task: string, watched: 0 | 1, claim?: Claim])[],
  at: number,
): Partial<AgentContext> {
  const holding = { ...before };
  const claimed: Record<string, Claim> = {};
  for (const [task, watched, claim] of tasks) {
    holding[task] = watched;
    if (claim) claimed[task] = claim;
  }
  const more = Object.keys(claimed).length > 0;
  return { holding, usedAt: at, ...(more && { claims: { ...claims, ...claimed } }) };
}

export function released({ holding: before, claims }: Holder, tasks: readonly string[]): Partial<AgentContext> {
  const holding = { ...before };
  for (const task of tasks) delete holding[task];
  if (!claims) return { holding };
  const left = Object.fromEntries(Object.entries(claims).filter(([task]) => task in holding));
  return { holding, claims: Object.keys(left).length > 0 ? left : undefined };
}
