import { createServer } from 'node:net';

const HOST = '127.0.0.1';

function listenOnce(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ port, host: HOST, exclusive: true }, () => {
      const address = server.address();
      const bound = address !== null && typeof address === 'object' ? address.port : port;
      server.close(() => resolve(bound));
    });
  });
}

/**
 * A TCP port on 127.0.0.1 that was free a moment ago. Another process can still take it first: whoever starts a server
 * on it must be ready to try again with another one.
 */
export function freePort(): Promise<number> {
  return listenOnce(0);
}

/** True when something listens on this port of 127.0.0.1 (or when we may not listen there). */
export async function portTaken(port: number): Promise<boolean> {
  try {
    await listenOnce(port);
    return false;
  } catch {
    // The reason does not matter to the caller: in use and not permitted are both "choose another port".
    return true;
  }
}
