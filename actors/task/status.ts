/** The status of a task as REST shows it: the innermost state of its machine. */
import { stateText, type StateValue } from '../../runtime/protocol/envelope.ts';

export const taskStatuses = [
  'scheduled',
  'blocked',
  'paused',
  'queued',
  'assigned',
  'running',
  'retrying',
  'cancelling',
  'parked',
  'succeeded',
  'cancelled',
  'expired',
] as const;
export type TaskStatus = (typeof taskStatuses)[number];

/** Statuses in which nothing more happens by itself: `Prefer: wait` and event streams end there. */
export const settledStatuses: ReadonlySet<string> = new Set(['succeeded', 'cancelled', 'expired', 'parked']);

const statuses = new WeakMap<object, TaskStatus>();

/** The innermost state: the status that REST shows. Tasks in one state mostly share its value, so it is looked up once. */
export function taskStatus(state: StateValue): TaskStatus {
  if (typeof state === 'string') return state as TaskStatus;
  let status = statuses.get(state);
  if (status === undefined) {
    const text = stateText(state);
    statuses.set(state, (status = text.slice(text.lastIndexOf('.') + 1) as TaskStatus));
  }
  return status;
}
