/** One actor by id: from its snapshot in Redis, once retired from PostgreSQL. Checked against the caller's tenant. */
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
  if (task.status === 'queued') return { ...task, waiting_for: waitingFor(context, String(task['type'])) };
  return task;
}

async function retiredTask(context: ApiContext, id: string): Promise<TaskResource | undefined> {
  const row = await context.readModel.task(id);
  return row && taskOfRow(row);
}

/** Why a queued task does not run, in one sentence, as far as this process can see. */
function waitingFor(context: ApiContext, type: string): string {
  const lanes = context.lanes();
  const lane = lanes.find((status) => status.type === type);
  if (lanes.length === 0) return `an agent of type ${type} with a free slot`;
  if (!lane || lane.agents === 0) return `an agent of type ${type}: none is registered, well and accepting work`;
  if (lane.freeSlots === 0)
    return `a free slot: all ${lane.agents} agents of type ${type} are busy, ${lane.queued} tasks wait`;
  return 'its turn, which is now';
}
