/** The row of a task says what its machine knows, after every step of whatever life it has. */
import { expect, test } from 'vitest';
import type { TaskContext } from '../../actors/task/attempt.ts';
import { taskProjection } from '../../actors/task/projection.ts';
import { taskStatus, taskStatuses } from '../../actors/task/status.ts';
import { viewOf, type Actor } from '../../runtime/core/actor.ts';
import { MemoryProjectionStore } from '../../runtime/memory/projection.ts';
import { MemoryReadModel } from '../../runtime/memory/readmodel.ts';
import type { TaskRow } from '../../runtime/readmodel.ts';
import { Chance } from '../support/chance.ts';
import { randomEvent, taskLife, type Lived } from '../support/tasklife.ts';

const id = 't-0-a';

function known(actor: Actor): Partial<TaskRow> {
  const { state, revision, ...view } = viewOf(actor);
  const context = view.context as unknown as TaskContext;
  return {
    status: taskStatus(state),
    type: context.type,
    tenant: context.tenant ?? null,
    priority: context.priority,
    parameters: context.parameters,
    result: context.result ?? null,
    error: context.error ?? null,
    reason: context.reason ?? null,
    agent: context.agent ?? null,
    attempt: context.attempt,
    progress: context.progress ?? null,
    createdAt: context.createdAt,
    startedAt: context.startedAt ?? null,
    finishedAt: context.finishedAt ?? null,
    revision,
  };
}

/** Compares row and machine after each record; returns the statuses that were seen. */
async function compare(life: Iterable<Lived>): Promise<string[]> {
  const store = new MemoryProjectionStore([taskProjection]);
  const model = new MemoryReadModel(store);
  const trail: string[] = [];
  let position = '0-0';
  for (const { record, at, actor } of life) {
    const status = taskStatus(record.state);
    trail.push(`${record.event?.type ?? 'create'} -> ${status}`);
    const entry = { shard: 0, epoch: 1, sequence: record.revision, at, records: [record] };
    const next = `${at}-${record.revision}`;
    await store.apply(0, position, [{ position: next, entry }]);
    position = next;
    expect({ trail, ...(await model.task(id)) }).toMatchObject({ trail, ...known(actor) });
  }
  return trail.map((line) => line.slice(line.lastIndexOf(' ') + 1));
}

test('random lives', async () => {
  const seen = new Set<string>();
  for (let seed = 1; seed <= 600; seed++) {
    const chance = new Chance(seed);
    const life = taskLife(
      id,
      (actor, number) => (number < 60 ? randomEvent(chance, actor, number) : undefined),
      () => 1 + chance.below(2_000),
      seed,
    );
    for (const status of await compare(life)) seen.add(status);
  }
  expect([...seen].sort()).toEqual([...taskStatuses].sort());
});

test('a task that loses agent after agent, until it is set aside as poison', async () => {
  const life = taskLife(id, (actor, number) => {
    const { state, context } = viewOf(actor);
    if (taskStatus(state) === 'parked') return undefined;
    const attempt = Number(context['attempt']);
    return taskStatus(state) === 'queued'
      ? { type: 'assign', agent: 'a-0-x', token: `t${number}`, attempt: attempt + 1 }
      : { type: 'revoke', agent: 'a-0-x', reason: 'agent_lost' };
  });
  expect((await compare(life)).at(-1)).toBe('parked');
});
