import type { AgentLog } from './log.ts';
import { pause } from './connection.ts';
import type { Assignment } from './message.ts';
import type { AttemptName, Report } from './reporter.ts';

export interface Task {
  id: string;
  type: string;
  attempt: number;
  parameters: unknown;
  deadlineMs?: number;
  traceparent?: string;
}

export interface Progress {
  /** @param share 0 to 1 */
  progress(share: number, note?: string): void;
  /**
   * A partial result, for whoever follows the task; they arrive in the order of the calls.
   * @throws Error when it is larger than is taken, or one too many; let it through, and the attempt fails
   */
  chunk(value: unknown): void;
  /** What the attempt really cost, by name of the limit: goes with its end, and corrects the budgets. */
  cost(units: Readonly<Record<string, number>>): void;
}

/**
 * Does the work of one attempt. What it throws fails the attempt; `retryable: false` on the error says that another
 * try cannot succeed. The signal fires on cancel, at the deadline, and when the agent has to go.
 */
export type Handler = (task: Task, signal: AbortSignal, report: Progress) => unknown;

/** Why an attempt is stopped before its handler is done. `forgotten`: its token is dead, nobody wants a report. */
type StopCause = 'cancel' | 'deadline' | 'shutdown' | 'forgotten' | 'refused';

interface Running extends AttemptName {
  controller: AbortController;
  cause: StopCause | undefined;
  cost: Readonly<Record<string, number>> | undefined;
  chunks: number;
  chunkBytes: number;
  done: Promise<void>;
}

/** Partial results that the server takes: size of one, number and size of all of an attempt, as UTF-8 JSON. */
const chunkBytesMax = 64 * 1024;
const chunksMax = 10_000;
const chunkBytesAllMax = 16 * 1024 * 1024;
/** Largest result that the server takes, as UTF-8 JSON. */
const resultBytesMax = 256 * 1024;
const errorMessageCharactersMax = 4_000;
/** How long a cancelled handler may go on before the cancellation is reported all the same. */
const stopGraceMs = 5_000;
/** Tokens that are remembered, so that an entry that is delivered twice is not done twice. */
const tokensRememberedMax = 10_000;

export class Attempts {
  readonly #running = new Map<string, Running>();
  readonly #seen = new Set<string>();
  readonly #handler: Handler;
  readonly #send: (report: Report) => void;
  readonly #log: AgentLog;

  constructor(handler: Handler, send: (report: Report) => void, log: AgentLog) {
    this.#handler = handler;
    this.#send = send;
    this.#log = log;
  }

  get count(): number {
    return this.#running.size;
  }

  names(): AttemptName[] {
    return [...this.#running.values()].map(({ task, token }) => ({ task, token }));
  }

  /** Whether the assignment is new; a repeated delivery is not. */
  remember(token: string): boolean {
    if (this.#seen.has(token)) return false;
    this.#seen.add(token);
    if (this.#seen.size > tokensRememberedMax) this.#seen.delete(this.#seen.values().next().value!);
    return true;
  }

  start(assignment: Assignment): void {
    const { task, token } = assignment;
    const running: Running = {
      task,
      token,
      controller: new AbortController(),
      cause: undefined,
      cost: undefined,
      chunks: 0,
      chunkBytes: 0,
      done: Promise.resolve(),
    };
    this.#running.set(token, running);
    this.#send({ kind: 'started', task, token });
    running.done = this.#run(assignment, running);
  }

  /** @returns false when no such attempt runs */
  stop(token: string, cause: StopCause): boolean {
    const running = this.#running.get(token);
    if (!running) return false;
    running.cause ??= cause;
    running.controller.abort(new Error(cause));
    return true;
  }

  stopAll(cause: StopCause): void {
    for (const token of [...this.#running.keys()]) this.stop(token, cause);
  }

  /** Resolves when nothing runs any more, or after `graceMs`. */
  async settle(graceMs: number): Promise<void> {
    const enough = new AbortController();
    const all = Promise.all([...this.#running.values()].map(({ done }) => done));
    await Promise.race([all, pause(graceMs, enough.signal)]);
    enough.abort();
  }

  /** Forgets what still runs and names it: whatever its handlers do later is not reported. */
  abandon(): AttemptName[] {
    const names = this.names();
    this.#running.clear();
    return names;
  }

  async #run(assignment: Assignment, running: Running): Promise<void> {
    const { task, token, deadlineMs } = assignment;
    const { signal } = running.controller;
    const timer = deadlineMs === undefined ? undefined : atTime(deadlineMs, () => this.stop(token, 'deadline'));
    const stopped = new AbortController();
    const cut = new Promise<Report>((resolve) => {
      signal.addEventListener('abort', () => {
        void pause(stopGraceMs, stopped.signal).then(() => resolve({ kind: 'cancelled', task, token }));
      });
    });
    const report = await Promise.race([this.#work(assignment, running), cut]);
    stopped.abort();
    timer?.();
    if (!this.#running.delete(token)) return;
    const final = running.cause === undefined ? report : stopReport(running.cause, { task, token });
    if (final) this.#send(withCost(final, running.cost));
  }

  async #work(assignment: Assignment, running: Running): Promise<Report> {
    const { signal } = running.controller;
    const { task, token, type, attempt, parameters, deadlineMs, traceparent } = assignment;
    try {
      const description: Task = {
        id: task,
        type,
        attempt,
        parameters,
        ...(deadlineMs === undefined ? {} : { deadlineMs }),
        ...(traceparent === undefined ? {} : { traceparent }),
      };
      // Not in this tick: a handler that computes long must not hold back the report that it has started.
      await new Promise((resolve) => setImmediate(resolve));
      const result: unknown = await this.#handler(description, signal, {
        progress: (share, note) => {
          const progress = Math.min(1, Math.max(0, share));
          if (this.#running.has(token) && Number.isFinite(progress)) {
            this.#send({ kind: 'progress', task, token, progress, ...(note === undefined ? {} : { note }) });
          }
        },
        chunk: (value) => this.#chunk(assignment, running, value),
        cost: (units) => {
          running.cost = units;
        },
      });
      return completed(result, { task, token });
    } catch (error) {
      if (!signal.aborted) this.#log.warn({ task, attempt, reason: messageOf(error) }, 'an attempt failed');
      return failed(error, { task, token });
    }
  }

  #chunk({ task, token, attempt }: Assignment, running: Running, value: unknown): void {
    if (!this.#running.has(token)) return;
    const json = JSON.stringify(value) ?? 'null';
    const bytes = Buffer.byteLength(json);
    running.chunkBytes += bytes;
    if (bytes > chunkBytesMax || running.chunkBytes > chunkBytesAllMax || running.chunks >= chunksMax)
      throw Object.assign(
        new Error(`a partial result has at most ${chunkBytesMax} bytes, an attempt ${chunksMax} of them`),
        { code: 'chunk_too_large', retryable: false },
      );
    this.#send({ kind: 'chunk', task, token, attempt, number: ++running.chunks, chunk: JSON.parse(json) as unknown });
  }
}

function withCost(report: Report, cost: Readonly<Record<string, number>> | undefined): Report {
  return cost && (report.kind === 'completed' || report.kind === 'failed') ? { ...report, cost } : report;
}

function stopReport(cause: StopCause, attempt: AttemptName): Report | undefined {
  switch (cause) {
    case 'cancel':
      return { kind: 'cancelled', ...attempt };
    case 'deadline':
      return {
        kind: 'failed',
        ...attempt,
        error: { message: 'the deadline has passed', code: 'deadline' },
        retryable: true,
      };
    case 'refused':
      return {
        kind: 'failed',
        ...attempt,
        error: { message: 'the server did not take a partial result', code: 'chunk_refused' },
        retryable: false,
      };
    case 'shutdown':
      return { kind: 'released', ...attempt, reason: 'the agent shuts down' };
    case 'forgotten':
      return undefined;
  }
}

function completed(result: unknown, attempt: AttemptName): Report {
  // Not every result has a JSON form: cycles and bigint throw, functions and undefined vanish.
  const json = JSON.stringify(result) ?? 'null';
  const bytes = Buffer.byteLength(json);
  if (bytes <= resultBytesMax) return { kind: 'completed', ...attempt, result: JSON.parse(json) as unknown };
  const message = `the result has ${bytes} bytes; at most ${resultBytesMax} are taken`;
  return { kind: 'failed', ...attempt, error: { message, code: 'result_too_large' }, retryable: false };
}

function failed(error: unknown, attempt: AttemptName): Report {
  const details = typeof error === 'object' && error !== null ? (error as { code?: unknown; retryable?: unknown }) : {};
  const message = messageOf(error).slice(0, errorMessageCharactersMax);
  return {
    kind: 'failed',
    ...attempt,
    error: { message, ...(typeof details.code === 'string' ? { code: details.code } : {}) },
    retryable: details.retryable !== false,
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Timers of Node hold 24 days at most; a later time is waited for in parts. */
function atTime(timeMs: number, act: () => void): () => void {
  let timer: NodeJS.Timeout;
  const arm = () => {
    const rest = timeMs - Date.now();
    timer = setTimeout(rest <= 0 ? act : arm, Math.min(Math.max(0, rest), 2 ** 31 - 1));
  };
  arm();
  return () => clearTimeout(timer);
}
