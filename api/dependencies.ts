/** What a submit depends on: looked up, checked, and put in an order in which parents come first. */
import type { KnownEnding } from '../actors/task/events.ts';
import { limits } from '../config/limits.ts';
import { address, shardOfId } from '../runtime/protocol/ids.ts';
import type { JsonObject } from '../runtime/protocol/json.ts';
import { viewOfStored } from '../runtime/protocol/snapshot.ts';
import type { Caller } from './auth.ts';
import type { ApiContext } from './context.ts';
import { Problem } from './problem.ts';
import { retiredTask } from './reading.ts';
import type { Submission } from './submitted.ts';

/** Undefined: there is no such task. `ending`: it has left Redis, so it will not answer its child. */
export type KnownParent = { tenant: string | undefined; ending?: KnownEnding } | undefined;

/**
 * Looks the parents of a submission up and writes them into its command.
 * @param outside parents that were not submitted by the same request
 * @param known what was looked up before in the request
 * @param parents ids of all of them
 * @throws Problem for a parent that is unknown or of another tenant
 */
export async function addParents(
  context: ApiContext,
  caller: Caller,
  item: Submission,
  outside: readonly string[],
  known: Map<string, Promise<KnownParent>>,
  parents: readonly string[] = outside,
): Promise<void> {
  if (parents.length === 0) return;
  const settled: Record<string, KnownEnding> = {};
  for (const id of outside) {
    const looked = known.get(id) ?? lookUp(context, id);
    known.set(id, looked);
    const parent = await looked;
    const where = `${item.at}/depends_on/${item.dependsOn.indexOf(id)}`;
    if (!parent || (caller.tenant !== undefined && parent.tenant !== caller.tenant))
      throw new Problem('invalid-request', `there is no task ${id} to depend on`, { where });
    if (parent.tenant !== item.tenant)
      throw new Problem('invalid-request', `${id} belongs to another tenant`, {
        where,
        remedy: 'a task depends on tasks of its own tenant only',
      });
    if (parent.ending) settled[id] = parent.ending;
  }
  item.command.input = {
    ...item.command.input,
    depends_on: [...parents],
    ...(Object.keys(settled).length > 0 && { settled_parents: settled as unknown as JsonObject }),
  };
}

async function lookUp(context: ApiContext, id: string): Promise<KnownParent> {
  if ((shardOfId(id) ?? Infinity) >= context.site.shards) return undefined;
  const text = await context.gateway.snapshot(address('task', id));
  if (text !== undefined) return { tenant: viewOfStored(id, text).context['tenant'] as string | undefined };
  const row = await retiredTask(context, id);
  if (!row) return undefined;
  const { status, result } = row;
  const ending = { status, ...(status === 'succeeded' && result !== undefined && { result }) } as KnownEnding;
  return { tenant: row['tenant'] as string | undefined, ending };
}

/**
 * Items by level: those of a level depend on earlier levels only.
 * @returns also what is wrong with items that stand in none
 */
export function levelsOf(items: readonly Pick<Submission, 'ref' | 'dependsOn' | 'at'>[]): {
  levels: number[][];
  problems: Map<number, Problem>;
} {
  const problems = new Map<number, Problem>();
  const byRef = new Map<string, number>();
  for (const [index, { ref, at }] of items.entries()) {
    if (ref === undefined) continue;
    if (byRef.has(`#${ref}`))
      problems.set(index, new Problem('invalid-request', `the ref ${ref} stands twice`, { where: `${at}/ref` }));
    else byRef.set(`#${ref}`, index);
  }
  const parents = items.map(({ dependsOn, at }, index) =>
    dependsOn
      .filter((parent) => parent.startsWith('#'))
      .map((parent) => {
        const found = byRef.get(parent);
        if (found === undefined)
          problems.set(
            index,
            new Problem('invalid-request', `no item of the request has the ref ${parent.slice(1)}`, {
              where: `${at}/depends_on/${dependsOn.indexOf(parent)}`,
            }),
          );
        return found;
      })
      .filter((parent) => parent !== undefined),
  );
  const levels: number[][] = [];
  const done = new Set<number>();
  let rest = items.map((_, index) => index);
  while (rest.length > 0) {
    const level = rest.filter((index) => parents[index]!.every((parent) => done.has(parent)));
    if (level.length === 0) break;
    for (const index of level) done.add(index);
    rest = rest.filter((index) => !done.has(index));
    levels.push(level);
  }
  for (const index of rest) {
    const cycle = cycleFrom(index, parents);
    const names = cycle.map((member) => items[member]!.ref ?? String(member)).join(' -> ');
    const { at } = items[index]!;
    const detail = cycle.includes(index)
      ? `it depends on itself: ${names}`
      : `it depends on a cycle, which can never end: ${names}`;
    if (!problems.has(index))
      problems.set(index, new Problem('invalid-request', detail, { where: `${at}/depends_on` }));
  }
  for (const index of levels.slice(limits.dependencyDepthMax).flat())
    problems.set(
      index,
      new Problem('invalid-request', `more than ${limits.dependencyDepthMax} levels depend on one another`, {
        where: `${items[index]!.at}/depends_on`,
      }),
    );
  return {
    levels: levels.map((level) => level.filter((index) => !problems.has(index))).filter((level) => level.length > 0),
    problems,
  };
}

/** Follows unfinished parents until one comes again. The cycle begins and ends with the same item. */
function cycleFrom(start: number, parents: readonly (readonly number[])[]): number[] {
  // Every item that is left has a parent that is left: a path of the longest kind runs into a cycle.
  const path: number[] = [];
  const tried = new Set<number>();
  const walk = (index: number): number[] | undefined => {
    const again = path.indexOf(index);
    if (again !== -1) return [...path.slice(again), index];
    if (tried.has(index)) return undefined;
    tried.add(index);
    path.push(index);
    for (const parent of parents[index]!) {
      const found = walk(parent);
      if (found) return found;
    }
    path.pop();
    return undefined;
  };
  return walk(start) ?? [start];
}
