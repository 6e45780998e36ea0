/** Every bad request of the list gets a 4xx problem; nothing is a 5xx, nothing changes, and others are served. */
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { limits } from '../../config/limits.ts';
import { startApi, type ApiSite, type Call } from '../support/apisite.ts';
import { rawExchange } from '../support/rawhttp.ts';

let api: ApiSite;
beforeAll(async () => {
  api = await startApi({ requestTimeoutMs: 2_000 });
});
afterAll(() => api.stop());

afterEach(async () => {
  const answer = await api.call('/api/v1/tasks/t-0-alive');
  expect(answer.status).toBe(404);
  expect(api.log.lines).toEqual([]);
});

const tasksPath = '/api/v1/tasks';
const json = 'application/json';
const typed = (type: string | undefined): Record<string, string> =>
  type === undefined ? {} : { 'Content-Type': type };

describe('bodies', () => {
  const bodies: [name: string, status: number, code: string, call: Call][] = [
    ['invalid JSON', 400, 'invalid-json', { raw: '{"type":' }],
    ['an empty body', 400, 'invalid-json', { raw: '' }],
    ['a byte order mark', 400, 'invalid-json', { raw: '\uFEFF{"type":"a"}' }],
    ['text/plain', 415, 'unsupported-media-type', { raw: '{"type":"a"}', headers: typed('text/plain') }],
    ['a form', 415, 'unsupported-media-type', { raw: 'type=a', headers: typed('application/x-www-form-urlencoded') }],
    ['two types', 415, 'unsupported-media-type', { raw: '{}', headers: typed('application/json, text/plain') }],
    [
      'utf-16 as announced',
      415,
      'unsupported-media-type',
      { raw: Buffer.from('{"type":"a"}', 'utf16le'), headers: typed(`${json}; charset=utf-16`) },
    ],
    ['utf-16 unannounced', 400, 'invalid-json', { raw: Buffer.from('{"type":"a"}', 'utf16le') }],
    ['latin-1', 400, 'invalid-json', { raw: Buffer.from('{"type":"ü"}', 'latin1') }],
    ['gzip', 415, 'unsupported-media-type', { raw: gzipSync('{"type":"a"}'), headers: { 'Content-Encoding': 'gzip' } }],
    [
      'a gzip bomb',
      415,
      'unsupported-media-type',
      { raw: gzipSync(Buffer.alloc(50_000_000)), headers: { 'Content-Encoding': 'gzip' } },
    ],
    ['gzip unannounced', 400, 'invalid-json', { raw: gzipSync('{"type":"a"}') }],
    [
      'nesting of 5,000',
      400,
      'invalid-json',
      { raw: `{"type":"a","parameters":${'['.repeat(5_000)}${']'.repeat(5_000)}}` },
    ],
    ['nesting of 100,000', 400, 'invalid-json', { raw: '['.repeat(100_000) }],
    [
      '1,000,000 members',
      413,
      'too-large',
      { raw: `{"type":"a","parameters":{${Array.from({ length: 1_000_000 }, (_, n) => `"${n}":1`).join()}}}` },
    ],
    [
      '50,000 members',
      400,
      'invalid-json',
      { raw: `{"type":"a","parameters":{${Array.from({ length: 50_000 }, (_, n) => `"${n}":1`).join()}}}` },
    ],
    ['__proto__', 400, 'invalid-request', { raw: '{"type":"a","__proto__":{"tenant":"x"}}' }],
    [
      'constructor.prototype as a member',
      400,
      'invalid-request',
      { raw: '{"type":"a","constructor":{"prototype":{}}}' },
    ],
    ['duplicate members', 400, 'invalid-json', { raw: '{"type":"a","type":"b"}' }],
    ['1e400', 400, 'invalid-json', { raw: '{"type":"a","priority":1e400}' }],
    ['2^53+1', 400, 'invalid-json', { raw: '{"type":"a","parameters":9007199254740993}' }],
    ['NUL', 400, 'invalid-request', { raw: '{"type":"a","parameters":"\\u0000"}' }],
    ['a lone surrogate', 400, 'invalid-request', { raw: '{"type":"a","parameters":"\\udfff"}' }],
    ['right-to-left marks in a name', 400, 'invalid-request', { body: { type: 'a\u202eb' } }],
    ['zero-width characters in a name', 400, 'invalid-request', { body: { type: 'a\u200bb' } }],
    ['one string of 1 MB', 413, 'too-large', { body: { type: 'a', parameters: 'x'.repeat(1_000_000) } }],
    ['257 KiB of parameters', 413, 'too-large', { body: { type: 'a', parameters: 'x'.repeat(257 * 1024) } }],
    [
      'one byte too much',
      413,
      'too-large',
      { body: { type: 'a', parameters: 'x'.repeat(limits.payloadBytesMax - 1) } },
    ],
    ['a body of 9 MB', 413, 'too-large', { raw: ' '.repeat(9_000_000) }],
    ['arrays as names', 400, 'invalid-request', { body: { type: ['a'] } }],
    ['an unknown member', 400, 'invalid-request', { body: { type: 'a', id: 't-0-mine' } }],
    ['an event name as a type', 400, 'invalid-request', { body: { type: 'xstate.stop:*' } }],
    ['an event', 400, 'invalid-request', { body: { type: 'a', event: { type: 'xstate.done.actor.x' } } }],
    ['null', 400, 'invalid-request', { raw: 'null' }],
    ['a number', 400, 'invalid-request', { raw: '1' }],
  ];

  test.each(bodies)('%s: %i %s', async (_name, status, code, call) => {
    const before = (await api.context.journals.last(0)) + (await api.context.journals.last(1));
    const answer = await api.call(tasksPath, { method: 'POST', ...call });
    expect([answer.status, answer.body.code], JSON.stringify(answer.body)).toEqual([status, code]);
    expect(answer.headers.get('Content-Type')).toContain('application/problem+json');
    expect(answer.body['detail']).not.toBe('');
    expect((await api.context.journals.last(0)) + (await api.context.journals.last(1))).toBe(before);
  });

  test('the other routes with bodies refuse alike', async () => {
    for (const [method, path] of [
      ['POST', '/api/v1/agents'],
      ['PUT', '/api/v1/agents/a-0-x'],
      ['POST', '/api/v1/tasks/t-0-x/redrive'],
    ] as const) {
      const codes = [];
      for (const raw of ['{', '{"a":1,"a":2}', '{"nobody":1}', '[]', '"x"'])
        codes.push((await api.call(path, { method, raw })).body.code);
      expect([path, codes]).toEqual([
        path,
        ['invalid-json', 'invalid-json', 'invalid-request', 'invalid-request', 'invalid-request'],
      ]);
    }
  });

  test('the size limit and one below are taken, and -0 is 0', async () => {
    for (const length of [limits.payloadBytesMax - 2, limits.payloadBytesMax - 3])
      expect((await api.call(tasksPath, { body: { type: 'a', parameters: 'x'.repeat(length) } })).status).toBe(202);
    const answer = await api.call(tasksPath, { raw: '{"type":"a","parameters":-0,"priority":-0}' });
    expect((await api.call(`${tasksPath}/${String(answer.body['id'])}`)).body).toMatchObject({
      parameters: 0,
      priority: 0,
    });
  });

  test('no body is read without a token', async () => {
    const answer = await api.call(tasksPath, { raw: '{'.repeat(100_000), token: null });
    expect(answer.status).toBe(401);
  });
});

describe('addresses', () => {
  test.each([
    ['t-0-{x}', 400],
    ['t-0-a%7Bs1%7D', 400],
    ['t-0-a:b', 400],
    ['t-0-a*', 400],
    ['t-0-%00', 400],
    ['t-0-a%0d%0ab', 400],
    ['%2e%2e%2f%2e%2e', 400],
    ['t-0-a%2fb', 400],
    ['t--1-a', 400],
    ['t-00-a', 400],
    ['t-0x1-a', 400],
    ['t-1e0-a', 400],
    ['a-0-agent', 400],
    ['t-0-', 400],
    ['__proto__', 400],
    ['constructor', 400],
    ['ｔ-0-a', 400],
    [`t-0-${'x'.repeat(200)}`, 400],
    ['%zz', 400],
    ['%ff', 400],
    ['t-9999-a', 404],
    ['t-0-..', 404],
  ])('the id %s is %i for every method', async (id, status) => {
    for (const method of ['GET', 'DELETE']) {
      const answer = await api.call(`${tasksPath}/${id}`, { method });
      expect([answer.status, answer.headers.get('Content-Type')]).toEqual([
        status,
        'application/problem+json; charset=utf-8',
      ]);
    }
  });

  test.each([
    'limit=-1',
    'limit=0',
    'limit=1.5',
    'limit=1e2',
    'limit=',
    'limit=501',
    'limit=NaN',
    'limit=%20',
    'limit=1&limit=2',
    'limit[]=1',
    'limt=1',
    '__proto__=1',
    'status=done',
    'status=constructor',
    'created_after=yesterday',
    'created_after=1',
    'created_after=99999-01-01',
    'created_before=2026-13-01',
    'type=%00',
    'text=%ed%a0%80%00',
    'cursor=x',
    'cursor=',
    `cursor=${Buffer.from('["agents",0,"a"]').toString('base64url')}`,
    `cursor=${Buffer.from('["tasks",1e300,"a"]').toString('base64url')}`,
    `cursor=${Buffer.from('["tasks",0,"\u0000"]').toString('base64url')}`,
    `cursor=${Buffer.from('["tasks",0,{"a":1}]').toString('base64url')}`,
    `cursor=${Buffer.from(JSON.stringify(['tasks', 0, "'; DROP TABLE tasks"])).toString('base64url')}`,
  ])('the list refuses ?%s', async (query) => {
    const answer = await api.call(`${tasksPath}?${query}`);
    expect([answer.status, answer.body['status']], JSON.stringify(answer.body)).toEqual([400, 400]);
  });

  test.each(['type=%25', "type=' OR 1=1 --", 'text=%25_%5c', 'tenant=*', 'agent=..', 'text=%e2%80%ae'])(
    'the list finds nothing for ?%s',
    async (query) => {
      const answer = await api.call(`${tasksPath}?${query}`);
      expect([answer.status, answer.body.items]).toEqual([200, []]);
    },
  );

  test('unknown addresses and over-long ones', async () => {
    for (const path of [
      '/',
      '/api',
      '/api/v1',
      '/api/v1/nothing',
      '/api/v1/tasks/a/b/c',
      '/.env',
      '/api/v2/tasks',
      '//api/v1/tasks',
    ])
      expect([path, (await api.call(path)).body.code]).toEqual([path, 'not-found']);
    expect((await api.call(`${tasksPath}?text=${'x'.repeat(5_000)}`)).body.code).toBe('uri-too-long');
    expect((await api.call(`/${'x'.repeat(5_000)}`, { token: null })).status).toBe(414);
  });
});

describe('HTTP itself', () => {
  const lines = (...all: string[]): string => `${all.join('\r\n')}\r\n\r\n`;
  const auth = (): string => `Authorization: Bearer ${api.token()}`;
  const host = 'Host: x';

  const send = async (
    ...parts: string[]
  ): Promise<{ status: number; code: string | undefined; allow: string | undefined }> => {
    const [answer] = await rawExchange(api.port, parts, { deadlineMs: 1_000 });
    return { status: answer?.status ?? 0, code: answer?.problem.code, allow: answer?.headers.get('allow') };
  };

  test.each(['TRACE', 'PATCH', 'PUT', 'PROPFIND', 'OPTIONS'])(
    '%s is answered with the methods that are taken',
    async (method) => {
      const preflight = [
        'Origin: http://x',
        'Access-Control-Request-Method: POST',
        'Access-Control-Request-Headers: authorization',
      ];
      const answer = await send(
        lines(`${method} ${tasksPath} HTTP/1.1`, host, auth(), ...preflight, 'Connection: close'),
      );
      expect(answer).toEqual({ status: 405, code: 'method-not-allowed', allow: 'HEAD, POST, GET' });
    },
  );

  test('an unknown method, a broken line, another protocol', async () => {
    for (const line of [
      'BREW /coffee HTTP/1.1',
      'GET',
      '\u0000\u0001\u0002',
      'PRI * HTTP/2.0',
      'GET / HTTP/9.9',
      'get / HTTP/1.1',
    ])
      expect([line, (await send(lines(line, host))).code]).toEqual([line, 'invalid-http']);
  });

  test('both Transfer-Encoding and Content-Length', async () => {
    const answer = await send(
      `${lines(`POST ${tasksPath} HTTP/1.1`, host, auth(), `Content-Type: ${json}`, 'Content-Length: 4', 'Transfer-Encoding: chunked')}0\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n`,
    );
    expect(answer.code).toBe('invalid-http');
  });

  test.each([
    ['two different lengths', ['Content-Length: 3', 'Content-Length: 4']],
    ['a negative length', ['Content-Length: -1']],
    ['a length that is no number', ['Content-Length: 1x']],
    ['chunked twice', ['Transfer-Encoding: chunked, identity']],
    ['a folded header', ['X-A: b', ' c']],
    ['a NUL in a header', ['X-A: b\u0000c']],
    ['a header without a name', [': x']],
    ['a space before the colon', ['X-A : b']],
  ])('%s', async (_name, headers) => {
    const answer = await send(
      `${lines(`POST ${tasksPath} HTTP/1.1`, host, auth(), `Content-Type: ${json}`, ...headers)}{}`,
    );
    expect(answer.status).toBe(400);
    expect(answer.code).toBe('invalid-http');
  });

  test('no Host, headers of 40 kB, a broken chunk', async () => {
    expect((await send(lines('GET /healthz HTTP/1.1', 'Connection: close'))).status).toBe(400);
    expect((await send(lines('GET /healthz HTTP/1.1', host, `X-A: ${'x'.repeat(40_000)}`))).code).toBe(
      'headers-too-large',
    );
    const chunked = lines(
      `POST ${tasksPath} HTTP/1.1`,
      host,
      auth(),
      `Content-Type: ${json}`,
      'Transfer-Encoding: chunked',
    );
    expect((await send(`${chunked}zz\r\nxx\r\n`)).code).toBe('invalid-http');
  });

  test('a __proto__ header, a forged Host and X-Forwarded-For change nothing', async () => {
    const [answer] = await rawExchange(
      api.port,
      [
        lines(
          'GET /api/v1/status HTTP/1.1',
          'Host: evil.example:1',
          '__proto__: x',
          'constructor: x',
          'X-Forwarded-For: 127.0.0.1',
          'X-Forwarded-Host: evil.example',
          'X-Forwarded-Proto: https',
          'X-HTTP-Method-Override: DELETE',
          auth(),
          'Connection: close',
        ),
      ],
      { deadlineMs: 2_000 },
    );
    expect(answer?.status).toBe(200);
    expect(answer?.body).not.toContain('evil');
  });

  test('pipelined requests are answered in order, each on its own merits', async () => {
    const get = (path: string, ...more: string[]): string => lines(`GET ${path} HTTP/1.1`, host, ...more);
    const answers = await rawExchange(
      api.port,
      [get('/healthz') + get(`${tasksPath}/t-0-none`, auth()) + get(tasksPath) + get('/healthz', 'Connection: close')],
      { deadlineMs: 2_000 },
    );
    expect(answers.map(({ status }) => status)).toEqual([200, 404, 401, 200]);
  });

  test('a request that ends with the connection leaves no trace', async () => {
    const head = lines(`POST ${tasksPath} HTTP/1.1`, host, auth(), `Content-Type: ${json}`, 'Content-Length: 100');
    for (const cut of [10, head.length, head.length]) {
      await rawExchange(api.port, [head.slice(0, cut), '{"type"'.slice(0, cut === 10 ? 0 : 7)], { deadlineMs: 50 });
    }
  });

  test('a slow body and slow headers are ended', async () => {
    const head = lines(`POST ${tasksPath} HTTP/1.1`, host, auth(), `Content-Type: ${json}`, 'Content-Length: 100');
    const slow = { pauseMs: 300, deadlineMs: 6_000 };
    const [[body], [headers]] = await Promise.all([
      rawExchange(api.port, [head, ...'{"type": "a", "parameters": 1'], slow),
      rawExchange(api.port, ['GET /healthz HTTP/1.1\r\n', ...Array<string>(20).fill('X-A: b\r\n')], slow),
    ]);
    expect([body?.status, body?.problem.code]).toEqual([408, 'request-timeout']);
    expect([headers?.status, headers?.problem.code]).toEqual([408, 'request-timeout']);
  });

  test('a body beyond the limit is refused although it never ends', async () => {
    const head = lines(
      `POST ${tasksPath} HTTP/1.1`,
      host,
      auth(),
      `Content-Type: ${json}`,
      'Transfer-Encoding: chunked',
    );
    const chunk = `100000\r\n${' '.repeat(0x100000)}\r\n`;
    const [answer] = await rawExchange(api.port, [head, ...Array<string>(12).fill(chunk)], {
      pauseMs: 5,
      deadlineMs: 3_000,
    });
    expect([answer?.status, answer?.problem.code]).toEqual([413, 'too-large']);
  });
});
