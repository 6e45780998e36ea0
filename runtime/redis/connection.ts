/**
 * A connection that cannot park for ever. ioredis sends an unanswered command again after a reconnect, so everything sent
 * here is safe to repeat; and a half-open link never answers, so every call has a deadline, after which the connection is
 * destroyed and replaced.
 */
import { limits } from '../../config/limits.ts';
import type { Log, System } from '../ports.ts';
import { Unavailable } from '../protocol/errors.ts';
import { openClient, type Client, type RedisSettings } from './client.ts';
import { isMissingFunction, loadLibrary } from './library.ts';

/** Errors after which the same call may succeed: the server is starting, failing over, full, or lost a group. */
const transientReply =
  /^(LOADING|READONLY|MASTERDOWN|NOREPLICAS|MISCONF|OOM|BUSY|CLUSTERDOWN|TRYAGAIN|ASK|MOVED|UNBLOCKED|NOGROUP)\b/;
/** Errors of the link, or of the way to the node that has the keys. */
const transientLink =
  /Connection is closed|Command aborted due to connection close|max retries per request|ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|Stream isn't writeable|Too many Cluster redirections|None of startup nodes is available|Cluster isn't ready|Cluster is ended|Failed to refresh slots cache/;

export class Connection {
  readonly #settings: RedisSettings;
  readonly #system: System;
  readonly #log: Log;
  readonly #offlineQueue: boolean;
  readonly #sendOnce: boolean;
  #client: Client;
  #closed = false;
  #lastError = '';

  /**
   * @param options.failFast refuse calls while there is no link, instead of queueing them up to their deadline
   * @param options.sendOnce end a call as Unavailable when its link ends, instead of sending it again on the next one
   */
  constructor(
    settings: RedisSettings,
    system: System,
    log: Log,
    options: { failFast?: boolean; sendOnce?: boolean } = {},
  ) {
    this.#settings = settings;
    this.#system = system;
    this.#log = log;
    this.#offlineQueue = !options.failFast;
    this.#sendOnce = options.sendOnce ?? false;
    this.#client = this.#connect();
  }

  #connect(): Client {
    const client = openClient(this.#settings, { offlineQueue: this.#offlineQueue, sendOnce: this.#sendOnce });
    const failed = (error: Error): void => {
      if (error.message === this.#lastError) return;
      this.#lastError = error.message;
      this.#log.warn(
        { connection: this.#settings.name, error: error.message },
        'redis connection failed, trying again',
      );
    };
    client.on('error', failed);
    client.on('node error', failed);
    client.on('ready', () => {
      if (this.#lastError) this.#log.info({ connection: this.#settings.name }, 'redis connection is back');
      this.#lastError = '';
    });
    return client;
  }

  /** Resolves when the link stands; for callers that fail fast afterwards. @throws Unavailable after the deadline */
  async ready(deadlineMs: number = limits.callDeadlineMs): Promise<void> {
    const end = this.#system.monotonicMs() + deadlineMs;
    while (this.#client.status !== 'ready') {
      if (this.#system.monotonicMs() > end)
        throw new Unavailable('redis', this.#lastError || `no link within ${deadlineMs} ms`);
      await this.#system.sleep(5);
    }
  }

  get status(): string {
    return this.#client.status;
  }

  /**
   * Runs one call.
   * @param deadlineMs after which the connection is replaced and the call ends as Unavailable
   * @throws Unavailable for everything that may pass; any other error is a bug or a refusal and is thrown as it is
   */
  async run<T>(call: (client: Client) => Promise<T>, deadlineMs: number = limits.callDeadlineMs): Promise<T> {
    if (this.#closed) throw new Unavailable('redis', 'the connection is closed');
    const client = this.#client;
    const clock = new AbortController();
    const late = this.#system.sleep(deadlineMs, clock.signal).then(() => {
      if (clock.signal.aborted) return new Promise<never>(() => undefined);
      this.#replace(client);
      throw new Unavailable('redis', `no answer within ${deadlineMs} ms`);
    });
    try {
      return await Promise.race([this.#attempt(client, call), late]);
    } catch (error) {
      if (error instanceof Error && (transientReply.test(error.message) || transientLink.test(error.message)))
        throw new Unavailable('redis', error.message, { cause: error });
      throw error;
    } finally {
      clock.abort();
    }
  }

  async #attempt<T>(client: Client, call: (client: Client) => Promise<T>): Promise<T> {
    try {
      return await call(client);
    } catch (error) {
      if (!isMissingFunction(error)) throw error;
      const problem = await loadLibrary(client);
      return await call(client).catch((again: unknown) => {
        throw isMissingFunction(again) ? (problem ?? again) : again;
      });
    }
  }

  #replace(dead: Client): void {
    if (this.#client !== dead || this.#closed) return;
    this.#client = this.#connect();
    dead.disconnect();
  }

  /** Cuts a blocking call short; the next call uses a fresh link. */
  interrupt(): void {
    this.#replace(this.#client);
  }

  close(): void {
    this.#closed = true;
    this.#client.disconnect();
  }
}
