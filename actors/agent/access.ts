/** Which agents may be connected, as the host asks it of every mailbox, and how the host says that one cannot be trusted. */
import type { Envelope } from '../../runtime/protocol/envelope.ts';
import { address, type Address } from '../../runtime/protocol/ids.ts';
import type { ActorView } from '../../runtime/protocol/snapshot.ts';
import { agentStatus } from './status.ts';

/** How long an agent that left may still read that it is to shut down. */
const farewellMs = 10_000;

export const ownerOf = (mailbox: string): Address => address('agent', mailbox);

/**
 * @param owner the agent of the mailbox, undefined where there is none
 * @returns what names its present registration, or undefined where nobody may connect
 */
export function grantOf(owner: ActorView | undefined, nowMs: number): string | undefined {
  if (!owner) return undefined;
  const grant = `${Number(owner.context['generation'])}.${Number(owner.context['registeredAt'])}`;
  switch (agentStatus(owner.state)) {
    case 'LOST':
    case 'QUARANTINED':
      return undefined;
    case 'RETIRED':
      return nowMs < owner.since + farewellMs ? grant : undefined;
    default:
      return grant;
  }
}

export function quarantineOf(mailbox: string, reason: string): Envelope {
  return {
    id: 'quarantine',
    to: ownerOf(mailbox),
    origin: 'actor',
    by: 'runtime',
    event: { type: 'quarantine', reason },
  };
}
