/** The listening side: an HTTP server with time limits, that stops without cutting a request short. */
import { createServer, type RequestListener, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SecureContextOptions } from 'node:tls';
import { limits } from '../config/limits.ts';
import type { Log, Service } from '../runtime/ports.ts';
import { Problem, problemCodes } from './problem.ts';

export interface ServerSettings {
  /** What is served, for messages. */
  name: string;
  /** `localhost` means both loopback addresses, where the machine has both. */
  host: string;
  /** 0 takes a free one. */
  port: number;
  /** The configuration key to change when the port is taken. */
  portKey: string;
  listener: RequestListener;
  log: Log;
  /** Certificate and key: then it speaks HTTPS and nothing else. */
  tls?: SecureContextOptions;
  /** For a whole request to arrive; its headers have half of it. */
  requestTimeoutMs?: number;
}

export class HttpServer implements Service {
  readonly #settings: ServerSettings;
  readonly #servers: (Server | TlsServer)[] = [];
  readonly #answering = new Map<Duplex, ServerResponse>();
  #port = 0;
  #stopped: Promise<void> | undefined;

  constructor(settings: ServerSettings) {
    this.#settings = settings;
  }

  /** Where it listens, for people and clients. */
  get url(): string {
    const { host, tls } = this.#settings;
    return `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${this.#port}`;
  }

  /** @throws Error that names the setting, when the address cannot be had */
  async start(): Promise<void> {
    if (this.#servers.length > 0) return;
    const { host, port } = this.#settings;
    const [first = host, second] = host === 'localhost' ? ['127.0.0.1', '::1'] : [host];
    try {
      this.#port = await this.#listen(first, port);
    } catch (error) {
      throw this.#explained(error);
    }
    if (second === undefined) return;
    try {
      await this.#listen(second, this.#port);
    } catch (error) {
      // A machine without IPv6 serves on the one address. Another program there would get a part of the clients.
      const level = (error as NodeJS.ErrnoException).code === 'EADDRINUSE' ? 'warn' : 'debug';
      this.#settings.log[level](
        { host: second, error: String(error) },
        `the ${this.#settings.name} listens on one address`,
      );
    }
  }

  /** New connections get what `tls` holds now; those that stand go on as they are. */
  renewTls(): void {
    const { tls } = this.#settings;
    for (const server of this.#servers) if (tls && 'setSecureContext' in server) server.setSecureContext(tls);
  }

  /** Takes no new connection, ends event streams, lets requests end, and after a while ends them. */
  stop(): Promise<void> {
    this.#stopped ??= this.#close();
    return this.#stopped;
  }

  async #close(): Promise<void> {
    const closed = this.#servers.map(
      (server) =>
        new Promise<void>((resolve) => {
          server.close(() => resolve());
          server.closeIdleConnections();
        }),
    );
    for (const response of this.#answering.values())
      if (String(response.getHeader('Content-Type')).startsWith('text/event-stream')) response.end();
    const late = AbortSignal.timeout(limits.drainMs);
    const cut = (): void => {
      for (const server of this.#servers) server.closeAllConnections();
    };
    late.addEventListener('abort', cut, { once: true });
    await Promise.all(closed);
    late.removeEventListener('abort', cut);
  }

  /** Resolves to the port. */
  #listen(host: string, port: number): Promise<number> {
    const { requestTimeoutMs = limits.requestTimeoutMs, tls, listener } = this.#settings;
    const options: ServerOptions = {
      requestTimeout: requestTimeoutMs,
      headersTimeout: requestTimeoutMs / 2,
      connectionsCheckingInterval: requestTimeoutMs / 10,
      keepAliveTimeout: limits.keepAliveMs,
      maxHeaderSize: limits.headerBytesMax,
      // The application looks at it, and answers with a problem.
      requireHostHeader: false,
    };
    const server = tls
      ? createTlsServer({ ...options, ...tls, handshakeTimeout: requestTimeoutMs / 2 }, listener)
      : createServer(options, listener);
    server.maxConnections = limits.connectionsMax;
    server.prependListener('request', (request, response) => {
      this.#answering.set(request.socket, response);
      response.once('close', () => {
        if (this.#answering.get(request.socket) === response) this.#answering.delete(request.socket);
        // While it stops, a connection that is kept alive would hold the process.
        if (this.#stopped) server.closeIdleConnections();
      });
    });
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      // No handshake, no channel: what is written now would go out in the open.
      if (tls && /^ERR_(SSL|TLS)_/.test(error.code ?? '')) socket.destroy();
      else this.#refuse(problemOf(error), socket, error.code);
    });
    // Both would be answered without a problem, or not at all.
    server.on('connect', (_request, socket) =>
      this.#refuse(
        new Problem('method-not-allowed', 'this is no proxy', { allow: ['GET', 'POST', 'PUT', 'DELETE'] }),
        socket,
      ),
    );
    server.on('checkExpectation', (request, response) => server.emit('request', request, response));
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => {
        server.off('error', reject);
        server.on('error', (error) =>
          this.#settings.log.error({ error: String(error) }, `the ${this.#settings.name} failed`),
        );
        this.#servers.push(server);
        resolve((server.address() as AddressInfo).port);
      });
    });
  }

  /** What is no HTTP, or does not arrive, never reaches a route; it gets a problem all the same. */
  #refuse(problem: Problem, socket: Duplex, code?: string): void {
    const answering = this.#answering.get(socket);
    if (code === 'ECONNRESET' || !socket.writable || answering?.headersSent) {
      socket.destroy();
      return;
    }
    const { allow } = problem.details;
    const body = JSON.stringify(problem);
    socket.end(
      [
        `HTTP/1.1 ${problem.status} ${problemCodes[problem.code][1]}`,
        'Connection: close',
        ...(allow ? [`Allow: ${allow.join(', ')}`] : []),
        'Content-Type: application/problem+json',
        `Content-Length: ${Buffer.byteLength(body)}`,
        '',
        body,
      ].join('\r\n'),
    );
    // HTTP has let go of this socket: a client that never closes it would keep it for ever.
    socket.on('error', () => socket.destroy());
    AbortSignal.timeout(limits.lingerMs).addEventListener('abort', () => socket.destroy(), { once: true });
  }

  #explained(error: unknown): Error {
    const { host, port, portKey, name } = this.#settings;
    const { code, message } = error as NodeJS.ErrnoException;
    return new Error(
      code === 'EADDRINUSE'
        ? `port ${port} on ${host} is taken, so the ${name} cannot listen there; stop the other program or set ${portKey} (--set ${portKey}=0 takes a free one)`
        : `the ${name} cannot listen on ${host}:${port}: ${message}; see ${portKey}`,
      { cause: error },
    );
  }
}

function problemOf(error: NodeJS.ErrnoException): Problem {
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new Problem('request-timeout', 'the request did not arrive in time');
  if (error.code === 'HPE_HEADER_OVERFLOW')
    return new Problem('headers-too-large', `headers have at most ${limits.headerBytesMax} bytes together`);
  return new Problem('invalid-http', `${error.code ?? 'error'}: the request is not well-formed`);
}
