/** What became of a command, as HTTP says it. */
import type { Outcome } from '../runtime/protocol/envelope.ts';
import { Problem } from './problem.ts';

/** @throws Problem for an outcome that is no success */
export function refuse(outcome: Outcome): void {
  switch (outcome.outcome) {
    case 'applied':
    case 'duplicate':
    case 'answered':
      return;
    case 'set-aside':
      throw new Problem('invalid-request', `${outcome.reason}: ${outcome.detail}`);
    case 'refused': {
      const { reason, detail, state, legal } = outcome;
      if (reason === 'conflict') throw mismatch(detail);
      if (reason === 'unknown-actor') throw new Problem('not-found', detail);
      if (reason.startsWith('invalid-')) throw new Problem('invalid-request', detail);
      throw new Problem('not-legal-now', `${detail} (${reason})`, { legal, ...(state !== undefined && { state }) });
    }
  }
}

export function mismatch(detail: string): Problem {
  return new Problem('idempotency-mismatch', detail, {
    where: 'Idempotency-Key',
    remedy: 'take a new key for a new task; repeat a request with the body that it had',
  });
}
