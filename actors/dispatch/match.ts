/**
 * Who gets what: one pure function from the best waiting tasks and the agents with room to assignments. Tasks go in their
 * order; agents take turns, the one that has waited longest for work first, so load spreads and the result is the same
 * for the same input.
 */
export interface Room {
  readonly agent: string;
  readonly freeSlots: number;
  /** When it last got work, in milliseconds. */
  readonly usedAt: number;
}

export interface Assignment<Task> {
  readonly task: Task;
  readonly agent: string;
}

export function match<Task>(ready: readonly Task[], rooms: readonly Room[]): Assignment<Task>[] {
  let turn = rooms
    .filter((room) => room.freeSlots > 0)
    .sort((left, right) => left.usedAt - right.usedAt || (left.agent < right.agent ? -1 : 1))
    .map((room) => ({ agent: room.agent, free: room.freeSlots }));
  const assignments: Assignment<Task>[] = [];
  let next = 0;
  while (turn.length > 0 && next < ready.length) {
    for (const room of turn) {
      if (next >= ready.length) break;
      assignments.push({ task: ready[next++]!, agent: room.agent });
      room.free--;
    }
    turn = turn.filter((room) => room.free > 0);
  }
  return assignments;
}
