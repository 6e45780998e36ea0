/** One response of server-sent events: its form, its heartbeat, and its end when the token ends or the client does not read. */
import type { Request, Response } from 'express';
import { limits } from '../config/limits.ts';
import { callerOf, stillValid } from './auth.ts';
import type { ApiContext } from './context.ts';

export class ServerEvents {
  readonly #context: Pick<ApiContext, 'system' | 'auth' | 'ready'>;
  readonly #request: Request;
  readonly #response: Response;
  readonly #over = new AbortController();

  constructor(context: Pick<ApiContext, 'system' | 'auth' | 'ready'>, request: Request, response: Response) {
    this.#context = context;
    this.#request = request;
    this.#response = response;
    response.once('close', () => this.#over.abort());
  }

  /** Fires when nothing more is to be sent. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** Where the client wants to go on; undefined where it begins. */
  static lastIdOf(request: Request): string | undefined {
    const query = new URLSearchParams(request.url.split('?')[1]);
    return request.get('Last-Event-ID') ?? query.get('last_event_id') ?? undefined;
  }

  /** @returns false for a request that wants no events */
  begin(): boolean {
    this.#response.status(200).set({ 'Content-Type': 'text/event-stream', 'X-Accel-Buffering': 'no' });
    this.#response.flushHeaders();
    return this.#request.method !== 'HEAD';
  }

  /** A client that does not read must not fill the memory of the server; it comes back with its Last-Event-ID. */
  write(event: string, data: object, id: string): void {
    const text = `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
    if (!this.#response.write(text) && this.#response.writableLength > limits.sseBufferedBytesMax) this.end();
  }

  end(): void {
    this.#over.abort();
  }

  /** Until it is over. @param idNow what the last event would have as its id */
  async stay(idNow: () => string): Promise<void> {
    const { system, auth, ready } = this.#context;
    const caller = callerOf(this.#request);
    while (!this.over.aborted && ready()) {
      const expiresMs = Math.max(0, caller.expiresAt * 1000 - system.now());
      await system.sleep(Math.min(limits.sseHeartbeatMs, expiresMs), this.over);
      if (this.over.aborted) return;
      if (!stillValid(caller, auth)) {
        this.write('end', { reason: 'the token is no longer valid' }, idNow());
        return;
      }
      this.#response.write(': still here\n\n');
    }
  }

  /** What has not begun is answered by whoever knows why. */
  close(): void {
    if (this.#response.headersSent) this.#response.end();
  }
}
