/**
 * Who has stored a submit before it is answered: this site, or with `Prefer: ack=peer` both sites of a pair, so that nothing
 * which was answered is lost with one of them.
 */
import type { Request, Response } from 'express';
import { limits } from '../config/limits.ts';
import { dataShards } from '../runtime/protocol/ids.ts';
import type { ApiContext } from './context.ts';
import { Problem } from './problem.ts';
import { preferencesOf } from './request.ts';

export type Acknowledgement = 'local' | 'peer';

/** @throws Problem for a level that does not exist */
export function acknowledgementOf(request: Request): Acknowledgement {
  const level = /(?:^|[,;\s])ack\s*=\s*"?([^",;\s]*)/i.exec(request.get('Prefer') ?? '')?.[1];
  if (level === undefined || level === 'local') return 'local';
  if (level === 'peer') return 'peer';
  throw new Problem('invalid-request', `there is no acknowledgement "${level.slice(0, 40)}"`, {
    where: 'Prefer',
    remedy: 'ack=local or ack=peer',
  });
}

/** Before anything is stored. @throws Problem where the other site cannot be waited for, or a repeat would not be safe */
export async function refuseUnconfirmable(
  { pair }: ApiContext,
  request: Request,
  idempotencyKey: string | undefined,
): Promise<void> {
  const where = 'Prefer';
  if (!pair)
    throw new Problem('invalid-request', 'this site runs alone: no other one can store it', {
      where,
      remedy: 'leave ack=peer out, or make a pair by [peer] in the settings',
    });
  if (preferencesOf(request).async)
    throw new Problem('invalid-request', 'ack=peer waits for the other site, respond-async does not wait', { where });
  if (idempotencyKey === undefined)
    throw new Problem('invalid-request', 'ack=peer needs an Idempotency-Key, so that it can be sent again', {
      where: 'Idempotency-Key',
    });
  if ((await pair.standing.other()) === undefined)
    throw new Problem('peer-away', 'the other site does not answer; nothing was stored', {
      remedy: 'send it again later, or without ack=peer',
      retryAfterSeconds: 5,
    });
}

/** After it was decided here. @throws Problem when the other site does not have it in time */
export async function confirm({ pair, site }: ApiContext, response: Response): Promise<void> {
  if (await pair?.standing.untilFollowed(dataShards(site.shards), limits.peerAckMs)) {
    response.append('Preference-Applied', 'ack=peer');
    return;
  }
  throw new Problem(
    'peer-away',
    `it is stored here, but the other site did not have it within ${limits.peerAckMs / 1_000} s`,
    { remedy: 'send it again with the same Idempotency-Key: nothing is done twice', retryAfterSeconds: 5 },
  );
}
