/** Bodies as they come over HTTP, preferences, and text of any kind. */
import { createServer, request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseStrict, readBody } from '../../api/body.ts';
import { Problem, problemHandler } from '../../api/problem.ts';
import { preferencesOf } from '../../api/request.ts';
import { limits } from '../../config/limits.ts';
import { MemoryLog } from '../support/site.ts';

test('any text is read or refused in words, never with another error', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'{}[]",:\\u0e1-+.a \n\u0000'), maxLength: 40 }), (text) => {
      try {
        expect(parseStrict(text)).toEqual(JSON.parse(text));
      } catch (error) {
        expect(error).toBeInstanceOf(Problem);
      }
    }),
    { numRuns: 3_000 },
  );
});

test.each<[string, number | undefined, boolean]>([
  ['', undefined, false],
  ['wait=5', 5_000, false],
  ['respond-async, wait=10', 10_000, true],
  ['wait = "7"', 7_000, false],
  ['handling=lenient; wait=3', 3_000, false],
  ['wait=61', 60_000, false],
  ['wait=999999999', 60_000, false],
  ['wait=0', 0, false],
  ['wait=-1', undefined, false],
  ['wait=x', undefined, false],
  ['await=5', undefined, false],
  ['Respond-Async', undefined, true],
  ['respond-asynchronously', undefined, false],
])('Prefer: %s', (header, waitMs, async) => {
  expect(preferencesOf({ get: () => header } as unknown as express.Request)).toEqual({ waitMs, async });
});

describe('readBody', () => {
  let server: Server;
  beforeAll(async () => {
    const app = express();
    app.post('/', async (request, response) => {
      const { kind, text } = await readBody(request);
      response.json({ kind, length: text.length });
    });
    app.use(problemHandler(new MemoryLog()));
    server = createServer(app);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterAll(() => {
    server.close();
  });

  const send = (headers: Record<string, string>, body: Buffer | string): Promise<{ status: number; body: object }> =>
    new Promise((resolve, reject) => {
      const { port } = server.address() as AddressInfo;
      const request = httpRequest({ host: '127.0.0.1', port, method: 'POST', agent: false, headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            body: JSON.parse(Buffer.concat(chunks).toString() || '{}') as object,
          }),
        );
      });
      request.on('error', reject);
      request.end(body);
    });

  test.each<[string, number]>([
    ['application/json', 200],
    ['Application/JSON; Charset="UTF-8"', 200],
    ['application/json;charset=utf-8', 200],
    ['application/x-ndjson', 200],
    ['application/ndjson', 200],
    ['', 415],
    ['text/plain', 415],
    ['text/json', 415],
    ['application/jsonp', 415],
    ['application/vnd.api+json', 415],
    ['application/json, text/plain', 415],
    ['application/x-www-form-urlencoded', 415],
    ['multipart/form-data; boundary=x', 415],
    ['application/json; charset=utf-16', 415],
    ['application/json; charset=latin1', 415],
    ['application/json; charset=""', 415],
  ])('Content-Type: %s is %i', async (type, status) => {
    const answer = await send(type === '' ? {} : { 'Content-Type': type }, '{}');
    expect(answer.status).toBe(status);
    if (status === 415) expect(answer.body).toMatchObject({ code: 'unsupported-media-type', where: 'Content-Type' });
  });

  test.each(['gzip', 'deflate', 'br', 'zstd', 'gzip, identity', 'x'])(
    'Content-Encoding: %s is 415',
    async (encoding) => {
      const answer = await send({ 'Content-Type': 'application/json', 'Content-Encoding': encoding }, '{}');
      expect(answer).toMatchObject({ status: 415, body: { where: 'Content-Encoding' } });
    },
  );

  test.each<[string, Buffer]>([
    ['UTF-16', Buffer.from('{"type":"a"}', 'utf16le')],
    ['Latin 1', Buffer.from('{"type":"\u00fc"}', 'latin1')],
    ['an overlong encoding', Buffer.from([0x22, 0xc0, 0xaf, 0x22])],
    ['an encoded surrogate', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])],
    ['half a character', Buffer.from([0x22, 0xc3])],
  ])('%s is no UTF-8 JSON', async (name, body) => {
    const answer = await send({ 'Content-Type': 'application/json' }, body);
    if (name === 'UTF-16') return expect(() => parseStrict(body.toString('utf8'))).toThrow(Problem);
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid-json' } });
  });

  test('the largest body is taken and one byte more is not, declared or not', async () => {
    const headers = { 'Content-Type': 'application/json' };
    const chunked = { ...headers, 'Transfer-Encoding': 'chunked' };
    const body = Buffer.alloc(limits.requestBytesMax, 'x');
    expect(await send(headers, body)).toMatchObject({ status: 200, body: { length: limits.requestBytesMax } });
    expect(await send(chunked, body)).toMatchObject({ status: 200 });
    const larger = Buffer.concat([body, Buffer.from('x')]);
    expect(await send(headers, larger)).toMatchObject({ status: 413, body: { code: 'too-large' } });
    expect(await send(chunked, larger)).toMatchObject({ status: 413, body: { code: 'too-large' } });
  });
});
