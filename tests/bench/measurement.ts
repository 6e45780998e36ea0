/** What one run of one system gives, and what several runs of it come to. */
export interface Measurement {
  tasks: number;
  seconds: number;
  /** User and system time of the process that is producer, runtime and agents (or producer and worker). */
  clientCpuUs: number;
  /** User and system time of the Redis server. */
  redisCpuUs: number;
}

/** The columns of the table, per run. */
export interface Figures {
  tasksPerSecond: number;
  clientUsPerTask: number;
  redisUsPerTask: number;
  totalUsPerTask: number;
}

export type FigureName = keyof Figures;

export interface Spread {
  median: number;
  min: number;
  max: number;
}

export function figuresOf({ tasks, seconds, clientCpuUs, redisCpuUs }: Measurement): Figures {
  return {
    tasksPerSecond: tasks / seconds,
    clientUsPerTask: clientCpuUs / tasks,
    redisUsPerTask: redisCpuUs / tasks,
    totalUsPerTask: (clientCpuUs + redisCpuUs) / tasks,
  };
}

export function spreadOf(measurements: readonly Measurement[], figure: FigureName): Spread {
  const sorted = measurements.map((one) => figuresOf(one)[figure]).sort((left, right) => left - right);
  const middle = Math.floor((sorted.length - 1) / 2);
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle]! + sorted[middle + 1]!) / 2;
  return { median, min: sorted[0]!, max: sorted[sorted.length - 1]! };
}
