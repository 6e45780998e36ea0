/**
 * A connection that cannot park for ever. ioredis sends an unanswered command again after a reconnect, so everything sent
 * here is safe to repeat; and a half-open link never answers, so every call has a deadline, after which the connection is
 * destroyed and replaced.
 */
import { Redis, type RedisOptions } from 'ioredis';
import { limits } from '../../config/limits.ts';
import type { Log, System } from '../ports.ts';
import { Unavailable } from '../protocol/errors.ts';
import { isMissingFunction, loadLibrary } from './library.ts';

export interface RedisSettings {
  url: string;
  /** For `rediss://`: read anew at each connection, so that a certificate can be renewed in place. */
  tls?: RedisOptions['tls'];
  /** Shown in CLIENT LIST. */
  name: string;
}

/** Errors after which the same call may succeed: the server is starting, failing over, full, or lost a group. */
const transient =
  /^(LOADING|READONLY|MASTERDOWN|NOREPLICAS|MISCONF|OOM|BUSY|CLUSTERDOWN|TRYAGAIN|UNBLOCKED|NOGROUP)\b|Connection is closed|Command aborted due to connection close|max retries per request|ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|Stream isn't writeable/;

export class Connection {
  readonly #settings: RedisSettings;
  readonly #system: System;
  readonly #log: Log;
  readonly #offlineQueue: boolean;
  readonly #sendOnce: boolean;
  #client: Redis;
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

  #connect(): Redis {
    const client = new Redis(this.#settings.url, {
      connectionName: this.#settings.name,
      ...(this.#settings.tls && { tls: this.#settings.tls }),
      enableOfflineQueue: this.#offlineQueue,
      maxRetriesPerRequest: this.#sendOnce ? 0 : null,
      connectTimeout: limits.callDeadlineMs,
      keepAlive: 10_000,
      retryStrategy: (tries) => Math.min(50 * 2 ** Math.min(tries, 5), 1_000),
    });
    client.on('error', (error: Error) => {
      if (error.message === this.#lastError) return;
      this.#lastError = error.message;
      this.#log.warn(
        { connection: this.#settings.name, error: error.message },
        'redis connection failed, trying again',
      );
    });
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
  async run<T>(call: (client: Redis) => Promise<T>, deadlineMs: number = limits.callDeadlineMs): Promise<T> {
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
      if (error instanceof Error && transient.test(error.message))
        throw new Unavailable('redis', error.message, { cause: error });
      throw error;
    } finally {
      clock.abort();
    }
  }

  async #attempt<T>(client: Redis, call: (client: Redis) => Promise<T>): Promise<T> {
    try {
      return await call(client);
    } catch (error) {
      if (!isMissingFunction(error)) throw error;
      await loadLibrary(client);
      return call(client);
    }
  }

  #replace(dead: Redis): void {
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
