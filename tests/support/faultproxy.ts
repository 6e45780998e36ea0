/** A TCP proxy on loopback that misbehaves as networks do, in a way that can be changed while it runs. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { Chance } from './chance.ts';

export type Fault =
  | { mode: 'pass' }
  /** The request reaches the server; with this probability the connection ends instead of delivering the reply. */
  | { mode: 'cut-before-reply'; probability: number }
  /** Each way takes this much longer, plus up to as much again. */
  | { mode: 'delay'; ms: number }
  /** Connections are accepted, requests disappear, nothing answers. */
  | { mode: 'black-hole' }
  /** Connections end at once. */
  | { mode: 'refuse' };

export class FaultProxy {
  readonly #targetPort: number;
  readonly #chance: Chance;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #lost = new WeakSet<Socket>();
  /** Socket -> chunks that wait for their delay to pass. */
  readonly #queues = new WeakMap<Socket, Buffer[]>();
  #fault: Fault = { mode: 'pass' };
  cuts = 0;

  constructor(targetPort: number, chance: Chance) {
    this.#targetPort = targetPort;
    this.#chance = chance;
    this.#server = createServer((client) => this.#accept(client));
  }

  /** @returns the port to connect to */
  async start(): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, '127.0.0.1', resolve);
    });
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Takes effect on the connections that stand as well; `refuse` ends them. */
  set(fault: Fault): void {
    this.#fault = fault;
    if (fault.mode === 'refuse') for (const socket of this.#sockets) socket.destroy();
  }

  #accept(client: Socket): void {
    if (this.#fault.mode === 'refuse') {
      client.destroy();
      return;
    }
    const server = connect({ host: '127.0.0.1', port: this.#targetPort });
    this.#join(client, server);
    client.on('data', (chunk) => this.#forward(server, chunk));
    server.on('data', (chunk) => {
      if (this.#fault.mode === 'cut-before-reply' && this.#chance.happens(this.#fault.probability)) {
        this.cuts++;
        client.destroy();
        return;
      }
      this.#forward(client, chunk);
    });
  }

  #join(client: Socket, server: Socket): void {
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      // A reset is what this proxy is for; `close` follows and ends the other side too.
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
  }

  #forward(to: Socket, chunk: Buffer): void {
    // Bytes that once got lost never come: what follows them would be another text.
    if (this.#lost.has(to)) return;
    const fault = this.#fault;
    switch (fault.mode) {
      case 'pass':
      case 'cut-before-reply':
        this.#write(to, chunk);
        return;
      case 'delay':
        this.#later(to, chunk, fault.ms * (1 + this.#chance.next()));
        return;
      case 'black-hole':
      case 'refuse':
        this.#lost.add(to);
        return;
    }
  }

  #write(to: Socket, chunk: Buffer): void {
    const waiting = this.#queues.get(to);
    // Nothing overtakes what is delayed: the bytes of a connection keep their order.
    if (waiting && waiting.length > 0) waiting.push(chunk);
    else if (!to.destroyed) to.write(chunk);
  }

  #later(to: Socket, chunk: Buffer, ms: number): void {
    let waiting = this.#queues.get(to);
    if (!waiting) this.#queues.set(to, (waiting = []));
    waiting.push(chunk);
    if (waiting.length > 1) return;
    const flush = (): void => {
      for (const late of waiting.splice(0)) if (!to.destroyed) to.write(late);
    };
    setTimeout(flush, ms);
  }
}
