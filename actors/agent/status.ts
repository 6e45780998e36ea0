/** The status of an agent as REST shows it: one word for its two regions. */
import { stateText, type StateValue } from '../../runtime/protocol/envelope.ts';

export const agentStatuses = [
  'REGISTERING',
  'IDLE',
  'BUSY',
  'PAUSED',
  'DRAINING',
  'SUSPECT',
  'LOST',
  'QUARANTINED',
  'RETIRED',
] as const;
export type AgentStatus = (typeof agentStatuses)[number];

export function agentStatus(state: StateValue): AgentStatus {
  const text = stateText(state);
  if (/suspect|sick/.test(text)) return 'SUSPECT';
  // Its last moment: in lists and in history it is one that left.
  if (text === 'forgotten') return 'RETIRED';
  for (const status of agentStatuses) if (text.includes(status.toLowerCase())) return status;
  return 'REGISTERING';
}
