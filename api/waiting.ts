/** Why a task is not over, as the machine and the owner of its shard know it: a list of reasons, and one sentence. */
import type { Reason } from '../actors/dispatch/reasons.ts';
import type { Demand } from '../actors/task/demand.ts';
import { settledStatuses, type TaskStatus } from '../actors/task/status.ts';
import { beforeQueue, stateReasonCodes, stateReasons, type StateReason } from '../actors/task/reasons.ts';
import { limits } from '../config/limits.ts';
import { Unavailable } from '../runtime/protocol/errors.ts';
import { address, shardOfId } from '../runtime/protocol/ids.ts';
import type { JsonObject } from '../runtime/protocol/json.ts';
import { readStored } from '../runtime/protocol/snapshot.ts';
import type { ApiContext } from './context.ts';
import { taskOfView, type TaskResource } from './resources.ts';

/** What tasks that wait for an agent wait for comes from the dispatcher, the rest from the state of the task. */
export const reasonCodes = [
  ...['queue_paused', 'no_agent', 'no_matching_agent', 'claim_too_large', 'no_free_slot', 'concurrency_key'],
  ...['limit_unknown', 'limit_too_small', 'limit_spent', 'behind', 'turn'],
  ...stateReasonCodes,
  'shard_owner',
] as const;

type Waiting = Reason | StateReason | { code: 'shard_owner'; shard: number };

/** The task with what it waits for, both of one moment: it may have gone on since it was read. */
export async function explained(context: ApiContext, task: TaskResource): Promise<TaskResource> {
  if (settledStatuses.has(task.status) && task.status !== 'parked') return task;
  const text = await context.gateway.snapshot(address('task', task.id));
  if (text === undefined) return task;
  const { view, timers } = readStored(task.id, text);
  const now = taskOfView(view);
  const waiting: Waiting[] = stateReasons(view, timers, context.system.now());
  if (now.status === 'queued') waiting.push(...(await asked(context, task.id, { ask: 'reasons', task: task.id })));
  else if (beforeQueue.has(now.status as TaskStatus)) {
    const { type, demand } = view.context as unknown as { type: string; demand?: Demand };
    const question = { ask: 'prospects', type, ...(demand && { demand: demand as unknown as JsonObject }) };
    waiting.push(...(await asked(context, task.id, question)));
  }
  if (waiting.length === 0) return now;
  const sentence = waiting.map(sentenceOf).join('; and ');
  return { ...now, waiting_for: waiting, explanation: `It waits for ${sentence}.` };
}

/** The owner of the shard says it, in whichever process it runs. */
async function asked(context: ApiContext, id: string, question: JsonObject): Promise<Waiting[]> {
  const shard = shardOfId(id) ?? 0;
  try {
    const answer = await context.commands.ask(shard, question, limits.explainWaitMs);
    if (!answer) return [{ code: 'shard_owner', shard }];
    // It was queued when it was read, and is no more.
    return (answer['reasons'] ?? []) as unknown as Reason[];
  } catch (error) {
    if (error instanceof Unavailable) return [{ code: 'shard_owner', shard }];
    throw error;
  }
}

const until = (at: string | undefined): string => (at === undefined ? '' : `, until ${at} at most`);

function sentenceOf(reason: Waiting): string {
  switch (reason.code) {
    case 'queue_paused':
      return `the queue ${reason.type} to be resumed: POST /api/v1/queues/${reason.type}/resume`;
    case 'no_agent':
      return `an agent of type ${reason.type}: none is registered, well and accepting work`;
    case 'no_matching_agent':
      return `an agent that meets its requirements: none of ${reason.agents} of type ${reason.type} does`;
    case 'claim_too_large':
      return `a larger agent: it claims ${JSON.stringify(reason.claim)}, the largest have ${JSON.stringify(reason.largest)}`;
    case 'no_free_slot':
      return `room: ${reason.agents} fitting agents are busy; another one, or the end of what they do, lets it run`;
    case 'concurrency_key':
      return `its concurrency key ${JSON.stringify(reason.key)}: ${reason.under_way} of ${reason.limit} attempts are under way`;
    case 'limit_unknown':
      return `the limit ${reason.limit} to be set: PUT /api/v1/limits/${reason.limit}`;
    case 'limit_too_small':
      return `a higher limit ${reason.limit}: it costs ${reason.cost}, a whole window has ${reason.units}`;
    case 'limit_spent':
      return `${reason.cost} units of the limit ${reason.limit}${reason.free_at === undefined ? '' : `, whose next window begins at ${reason.free_at}`}`;
    case 'behind':
      return `the task ${reason.task}, which goes before it`;
    case 'turn':
      return `its turn: ${reason.queued} tasks of its type wait`;
    case 'agent_start':
      return `the agent ${reason.agent} to start it${until(reason.until)}`;
    case 'agent_result':
      return `the result of the agent ${reason.agent}${until(reason.until)}`;
    case 'agent_stop':
      return `the agent ${reason.agent} to stop${until(reason.until)}`;
    case 'retry_delay':
      return `its next attempt${reason.until === undefined ? '' : `, at ${reason.until}`}: ${reason.failures} failed`;
    case 'start_time':
      return `its time, ${reason.until}`;
    case 'parent':
      return reason.status === 'parked'
        ? `the task ${reason.task}, which is parked: redrive or cancel that one`
        : `the end of the task ${reason.task}`;
    case 'task_paused':
      return 'being resumed: POST /api/v1/tasks/{id}/resume';
    case 'operator':
      return `an operator: ${whyParked[reason.reason ?? ''] ?? 'its attempts are used up'}; redrive or cancel it`;
    case 'shard_owner':
      return `a process that serves shard ${reason.shard}: none answered`;
  }
}

const whyParked: Readonly<Record<string, string>> = {
  parent_failed: 'a task that it depends on did not succeed',
  released: 'agents gave it back too often',
  poison: 'too many agents were lost with it',
};
