/** Why a task is not over, as the machine and the owner of its shard know it: a list of reasons, and one sentence. */
import type { Reason } from '../actors/dispatch/reasons.ts';
import { settledStatuses } from '../actors/task/status.ts';
import { limits } from '../config/limits.ts';
import { Unavailable } from '../runtime/protocol/errors.ts';
import { address, shardOfId } from '../runtime/protocol/ids.ts';
import type { StoredActor } from '../runtime/protocol/snapshot.ts';
import type { ApiContext } from './context.ts';
import type { TaskResource } from './resources.ts';

/** Codes of tasks that wait for an agent come from the dispatcher, the others from the state of the task. */
export const reasonCodes = [
  ...['queue_paused', 'no_agent', 'no_matching_agent', 'claim_too_large', 'no_free_slot', 'concurrency_key'],
  ...['limit_unknown', 'limit_too_small', 'limit_spent', 'behind', 'turn'],
  ...['agent_start', 'agent_result', 'agent_stop', 'retry_delay', 'clock', 'operator', 'shard_owner'],
] as const;

type Waiting =
  | Reason
  | { code: 'agent_start' | 'agent_result' | 'agent_stop'; agent: string; until?: string }
  | { code: 'retry_delay' | 'clock'; until?: string }
  | { code: 'operator'; legal: readonly string[] }
  | { code: 'shard_owner'; shard: number };

export async function explained(context: ApiContext, task: TaskResource): Promise<TaskResource> {
  if (settledStatuses.has(task.status) && task.status !== 'parked') return task;
  const waiting = await waitingFor(context, task);
  if (waiting.length === 0) return task;
  const sentence = waiting.map(sentenceOf).join('; and ');
  return { ...task, waiting_for: waiting, explanation: `It waits for ${sentence}.` };
}

async function waitingFor(context: ApiContext, task: TaskResource): Promise<Waiting[]> {
  const agent = String((task['agent'] as string | undefined) ?? '');
  switch (task.status) {
    case 'queued':
      return queued(context, task.id);
    case 'assigned':
      return [{ code: 'agent_start', agent, ...(await nextTimer(context, task.id, '.assigned.')) }];
    case 'running':
      return [{ code: 'agent_result', agent, ...(await nextTimer(context, task.id, '.startToClose.')) }];
    case 'cancelling':
      return [{ code: 'agent_stop', agent, ...(await nextTimer(context, task.id, '.cancelGrace.')) }];
    case 'retrying':
      return [{ code: 'retry_delay', ...(await nextTimer(context, task.id, '.backoff.')) }];
    case 'parked':
      return [{ code: 'operator', legal: ['redrive', 'cancel'] }];
    default:
      return [];
  }
}

/** The owner of the shard says it, in whichever process it runs. */
async function queued(context: ApiContext, id: string): Promise<Waiting[]> {
  const shard = shardOfId(id) ?? 0;
  try {
    const answer = await context.commands.ask(shard, { ask: 'reasons', task: id }, limits.explainWaitMs);
    if (!answer) return [{ code: 'shard_owner', shard }];
    // It was queued when it was read, and is no more.
    return (answer['reasons'] ?? []) as unknown as Reason[];
  } catch (error) {
    if (error instanceof Unavailable) return [{ code: 'shard_owner', shard }];
    throw error;
  }
}

/** When the clock of the state rings. */
async function nextTimer(context: ApiContext, id: string, name: string): Promise<{ until?: string }> {
  const text = await context.gateway.snapshot(address('task', id));
  const { timers = {} } = text === undefined ? {} : (JSON.parse(text) as StoredActor);
  const value = Object.entries(timers).find(([timer]) => timer.includes(name))?.[1];
  if (value === undefined) return {};
  return { until: new Date(typeof value === 'number' ? value : value[0]).toISOString() };
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
      return `the end of the pause before its next attempt${until(reason.until)}`;
    case 'clock':
      return `its time to come${until(reason.until)}`;
    case 'operator':
      return 'an operator: its attempts are used up; redrive or cancel it';
    case 'shard_owner':
      return `a process that serves shard ${reason.shard}: none answered`;
  }
}
