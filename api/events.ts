/**
 * Server-sent events from the journals. A client that comes back with Last-Event-ID misses nothing that the journals
 * still hold; where they do not hold it any more, the stream says so first with an event `gap`.
 */
import { Router, type Request, type Response } from 'express';
import { settledStatuses, taskStatus } from '../actors/task/status.ts';
import { limits } from '../config/limits.ts';
import type { PositionedEntry } from '../runtime/ports.ts';
import { address } from '../runtime/protocol/ids.ts';
import { comparePositions, positionStart, type JournalRecord, type Position } from '../runtime/protocol/journal.ts';
import { allow, callerOf, stillValid } from './auth.ts';
import type { ApiContext } from './context.ts';
import { eventId, parseEventId } from './eventid.ts';
import { Problem } from './problem.ts';
import { readTask } from './reading.ts';
import { idOf, queryOf } from './request.ts';
import { statusOfRecord, transitionResource } from './resources.ts';

interface Filter {
  /** Addresses; an event of any of them passes. */
  actors?: ReadonlySet<string>;
  definition?: string;
  status?: string;
  /** The one shard that has to be followed, where the filter names one actor. */
  shard?: number;
  /** Ends the stream when this task is settled. */
  untilSettled?: string;
}

export function eventRoutes(context: ApiContext): Router {
  const router = Router();
  let open = 0;

  const serve = async (request: Request, response: Response, filter: Filter): Promise<void> => {
    if (open >= limits.sseClientsMax)
      throw new Problem('too-many-streams', `at most ${limits.sseClientsMax} streams`, { retryAfterSeconds: 5 });
    open++;
    try {
      await new EventStream(context, request, response, filter).run();
    } finally {
      open--;
    }
  };

  router.get('/tasks/:id/events', allow('read'), async (request, response) => {
    const { id, shard } = idOf(request, 't', context.site.shards);
    queryOf(request, ['ticket', 'last_event_id']);
    await readTask(context, id, callerOf(request));
    await serve(request, response, { actors: new Set([address('task', id)]), shard, untilSettled: id });
  });

  router.get('/events', allow('read'), async (request, response) => {
    const query = queryOf(request, ['definition', 'task', 'agent', 'status', 'ticket', 'last_event_id']);
    if (callerOf(request).tenant !== undefined)
      throw new Problem('not-allowed', 'a token of a tenant follows single tasks only', {
        remedy: 'use /api/v1/tasks/{id}/events',
      });
    const actors = ['task', 'agent'].flatMap((name) =>
      query.has(name)
        ? query
            .get(name)!
            .split(',')
            .map((id) => address(name, id))
        : [],
    );
    const [definition, status] = [query.get('definition'), query.get('status')];
    await serve(request, response, {
      ...(actors.length > 0 && { actors: new Set(actors) }),
      ...(definition !== undefined && { definition }),
      ...(status !== undefined && { status }),
    });
  });

  return router;
}

/** One client's stream. */
class EventStream {
  readonly #context: ApiContext;
  readonly #request: Request;
  readonly #response: Response;
  readonly #filter: Filter;
  readonly #over = new AbortController();
  readonly #seen = new Map<number, Position>();
  /** What was committed while older events were still being sent. */
  #held: PositionedEntry[] | undefined = [];

  constructor(context: ApiContext, request: Request, response: Response, filter: Filter) {
    this.#context = context;
    this.#request = request;
    this.#response = response;
    this.#filter = filter;
  }

  async run(): Promise<void> {
    const { follower, site } = this.#context;
    const lastId =
      this.#request.get('Last-Event-ID') ?? new URLSearchParams(this.#request.url.split('?')[1]).get('last_event_id');
    const resumed = parseEventId(lastId ?? undefined, site.shards);
    this.#response.once('close', () => this.#over.abort());
    const listening = await follower.listen((entry) => this.#hear(entry));
    try {
      for (const [shard, position] of listening.from)
        if (this.#filter.shard === undefined || shard === this.#filter.shard)
          this.#seen.set(shard, resumed?.get(shard) ?? position);
      this.#response.status(200).set({ 'Content-Type': 'text/event-stream', 'X-Accel-Buffering': 'no' });
      this.#response.flushHeaders();
      if (this.#request.method === 'HEAD') return;
      if (resumed) await this.#catchUp(resumed);
      await this.#snapshot();
      this.#release();
      await this.#stay();
    } finally {
      listening.stop();
      this.#response.end();
    }
  }

  #hear(entry: PositionedEntry): void {
    if (this.#filter.shard !== undefined && entry.entry.shard !== this.#filter.shard) return;
    if (!this.#held) this.#send(entry);
    else if (this.#held.push(entry) > limits.sseHeldEntriesMax) this.#over.abort();
  }

  #release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const entry of held) this.#send(entry);
  }

  #send({ position, entry }: PositionedEntry): void {
    const last = this.#seen.get(entry.shard);
    if (this.#over.signal.aborted || (last !== undefined && comparePositions(position, last) <= 0)) return;
    const before = eventId(this.#seen);
    this.#seen.set(entry.shard, position);
    const records = entry.records.filter((record) => matches(record, this.#filter));
    for (const [index, record] of records.entries()) {
      // A client that is cut off in the middle of an entry gets the whole entry again.
      const id = index === records.length - 1 ? eventId(this.#seen) : before;
      this.#write('transition', transitionResource(record, entry.at), id);
      if (this.#filter.untilSettled !== undefined && settles(record)) this.#over.abort();
    }
  }

  /** A client that does not read must not fill the memory of the server; it comes back with its Last-Event-ID. */
  #write(event: string, data: object, id = eventId(this.#seen)): void {
    const text = `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
    if (!this.#response.write(text) && this.#response.writableLength > limits.sseBufferedBytesMax) this.#over.abort();
  }

  async #catchUp(resumed: ReadonlyMap<number, Position>): Promise<void> {
    const { journals } = this.#context;
    for (const [shard, from] of resumed) {
      if (!this.#seen.has(shard)) continue;
      if (!(await this.#holds(shard, from))) this.#write('gap', { shard, after: from });
      for (let after = from; !this.#over.signal.aborted;) {
        const page = await journals.range(shard, after, limits.followEntriesMax);
        for (const entry of page) this.#send(entry);
        const last = page[page.length - 1];
        if (!last || page.length < limits.followEntriesMax) break;
        after = last.position;
      }
    }
  }

  /** Whether the journal still reaches back to a position: then nothing after it was trimmed. */
  async #holds(shard: number, position: Position): Promise<boolean> {
    const { journals } = this.#context;
    if ((await journals.last(shard)) === position) return true;
    const [first] = await journals.range(shard, positionStart, 1);
    if (!first) return position === positionStart;
    return position === positionStart ? first.entry.sequence === 1 : comparePositions(first.position, position) <= 0;
  }

  /** How the task stands, so that a client needs no second request. */
  async #snapshot(): Promise<void> {
    const id = this.#filter.untilSettled;
    if (id === undefined) return;
    const task = await readTask(this.#context, id, callerOf(this.#request));
    this.#write('snapshot', task);
    if (settledStatuses.has(task.status)) this.#over.abort();
  }

  async #stay(): Promise<void> {
    const { system, auth, ready } = this.#context;
    const caller = callerOf(this.#request);
    while (!this.#over.signal.aborted && ready()) {
      const expiresMs = Math.max(0, caller.expiresAt * 1000 - system.now());
      await system.sleep(Math.min(limits.sseHeartbeatMs, expiresMs), this.#over.signal);
      if (this.#over.signal.aborted) return;
      if (!stillValid(caller, auth)) {
        this.#write('end', { reason: 'the token is no longer valid' });
        return;
      }
      this.#response.write(': still here\n\n');
    }
  }
}

function settles(record: JournalRecord): boolean {
  return record.outcome === undefined && settledStatuses.has(taskStatus(record.state));
}

function matches(record: JournalRecord, filter: Filter): boolean {
  if (filter.actors && !filter.actors.has(record.actor)) return false;
  if (filter.definition !== undefined && !record.actor.startsWith(`${filter.definition}/`)) return false;
  return filter.status === undefined || statusOfRecord(record) === filter.status;
}
