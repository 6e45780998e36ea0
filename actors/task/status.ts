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

/** The innermost state: the status that REST shows. */
export function taskStatus(state: StateValue): TaskStatus {
  const text = stateText(state);
  return text.slice(text.lastIndexOf('.') + 1) as TaskStatus;
}
