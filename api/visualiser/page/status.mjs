/** Statuses of tasks, in the order of a task's life. */
export const statuses = [
  ...['scheduled', 'blocked', 'paused', 'queued', 'assigned', 'running', 'retrying', 'cancelling', 'parked'],
  ...['succeeded', 'cancelled', 'expired'],
];

/** Those that nothing follows. */
export const settled = new Set(['succeeded', 'cancelled', 'expired']);
