/**
 * Partial results of a task: a page of them, or a stream that begins with the first and ends when the task is settled. Old
 * ones come from the history, new ones from the journal; the id of an event is its place, `<attempt>.<number>`.
 */
import type { Request, RequestHandler, Response } from 'express';
import { settledStatuses, taskStatus } from '../actors/task/status.ts';
import { limits } from '../config/limits.ts';
import { Unavailable } from '../runtime/protocol/errors.ts';
import { address } from '../runtime/protocol/ids.ts';
import { comparePositions, positionStart, type JournalRecord, type Position } from '../runtime/protocol/journal.ts';
import type { Json } from '../runtime/protocol/json.ts';
import type { ChunkRow } from '../runtime/readmodel.ts';
import { callerOf } from './auth.ts';
import type { ApiContext } from './context.ts';
import { Problem } from './problem.ts';
import { readTask } from './reading.ts';
import { idOf, limitOf, queryOf } from './request.ts';
import { ServerEvents } from './serverevents.ts';

interface Place {
  attempt: number;
  number: number;
}

const beginning: Place = { attempt: 0, number: 0 };

export function chunkPage(context: ApiContext): RequestHandler {
  return async (request, response) => {
    const { id } = idOf(request, 't', context.site.shards);
    const query = queryOf(request, ['after', 'limit']);
    await readTask(context, id, callerOf(request));
    const limit = limitOf(query);
    const rows = await context.readModel.chunks(id, placeOf(query.get('after'), 'after'), limit + 1);
    const shown = rows.slice(0, limit);
    const next = rows.length > limit ? textOf(shown.at(-1)!) : null;
    if (next !== null) response.set('Link', `<${pathOf(id)}?limit=${limit}&after=${next}>; rel="next"`);
    response.json({ items: shown, next });
  };
}

/** Sends what there is and what comes, each once and in order. */
export async function streamChunks(context: ApiContext, request: Request, response: Response): Promise<void> {
  const { id, shard } = idOf(request, 't', context.site.shards);
  queryOf(request, ['ticket', 'last_event_id']);
  const caller = callerOf(request);
  let last = placeOf(ServerEvents.lastIdOf(request), 'Last-Event-ID');
  const events = new ServerEvents(context, request, response);
  const send = (row: ChunkRow): void => {
    if (events.over.aborted || !isAfter(row, last)) return;
    last = { attempt: row.attempt, number: row.number };
    events.write('chunk', row, textOf(last));
  };
  const finish = (status: string): void => {
    if (!events.over.aborted) events.write('end', { status }, textOf(last));
    events.end();
  };
  /** What comes while older ones are still being sent. */
  let held: JournalRecord[] | undefined = [];
  const hear = (record: JournalRecord): void => {
    if (record.outcome !== undefined) return;
    if (record.event?.type === 'chunk') send(rowOf(record));
    const status = taskStatus(record.state);
    if (settledStatuses.has(status)) finish(status);
  };
  const unwatch = await context.follower.watch(address('task', id), (record) => {
    if (!held) hear(record);
    else if (held.push(record) > limits.sseHeldEntriesMax) events.end();
  });
  try {
    // In this order: of a task that is over, the history has all that was committed until then.
    const task = await readTask(context, id, caller);
    await caughtUp(context, [shard]);
    if (!events.begin()) return;
    for (let more = true; more && !events.over.aborted;) {
      const rows = await context.readModel.chunks(id, last, limits.listLimitMax);
      for (const row of rows) send(row);
      more = rows.length === limits.listLimitMax;
    }
    const waiting = held;
    held = undefined;
    for (const record of waiting) hear(record);
    // What is told of its end stands behind all of its chunks.
    if (settledStatuses.has(task.status)) finish(task.status);
    await events.stay(() => textOf(last));
  } finally {
    unwatch();
    events.close();
  }
}

/**
 * Waits until the lists know what was committed before the call.
 * @throws Unavailable when that takes longer than an answer may
 */
export async function caughtUp(
  { journals, readModel, system }: Pick<ApiContext, 'journals' | 'readModel' | 'system'>,
  shards: readonly number[],
): Promise<void> {
  const ends = await Promise.all(shards.map((shard) => journals.last(shard)));
  const until = system.monotonicMs() + limits.replyWaitMs;
  for (;;) {
    const marks = await readModel.watermarks();
    const behind = shards.filter(
      (shard, at) => comparePositions((marks[shard] ?? positionStart) as Position, ends[at]!) < 0,
    );
    if (behind.length === 0) return;
    if (system.monotonicMs() > until)
      throw new Unavailable('postgres', `the lists of ${behind.length} shards are behind; come back in a moment`);
    await system.sleep(limits.caughtUpPollMs);
  }
}

function rowOf({ event }: JournalRecord): ChunkRow {
  return { attempt: Number(event?.['attempt']), number: Number(event?.['number']), chunk: event?.['chunk'] as Json };
}

function isAfter(left: Place, right: Place): boolean {
  return left.attempt !== right.attempt ? left.attempt > right.attempt : left.number > right.number;
}

const textOf = ({ attempt, number }: Place): string => `${attempt}.${number}`;

/** @throws Problem for what is no place */
function placeOf(text: string | undefined, where: string): Place {
  if (text === undefined || text === '') return beginning;
  const parts = /^(\d{1,9})\.(\d{1,9})$/.exec(text);
  if (!parts) throw new Problem('invalid-request', `${where} is a place like 1.17: attempt and number`, { where });
  return { attempt: Number(parts[1]), number: Number(parts[2]) };
}

const pathOf = (id: string): string => `/api/v1/tasks/${id}/chunks`;
