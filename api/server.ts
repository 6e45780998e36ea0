/** The listening side: an HTTP server with time limits, that stops without cutting a request short. */
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { limits } from '../config/limits.ts';
import type { Log, Service } from '../runtime/ports.ts';

export interface ServerSettings {
  /** What is served, for messages. */
  name: string;
  host: string;
  port: number;
  /** The configuration key to change when the port is taken. */
  portKey: string;
  listener: RequestListener;
  log: Log;
}

export class HttpServer implements Service {
  readonly #settings: ServerSettings;
  readonly #server: Server;
  #stopped: Promise<void> | undefined;

  constructor(settings: ServerSettings) {
    this.#settings = settings;
    this.#server = createServer(
      {
        requestTimeout: limits.requestTimeoutMs,
        headersTimeout: limits.requestTimeoutMs / 2,
        keepAliveTimeout: 5_000,
        maxHeaderSize: 32 * 1024,
      },
      settings.listener,
    );
    this.#server.maxConnections = 10_000;
  }

  /** Where it listens, for people and clients. */
  get url(): string {
    const { port } = this.#server.address() as AddressInfo;
    return `http://${this.#settings.host}:${port}`;
  }

  /** @throws Error that names the setting, when the address cannot be had */
  start(): Promise<void> {
    const { host, port, portKey, name } = this.#settings;
    if (this.#server.listening) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => {
        const taken = error.code === 'EADDRINUSE';
        reject(
          new Error(
            taken
              ? `port ${port} on ${host} is taken, so the ${name} cannot listen there; stop the other program or set ${portKey} (--set ${portKey}=0 takes a free one)`
              : `the ${name} cannot listen on ${host}:${port}: ${error.message}; see ${portKey}`,
            { cause: error },
          ),
        );
      });
      this.#server.listen(port, host, () => resolve());
    });
  }

  /** Takes no new connection, lets requests end, and after a while ends them. */
  stop(): Promise<void> {
    this.#stopped ??= new Promise((resolve) => {
      if (!this.#server.listening) return resolve();
      this.#server.close(() => resolve());
      this.#server.closeIdleConnections();
      AbortSignal.timeout(5_000).addEventListener('abort', () => this.#server.closeAllConnections());
    });
    return this.#stopped;
  }
}
