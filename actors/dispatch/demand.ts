/**
 * How many agents a lane could use: what an autoscaler, or an operator, should make true. Enough slots for everything that
 * runs or waits, in agents of the size that is there; one slot each where there is none yet.
 */
export function wantedAgents(lane: { queued: number; running: number; agents: number; slots: number }): number {
  const slotsPerAgent = lane.agents > 0 ? lane.slots / lane.agents : 1;
  return Math.ceil((lane.queued + lane.running) / slotsPerAgent);
}
