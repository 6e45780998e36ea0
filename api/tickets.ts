/** One-time tickets: a browser's EventSource sends no headers, and a token does not belong into an address. */
import { randomBytes } from 'node:crypto';
import { Router, type Request } from 'express';
import { limits } from '../config/limits.ts';
import { allow, callerOf, setCaller, stillValid, type AuthSettings, type Caller } from './auth.ts';
import type { ApiContext } from './context.ts';
import { Problem } from './problem.ts';

export class Tickets {
  readonly #tickets = new Map<string, { caller: Caller; expiresAtMs: number }>();

  /** @throws Problem when too many wait */
  issue(caller: Caller, nowMs: number): { ticket: string; expires_in: number } {
    for (const [ticket, { expiresAtMs }] of this.#tickets) if (expiresAtMs <= nowMs) this.#tickets.delete(ticket);
    if (this.#tickets.size >= limits.sseClientsMax)
      throw new Problem('too-many-streams', 'too many tickets wait to be used', { retryAfterSeconds: 60 });
    const ticket = randomBytes(24).toString('base64url');
    this.#tickets.set(ticket, { caller, expiresAtMs: nowMs + limits.sseTicketTtlMs });
    return { ticket, expires_in: limits.sseTicketTtlMs / 1000 };
  }

  redeem(ticket: string, nowMs: number): Caller | undefined {
    const found = this.#tickets.get(ticket);
    this.#tickets.delete(ticket);
    return found && found.expiresAtMs > nowMs ? found.caller : undefined;
  }
}

export function ticketRoute(context: ApiContext, tickets: Tickets): Router {
  const router = Router();
  router.post('/', allow('read'), (request, response) => {
    response.status(201).json(tickets.issue(callerOf(request), context.system.now()));
  });
  return router;
}

/** Lets a request for events in by its ticket instead of a token. */
export function byTicket(tickets: Tickets, auth: AuthSettings): (request: Request) => boolean {
  return (request) => {
    const { ticket } = request.query;
    if (typeof ticket !== 'string' || request.method !== 'GET' || !request.path.endsWith('/events')) return false;
    const caller = tickets.redeem(ticket, auth.now());
    if (!caller || !stillValid(caller, auth)) return false;
    setCaller(request, caller);
    return true;
  };
}
