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
import { allow, callerOf } from './auth.ts';
import { streamChunks } from './chunks.ts';
import type { ApiContext } from './context.ts';
import { eventId, parseEventId } from './eventid.ts';
import { Problem } from './problem.ts';
import { readTask } from './reading.ts';
import { idOf, queryOf } from './request.ts';
import { statusOfRecord, transitionResource } from './resources.ts';
import { ServerEvents } from './serverevents.ts';

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

  const counted = async (run: () => Promise<void>): Promise<void> => {
    if (open >= limits.sseClientsMax)
      throw new Problem('too-many-streams', `at most ${limits.sseClientsMax} streams`, { retryAfterSeconds: 5 });
    open++;
    try {
      await run();
    } finally {
      open--;
    }
  };

  const serve = (request: Request, response: Response, filter: Filter): Promise<void> =>
    counted(() => new EventStream(context, request, response, filter).run());

  router.get('/tasks/:id/chunks/events', allow('read'), (request, response) =>
    counted(() => streamChunks(context, request, response)),
  );

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
  readonly #events: ServerEvents;
  readonly #filter: Filter;
  readonly #seen = new Map<number, Position>();
  /** What was committed while older events were still being sent. */
  #held: PositionedEntry[] | undefined = [];

  constructor(context: ApiContext, request: Request, response: Response, filter: Filter) {
    this.#context = context;
    this.#request = request;
    this.#events = new ServerEvents(context, request, response);
    this.#filter = filter;
  }

  async run(): Promise<void> {
    const { follower, site } = this.#context;
    const resumed = parseEventId(ServerEvents.lastIdOf(this.#request), site.shards);
    const listening = await follower.listen((entry) => this.#hear(entry));
    try {
      for (const [shard, position] of listening.from)
        if (this.#filter.shard === undefined || shard === this.#filter.shard)
          this.#seen.set(shard, resumed?.get(shard) ?? position);
      if (!this.#events.begin()) return;
      if (resumed) await this.#catchUp(resumed);
      await this.#snapshot();
      this.#release();
      await this.#events.stay(() => eventId(this.#seen));
    } finally {
      listening.stop();
      this.#events.close();
    }
  }

  #hear(entry: PositionedEntry): void {
    if (this.#filter.shard !== undefined && entry.entry.shard !== this.#filter.shard) return;
    if (!this.#held) this.#send(entry);
    else if (this.#held.push(entry) > limits.sseHeldEntriesMax) this.#events.end();
  }

  #release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const entry of held) this.#send(entry);
  }

  #send({ position, entry }: PositionedEntry): void {
    const last = this.#seen.get(entry.shard);
    if (this.#events.over.aborted || (last !== undefined && comparePositions(position, last) <= 0)) return;
    const before = eventId(this.#seen);
    this.#seen.set(entry.shard, position);
    const records = entry.records.filter((record) => matches(record, this.#filter));
    for (const [index, record] of records.entries()) {
      // A client that is cut off in the middle of an entry gets the whole entry again.
      const id = index === records.length - 1 ? eventId(this.#seen) : before;
      this.#write('transition', transitionResource(record, entry.at), id);
      if (this.#filter.untilSettled !== undefined && settles(record)) this.#events.end();
    }
  }

  #write(event: string, data: object, id = eventId(this.#seen)): void {
    this.#events.write(event, data, id);
  }

  async #catchUp(resumed: ReadonlyMap<number, Position>): Promise<void> {
    const { journals } = this.#context;
    for (const [shard, from] of resumed) {
      if (!this.#seen.has(shard)) continue;
      if (!(await this.#holds(shard, from))) this.#write('gap', { shard, after: from });
      for (let after = from; !this.#events.over.aborted;) {
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
    if (settledStatuses.has(task.status)) this.#events.end();
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
