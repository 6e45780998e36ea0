import type { Redis } from 'ioredis';
import { openConnection, pause, within, type ClientCertificate } from './connection.ts';
import type { AgentLog } from './log.ts';
import type { Route } from './route.ts';

export interface AttemptName {
  task: string;
  token: string;
}

export type Report =
  | { kind: 'heartbeat'; attempts: readonly AttemptName[] }
  | { kind: 'goodbye' }
  | ({ kind: 'started' } & AttemptName)
  | ({ kind: 'progress'; progress?: number; note?: string } & AttemptName)
  | ({ kind: 'chunk'; attempt: number; number: number; chunk: unknown } & AttemptName)
  | ({ kind: 'completed'; result: unknown; cost?: Readonly<Record<string, number>> } & AttemptName)
  | ({
      kind: 'failed';
      error: { message: string; code?: string };
      retryable: boolean;
      cost?: Readonly<Record<string, number>>;
    } & AttemptName)
  | ({ kind: 'cancelled' } & AttemptName)
  | ({ kind: 'released'; reason: string } & AttemptName);

export interface ReporterOptions {
  route: Route;
  certificate?: ClientCertificate | undefined;
  outbox: string;
  agent: string;
  generation: number;
  log: AgentLog;
}

export interface Reporter {
  /** Queues a report; it is sent in order, again and again until Redis has it. */
  send(report: Report): void;
  /**
   * The streams are elsewhere from here on. How attempts ended is said there once more, as far as it was said lately: the word
   * may have been lost on the way, and their tokens make a second one harmless.
   */
  moved(): void;
  /** Resolves when the queue is empty, or with false after `deadlineMs`. */
  flush(deadlineMs: number): Promise<boolean>;
  close(): Promise<void>;
}

const reportsPerEntryMax = 100;
/** Keeps an entry well below what the server reads, with the largest results inside. */
const batchCharactersMax = 1024 * 1024;
const callDeadlineMs = 5_000;
const retryAfterMs = 250;
/** Ends of attempts that are kept, and for how long: longer than a site takes to give way to the other one. */
const endsKeptMax = 1_000;
const endsKeptMs = 60_000;

/**
 * Appends reports to the outbox. Reports that come while an append is under way, or in the same tick, travel together
 * as one `batch`. A reply that is lost makes a duplicate, which the token of the attempt makes harmless.
 */
export function openReporter(options: ReporterOptions): Reporter {
  const closing = new AbortController();
  let queue: Report[] = [];
  let connection: Redis | undefined;
  let sending: Promise<void> | undefined;
  let emptied: (() => void)[] = [];
  /** Reports that end attempts, and when Redis had them. */
  let ends: { report: Report; atMs: number }[] = [];

  async function append(fields: readonly string[]): Promise<void> {
    if (!connection) {
      const onError = (error: Error): void => options.log.debug({ error: error.message }, 'outbox connection');
      const { route, certificate } = options;
      connection = openConnection({ url: route.url, name: 'agent-outbox', certificate, onError });
      await within(callDeadlineMs, connection.connect());
    }
    await within(callDeadlineMs, connection.xadd(options.outbox, '*', ...fields));
  }

  async function drainQueue(): Promise<void> {
    await Promise.resolve();
    while (queue.length > 0 && !closing.signal.aborted) {
      const { fields, count } = nextEntry(queue, options);
      const sent = queue.slice(0, count);
      try {
        await append(fields);
        queue = queue.filter((report) => !sent.includes(report));
        for (const report of sent) if (isEnd(report)) ends.push({ report, atMs: Date.now() });
        if (ends.length > 2 * endsKeptMax) ends = ends.slice(-endsKeptMax);
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        options.log.warn({ reason, waiting: queue.length }, 'the outbox cannot be written; trying again');
        options.route.failed(reason);
        connection?.disconnect();
        connection = undefined;
        await pause(retryAfterMs, closing.signal);
      }
    }
    sending = undefined;
    for (const resolve of emptied) resolve();
    emptied = [];
  }

  return {
    send(report) {
      if (closing.signal.aborted) return;
      queue = [...queue.filter((other) => !outdated(other, report)), report];
      sending ??= drainQueue();
    },
    moved() {
      const since = Date.now() - endsKeptMs;
      const again = ends.flatMap(({ report, atMs }) => (atMs >= since ? [report] : []));
      ends = [];
      queue = [...again, ...queue.filter((report) => !again.includes(report))];
      connection?.disconnect();
      connection = undefined;
      if (queue.length > 0) sending ??= drainQueue();
    },
    async flush(deadlineMs) {
      if (!sending) return true;
      const enough = new AbortController();
      const done = new Promise<void>((resolve) => emptied.push(resolve));
      await Promise.race([done, pause(deadlineMs, enough.signal)]);
      enough.abort();
      return queue.length === 0;
    },
    async close() {
      closing.abort();
      connection?.disconnect();
      await sending;
    },
  };
}

const endKinds: ReadonlySet<Report['kind']> = new Set(['completed', 'failed', 'cancelled', 'released']);

function isEnd({ kind }: Report): boolean {
  return endKinds.has(kind);
}

/** While Redis is away, only the newest heartbeat and the newest progress of an attempt are worth keeping. */
function outdated(older: Report, newer: Report): boolean {
  if (older.kind !== newer.kind) return false;
  if (older.kind === 'heartbeat') return true;
  return older.kind === 'progress' && newer.kind === 'progress' && older.token === newer.token;
}

/** The fields of the next stream entry, and how many reports of the queue it carries. */
export function nextEntry(
  queue: readonly Report[],
  { agent, generation }: Pick<ReporterOptions, 'agent' | 'generation'>,
): { fields: string[]; count: number } {
  const sender = ['agent', agent, 'generation', String(generation)];
  const batch: string[] = [];
  let characters = 0;
  for (const report of queue.slice(0, reportsPerEntryMax)) {
    const json = JSON.stringify(report);
    characters += json.length;
    if (batch.length > 0 && characters > batchCharactersMax) break;
    batch.push(json);
  }
  if (batch.length > 1) return { fields: [...sender, 'batch', `[${batch.join(',')}]`], count: batch.length };
  const { kind, ...rest } = queue[0]!;
  const fields = ['kind', kind, ...sender];
  for (const [name, value] of Object.entries(rest)) {
    if (value !== undefined)
      fields.push(name, typeof value === 'string' && !jsonFields.has(name) ? value : JSON.stringify(value));
  }
  return { fields, count: 1 };
}

/** JSON even where the value is a text. */
const jsonFields: ReadonlySet<string> = new Set(['attempts', 'result', 'chunk', 'error', 'cost']);
