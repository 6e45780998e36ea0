/** The listening side: addresses, taken ports, and an end without broken answers. */
import { createServer, type RequestListener } from 'node:http';
import { networkInterfaces } from 'node:os';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { HttpServer } from '../../api/server.ts';
import { openEvents } from '../support/eventsource.ts';
import { MemoryLog } from '../support/site.ts';

const log = new MemoryLog();
const servers: HttpServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});

const make = (listener: RequestListener, host = '127.0.0.1', port = 0): HttpServer => {
  const server = new HttpServer({ name: 'API', host, port, portKey: 'primary_server.port', listener, log });
  servers.push(server);
  return server;
};
const hello: RequestListener = (_request, response) => response.end('hello');
const hasIpv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'));

test('localhost is both loopback addresses', async () => {
  const server = make(hello, 'localhost');
  await server.start();
  const { port } = new URL(server.url);
  expect(server.url).toBe(`http://localhost:${port}`);
  expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('hello');
  if (hasIpv6) expect(await (await fetch(`http://[::1]:${port}/`)).text()).toBe('hello');
});

test('a port that is taken names the setting', async () => {
  const other = createServer(hello);
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as AddressInfo;
  await expect(make(hello, '127.0.0.1', port).start()).rejects.toThrow(
    `port ${port} on 127.0.0.1 is taken, so the API cannot listen there; stop the other program or set primary_server.port`,
  );
  await expect(make(hello, 'no.such.host.invalid').start()).rejects.toThrow('see primary_server.port');
  await new Promise((resolve) => other.close(resolve));
});

test('stop lets a request end, ends event streams, and takes nothing new', async () => {
  let release: () => void = () => undefined;
  const server = make((request, response) => {
    if (request.url === '/events') {
      response.setHeader('Content-Type', 'text/event-stream');
      response.write('data: {}\n\n');
    } else release = () => response.end('late');
  });
  await server.start();
  const { url } = server;
  const slow = fetch(`${url}/slow`).then((response) => response.text());
  const stream = await openEvents(`${url}/events`);
  await stream.next();
  const began = performance.now();
  const stopped = server.stop();
  expect(await stream.next()).toBeUndefined();
  await expect(fetch(url)).rejects.toThrow();
  release();
  expect(await slow).toBe('late');
  await stopped;
  expect(performance.now() - began).toBeLessThan(2_000);
  await server.stop();
});
