/** The status of a schedule as REST shows it: the state of its machine. */
export const scheduleStatuses = ['registering', 'active', 'paused', 'ended', 'removed', 'rejected'] as const;

/** Those that are there no more: their names are free. */
export const goneScheduleStatuses = ['removed', 'rejected'] as const;
