/** The incarnation of a new site of a pair: both sites have one, that of whichever was there first. */
import type { Log, PeerSite, System } from '../../runtime/ports.ts';
import { Unavailable } from '../../runtime/protocol/errors.ts';

const askEveryMs = 500;
const sayEvery = 20;

export interface BirthSettings {
  name: 'primary' | 'secondary';
  deployment: string;
  shards: number;
  peer: Pick<PeerSite, 'greet'>;
  system: System;
  log: Log;
}

/** The secondary waits for the primary. @throws Error when the other site belongs to something else */
export async function birthOf({ name, deployment, shards, peer, system, log }: BirthSettings): Promise<string> {
  for (let asked = 0; ; asked++) {
    let why = 'nothing was started there yet';
    const greeting = await peer.greet().catch((error: unknown) => {
      if (!(error instanceof Unavailable)) throw error;
      why = error.message;
      return undefined;
    });
    if (greeting) {
      if (greeting.deployment !== deployment)
        throw new Error(
          `the other site belongs to the deployment "${greeting.deployment}", this one to "${deployment}": correct [peer] redis or deployment`,
        );
      if (greeting.shards !== shards)
        throw new Error(
          `the other site has ${greeting.shards} shards, this one is set to ${shards}: set [orchestrator] shards = ${greeting.shards}`,
        );
      return greeting.incarnation;
    }
    if (name === 'primary') return system.ulid();
    if (asked % sayEvery === 0)
      log.warn({ why }, 'the secondary site is new and waits for the primary, which does not answer');
    await system.sleep(askEveryMs);
  }
}
