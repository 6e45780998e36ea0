/** One actor by id: from its snapshot in Redis, once retired from PostgreSQL. Checked against the caller's tenant. */
import type { Response } from 'express';
import { settledStatuses, taskStatus } from '../actors/task/status.ts';
import { viewOfStored } from '../runtime/protocol/snapshot.ts';
import type { ActorView } from '../runtime/protocol/snapshot.ts';
import { address } from '../runtime/protocol/ids.ts';
import type { Caller } from './auth.ts';
import type { ApiContext } from './context.ts';
import { Problem } from './problem.ts';
import { taskOfRow, taskOfView, type TaskResource } from './resources.ts';

export async function storedView(context: ApiContext, definition: string, id: string): Promise<ActorView | undefined> {
  const text = await context.gateway.snapshot(address(definition, id));
  return text === undefined ? undefined : viewOfStored(id, text);
}

/** @throws Problem 404, also for a task of another tenant */
export async function readTask(context: ApiContext, id: string, caller: Caller): Promise<TaskResource> {
  const view = await storedView(context, 'task', id);
  const task = view ? taskOfView(view) : await retiredTask(context, id);
  if (!task || (caller.tenant !== undefined && task['tenant'] !== caller.tenant))
    throw new Problem('not-found', `there is no task ${id}`);
  return task;
}

/** The task when it is settled, or as it is when the time is over or the client has gone. */
export async function settledTask(
  context: ApiContext,
  response: Response,
  id: string,
  caller: Caller,
  waitMs: number,
): Promise<TaskResource> {
  const over = new AbortController();
  const gone = (): void => over.abort();
  response.once('close', gone);
  const unwatch = await context.follower.watch(address('task', id), (record) => {
    if (record.outcome === undefined && settledStatuses.has(taskStatus(record.state))) over.abort();
  });
  try {
    const present = await readTask(context, id, caller);
    if (settledStatuses.has(present.status) || waitMs === 0) return present;
    await context.system.sleep(waitMs, over.signal);
    return await readTask(context, id, caller);
  } finally {
    unwatch();
    response.off('close', gone);
  }
}

export async function retiredTask(context: ApiContext, id: string): Promise<TaskResource | undefined> {
  const row = await context.readModel.task(id);
  return row && taskOfRow(row);
}
