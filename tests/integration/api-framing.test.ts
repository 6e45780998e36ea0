/** Framing: what servers and proxies read differently is refused, answered, and its connection does not stay. */
import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { limits } from '../../config/limits.ts';
import { startApi, type ApiSite } from '../support/apisite.ts';
import { rawExchange, type RawAnswer } from '../support/rawhttp.ts';

let api: ApiSite;
const sockets: Socket[] = [];
beforeAll(async () => {
  api = await startApi({ requestTimeoutMs: 2_000 });
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  expect((await api.call('/api/v1/tasks/t-0-alive')).status).toBe(404);
  expect(api.log.lines).toEqual([]);
});
afterAll(() => api.stop());

const post = (headers: readonly string[], body = '{"type":"framed"}'): string =>
  [
    'POST /api/v1/tasks HTTP/1.1',
    'Host: x',
    `Authorization: Bearer ${api.token()}`,
    'Connection: close',
    ...headers,
    '',
    body,
  ].join('\r\n');
const typed = 'Content-Type: application/json';
const chunked = '11\r\n{"type":"framed"}\r\n0\r\n\r\n';
const first = async (text: string): Promise<RawAnswer> => {
  const [answer] = await rawExchange(api.port, [text], { deadlineMs: 1_500 });
  if (!answer) throw new Error('there was no answer');
  return answer;
};

test('a chunked body and one with a length are taken', async () => {
  expect((await first(post([typed, 'Transfer-Encoding: chunked'], chunked))).status).toBe(202);
  expect((await first(post([typed, 'Transfer-Encoding: Chunked'], chunked))).status).toBe(202);
  expect((await first(post([typed, 'Content-Length: 17']))).status).toBe(202);
});

test.each<[string, () => string, number, string]>([
  ['no Host', () => 'GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n', 400, 'invalid-http'],
  ['two Hosts', () => 'GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n', 400, 'invalid-http'],
  ['gzip as transfer coding', () => post([typed, 'Transfer-Encoding: gzip, chunked'], chunked), 400, 'invalid-http'],
  ['chunked twice', () => post([typed, 'Transfer-Encoding: chunked, chunked'], chunked), 400, 'invalid-http'],
  ['two types', () => post([typed, 'Content-Type: text/plain', 'Content-Length: 17']), 415, 'unsupported-media-type'],
  ['the same type twice', () => post([typed, typed, 'Content-Length: 17']), 415, 'unsupported-media-type'],
  ['CONNECT', () => 'CONNECT db.invalid:5432 HTTP/1.1\r\nHost: x\r\n\r\n', 405, 'method-not-allowed'],
  ['OPTIONS *', () => 'OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', 401, 'not-authenticated'],
])('%s', async (_, text, status, code) => {
  const answer = await first(text());
  expect([answer.status, answer.problem.code]).toEqual([status, code]);
  expect(answer.headers.get('content-type')).toContain('application/problem+json');
  if (status === 405) expect(answer.headers.get('allow')).toContain('GET');
});

test('expectations are not met, and do no harm', async () => {
  expect((await first(post([typed, 'Content-Length: 17', 'Expect: magic']))).status).toBe(202);
  const answers = await rawExchange(api.port, [post([typed, 'Content-Length: 17', 'Expect: 100-continue'])]);
  expect(answers.map(({ status }) => status)).toEqual([100, 202]);
});

test('a request for another protocol is a request like any other', async () => {
  const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13';
  const [open, closed] = await Promise.all([
    first(`GET /healthz HTTP/1.1\r\nHost: x\r\n${upgrade}\r\n\r\n`),
    first(`GET /api/v1/status HTTP/1.1\r\nHost: x\r\n${upgrade}\r\n\r\n`),
  ]);
  expect([open.status, closed.status]).toEqual([200, 401]);
});

test('HTTP/1.0 and whole addresses are read; the address of another host is not followed', async () => {
  expect((await first('GET /healthz HTTP/1.0\r\n\r\n')).status).toBe(200);
  const answer = await first(
    'GET http://elsewhere.invalid/api/v1/tasks HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
  );
  expect([answer.status, answer.body.includes('elsewhere')]).toEqual([401, false]);
});

test.each([
  ['nonsense', 'nonsense\r\n\r\n'],
  ['CONNECT', 'CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n'],
  ['half of its headers', 'GET /healthz HTTP/1.1\r\nHost: x\r\n'],
  ['nothing', ''],
])('a client that sends %s and never closes does not keep its connection', async (_, text) => {
  const socket = connect({ port: api.port, host: '127.0.0.1', allowHalfOpen: true });
  sockets.push(socket);
  socket.on('error', () => undefined);
  socket.on('data', () => undefined);
  const began = performance.now();
  const ended = new Promise<void>((resolve) => socket.once('end', resolve));
  if (text !== '') socket.write(text);
  await ended;
  // What the client still says is not heard any more: the server has let go of the socket.
  await new Promise((resolve) => setTimeout(resolve, limits.lingerMs + 500));
  const cut = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  for (let tries = 0; tries < 20 && !socket.destroyed; tries++) {
    socket.write('x');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await cut;
  expect(performance.now() - began).toBeLessThan(20_000);
});
