/** Status, probes, set-aside entries, scopes; and an API whose Redis goes away. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { routes } from '../../api/routes.ts';
import { scopes } from '../../api/token.ts';
import { limits } from '../../config/limits.ts';
import { startApi, type ApiSite } from '../support/apisite.ts';
import { startPrivateRedis } from '../support/servers.ts';

let api: ApiSite;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.stop());

describe('the site', () => {
  test('the status has every group of the seed', async () => {
    await api.call('/api/v1/tasks', { body: { type: 'counted' } });
    await api.projected();
    const { status, body } = await api.call('/api/v1/status', { token: api.token('read') });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      site: { name: 'primary', role: 'active', version: '1.2.3', shards: 2, max_agents: 10 },
      health: { redis: 'up', postgres: 'up', shards_held: 2 },
      tasks: { queued: 1 },
      agents: {},
      sync: { state: 'off' },
    });
    expect(body['lanes']).toMatchObject([{ type: 'counted', queued: 1, running: 0, agents: 0, free_slots: 0 }]);
  });

  test('probes and version need no token; metrics do', async () => {
    for (const path of ['/healthz', '/readyz', '/version'])
      expect((await api.call(path, { token: null })).status).toBe(200);
    expect((await api.call('/metrics', { token: null })).status).toBe(401);
    expect((await api.call('/metrics', { token: api.token('read') })).body).toEqual({ text: 'up 1\n' });
    expect((await api.call('/api/v1/openapi.json', { token: api.token('read') })).body['openapi']).toBe('3.1.0');
  });

  test('answers carry the security headers and do not name the software', async () => {
    const { headers } = await api.call('/healthz');
    expect(headers.get('X-Content-Type-Options')).toBe('nosniff');
    expect(headers.get('Content-Security-Policy')).toContain("default-src 'none'");
    expect(headers.get('Cache-Control')).toBe('no-store');
    expect(headers.get('X-Powered-By')).toBeNull();
    expect(headers.get('Access-Control-Allow-Origin')).toBeNull();
  });
});

describe('scopes', () => {
  const guarded = Object.entries(routes).flatMap(([path, item]) =>
    Object.entries(item).flatMap(([method, { scope }]) => (scope === undefined ? [] : [{ path, method, scope }])),
  );

  test.each(guarded)('$method $path takes $scope and nothing less', async ({ path, method, scope }) => {
    const address = path
      .replace('{shard}', '0')
      .replace('{definition}', 'task')
      .replace('{id}', path.includes('agents') ? 'a-0-x' : 't-0-x');
    // Where the scope is that of the event, an event that only an administrator may send.
    const body = path.endsWith('/events') && method === 'post' ? { body: { type: 'revoke' } } : {};
    const send = (token: string | null) => api.call(address, { method: method.toUpperCase(), token, ...body });
    expect((await send(null)).status).toBe(401);
    const others = scopes.filter((one) => one !== scope && one !== 'admin');
    const refused = await send(api.token(...others));
    // The document may be read by everybody who has a token.
    if (path === '/api/v1/openapi.json') return;
    expect([refused.status, refused.body.code]).toEqual([403, 'not-allowed']);
    // An agent's mailbox opens to the token of its own registration alone.
    if (scope === 'agents:work') return;
    if (path !== '/api/v1/events') expect([401, 403]).not.toContain((await send(api.token(scope))).status);
  });
});

describe('set aside', () => {
  test('R10: an entry that cannot be applied is shown with its reason and can be redriven', async () => {
    const { commands } = api.site.space.shard(1);
    await api.site.redis.xadd(commands, '*', 'command', '{"not":"a command"}');
    await expect.poll(async () => (await api.call('/api/v1/set-aside')).body.items).toHaveLength(1);
    const [entry] = (await api.call('/api/v1/set-aside?shard=1')).body.items!;
    expect(entry).toMatchObject({ shard: 1, reason: 'bad-command', fields: ['command', '{"not":"a command"}'] });
    expect((await api.call('/api/v1/set-aside?shard=0')).body.items).toEqual([]);
    const id = String(entry!['id']);
    expect((await api.call(`/api/v1/set-aside?shard=1&after=${id}`)).body.items).toEqual([]);
    const redriven = await api.call(`/api/v1/set-aside/1/${id}/redrive`, { method: 'POST' });
    expect(redriven.status).toBe(202);
    expect(redriven.body).toMatchObject({ id, shard: 1, redriven: true });
  });

  test.each([
    ['1/0-0', 404],
    ['1/1-1', 404],
    ['1/0-5', 404],
    ['1/x', 400],
    ['99/1-1', 400],
    ['-1/1-1', 400],
    ['1e0/1-1', 400],
  ] as const)('a redrive of %s is %i', async (path, status) => {
    expect((await api.call(`/api/v1/set-aside/${path}/redrive`, { method: 'POST' })).status).toBe(status);
  });

  test.each(['shard=2', 'shard=x', 'after=1-1', 'shard=0&after=x', 'limit=0', 'limt=5'])(
    'the list refuses ?%s',
    async (query) => {
      expect((await api.call(`/api/v1/set-aside?${query}`)).status).toBe(400);
    },
  );
});

test('without Redis every route answers 503 in time, and all is well when it is back', async () => {
  const redis = await startPrivateRedis();
  const away = await startApi({ redisUrl: redis.url });
  try {
    // The client of the test's own looks on from outside.
    away.site.redis.on('error', () => undefined);
    const id = String((await away.call('/api/v1/tasks', { body: { type: 'kept' } })).body['id']);
    await redis.kill('SIGKILL');
    const began = performance.now();
    const calls = [
      away.call('/api/v1/tasks', { body: { type: 'lost' } }),
      away.call('/api/v1/tasks', { body: { type: 'lost' }, headers: { 'Idempotency-Key': 'k', Prefer: 'wait=5' } }),
      away.call(`/api/v1/tasks/${id}`),
      away.call(`/api/v1/tasks/${id}`, { headers: { Prefer: 'wait=60' } }),
      away.call(`/api/v1/tasks/${id}`, { method: 'DELETE' }),
      away.call(`/api/v1/tasks/${id}/events`),
      away.call('/api/v1/events'),
      away.call('/api/v1/agents', { body: { type: 'lost' } }),
      away.call('/api/v1/agents/a-0-x', { method: 'PUT', body: { status: 'IDLE' } }),
      away.call('/api/v1/set-aside'),
    ];
    for (const answer of await Promise.all(calls)) {
      expect([answer.status, answer.body.code]).toEqual([503, 'unavailable']);
      expect(Number(answer.headers.get('Retry-After'))).toBeGreaterThan(0);
    }
    const bulk = await away.call('/api/v1/tasks', { body: [{ type: 'lost' }, { type: 'lost-too' }] });
    expect(bulk.body).toMatchObject({ accepted: 0, refused: 2 });
    expect(performance.now() - began).toBeLessThan(2 * limits.callDeadlineMs + 1_000);
    await redis.restart();
    await expect.poll(async () => (await away.call('/api/v1/tasks', { body: { type: 'kept' } })).status).toBe(202);
    await expect
      .poll(async () => (await away.call('/api/v1/tasks', { body: { type: 'kept' } })).body['status'], {
        timeout: 20_000,
      })
      .toBe('queued');
  } finally {
    await away.stop();
    await redis.dispose();
  }
}, 60_000);
