/**
 * Server-sent events from the journals. The id of an event says where it stands in each shard, so a client that comes back
 * with Last-Event-ID misses nothing that the journals still hold; when they do not, the stream says so first.
 */
import { randomBytes } from 'node:crypto';
import { Router, type Request, type Response } from 'express';
import { agentStatus } from '../actors/agent/status.ts';
import { settledStatuses, taskStatus } from '../actors/task/status.ts';
import { limits } from '../config/limits.ts';
import type { PositionedEntry } from '../runtime/ports.ts';
import { stateText } from '../runtime/protocol/envelope.ts';
import { address } from '../runtime/protocol/ids.ts';
import { comparePositions, isPosition, type JournalRecord, type Position } from '../runtime/protocol/journal.ts';
import { allow, callerOf, setCaller, type Caller } from './auth.ts';
import type { ApiContext } from './context.ts';
import { Problem } from './problem.ts';
import { readTask } from './reading.ts';
import { idOf, queryOf } from './request.ts';

/** One-time tickets: a browser's EventSource sends no headers, and a token does not belong into an address. */
export class Tickets {
  readonly #tickets = new Map<string, { caller: Caller; expiresAtMs: number }>();

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

interface Filter {
  actor?: string;
  type?: string;
  status?: string;
  /** Ends the stream when this task is settled. */
  untilSettled?: boolean;
}

export function eventRoutes(context: ApiContext): Router {
  const router = Router();
  let open = 0;

  const stream = async (request: Request, response: Response, filter: Filter): Promise<void> => {
    if (open >= limits.sseClientsMax)
      throw new Problem('too-many-streams', `at most ${limits.sseClientsMax} streams`, { retryAfterSeconds: 5 });
    open++;
    try {
      await follow(context, request, response, filter);
    } finally {
      open--;
    }
  };

  router.get('/tasks/:id/events', allow('read'), async (request, response) => {
    const id = idOf(request, 't');
    await readTask(context, id, callerOf(request));
    queryOf(request, ['ticket']);
    await stream(request, response, { actor: address('task', id), untilSettled: true });
  });

  router.get('/events', allow('read'), async (request, response) => {
    const query = queryOf(request, ['definition', 'actor', 'status', 'ticket']);
    if (callerOf(request).tenant !== undefined)
      throw new Problem('not-allowed', 'a token of a tenant follows single tasks only', {
        remedy: 'use /api/v1/tasks/{id}/events',
      });
    const [actor, type, status] = ['actor', 'definition', 'status'].map((name) => query.get(name));
    await stream(request, response, {
      ...(actor !== undefined && { actor }),
      ...(type !== undefined && { type }),
      ...(status !== undefined && { status }),
    });
  });

  return router;
}

export function ticketRoute(context: ApiContext, tickets: Tickets): Router {
  const router = Router();
  router.post('/', allow('read'), (request, response) => {
    response.status(201).json(tickets.issue(callerOf(request), context.system.now()));
  });
  return router;
}

/** Lets a request in by its ticket instead of a token. */
export function byTicket(tickets: Tickets, now: () => number): (request: Request) => boolean {
  return (request) => {
    const ticket = typeof request.query['ticket'] === 'string' ? request.query['ticket'] : undefined;
    if (ticket === undefined || request.method !== 'GET') return false;
    const caller = tickets.redeem(ticket, now());
    if (caller) setCaller(request, caller);
    return caller !== undefined;
  };
}

async function follow(context: ApiContext, request: Request, response: Response, filter: Filter): Promise<void> {
  const caller = callerOf(request);
  const positions = parseEventId(request.get('Last-Event-ID'), context.site.shards);
  const over = new AbortController();
  request.once('close', () => over.abort());
  response
    .status(200)
    .set({ 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no' });
  response.flushHeaders();
  const live: PositionedEntry[] = [];
  let replaying = positions !== undefined;
  const seen = new Map<number, Position>(positions);
  const send = ({ position, entry }: PositionedEntry): void => {
    const last = seen.get(entry.shard);
    if (last !== undefined && comparePositions(position, last) <= 0) return;
    seen.set(entry.shard, position);
    const id = eventId(seen);
    for (const record of entry.records) {
      if (!matches(record, filter)) continue;
      const written = response.write(
        `id: ${id}\nevent: transition\ndata: ${JSON.stringify(eventOf(record, entry.at))}\n\n`,
      );
      // A client that does not read must not fill the memory of the server; it comes back with its Last-Event-ID.
      if (!written && response.writableLength > 1_048_576) over.abort();
      if (filter.untilSettled && record.outcome === undefined && settledStatuses.has(taskStatus(record.state)))
        over.abort();
    }
  };
  const unlisten = await context.follower.listen((entry) => {
    if (replaying) live.push(entry);
    else send(entry);
  });
  try {
    if (filter.untilSettled) {
      const task = await readTask(context, filter.actor!.slice('task/'.length), caller);
      response.write(`event: snapshot\ndata: ${JSON.stringify(task)}\n\n`);
      if (settledStatuses.has(task.status) && !positions) over.abort();
    }
    for (const [shard, from] of positions ?? []) {
      for (let after = from; !over.signal.aborted;) {
        const page = await context.journals.range(shard, after, 200);
        for (const entry of page) send(entry);
        const last = page[page.length - 1];
        if (!last || page.length < 200) break;
        after = last.position;
      }
    }
    for (const entry of live) send(entry);
    replaying = false;
    while (!over.signal.aborted && context.ready()) {
      await context.system.sleep(limits.sseHeartbeatMs, over.signal);
      if (context.system.now() / 1000 >= caller.expiresAt) break;
      if (!over.signal.aborted) response.write(': still here\n\n');
    }
  } finally {
    unlisten();
    response.end();
  }
}

function matches(record: JournalRecord, filter: Filter): boolean {
  if (filter.actor !== undefined && record.actor !== filter.actor) return false;
  if (filter.type !== undefined && !record.actor.startsWith(`${filter.type}/`)) return false;
  return filter.status === undefined || statusOf(record) === filter.status;
}

function statusOf(record: JournalRecord): string {
  if (record.actor.startsWith('task/')) return taskStatus(record.state);
  if (record.actor.startsWith('agent/')) return agentStatus(record.state);
  return stateText(record.state);
}

function eventOf(record: JournalRecord, at: number): object {
  return {
    actor: record.actor,
    revision: record.revision,
    event: record.event?.type ?? 'create',
    outcome: record.outcome ?? 'applied',
    status: statusOf(record),
    ...(record.reason !== undefined && { reason: record.reason }),
    ...(record.by !== undefined && { by: record.by }),
    at: new Date(at).toISOString(),
  };
}

/** `<shard>:<position>,…` for every shard that was seen. */
function eventId(seen: ReadonlyMap<number, Position>): string {
  return [...seen].map(([shard, position]) => `${shard}:${position}`).join(',');
}

function parseEventId(text: string | undefined, shards: number): Map<number, Position> | undefined {
  if (text === undefined || text === '') return undefined;
  const positions = new Map<number, Position>();
  for (const part of text.slice(0, 65_536).split(',')) {
    const [shard = '', position = ''] = part.split(':');
    if (!/^\d{1,4}$/.test(shard) || Number(shard) >= shards || !isPosition(position))
      throw new Problem('invalid-request', 'Last-Event-ID is not one that this stream gave', {
        where: 'Last-Event-ID',
      });
    positions.set(Number(shard), position);
  }
  return positions;
}
