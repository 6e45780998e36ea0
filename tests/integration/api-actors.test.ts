/** Definitions drawn, actors looked at, their past replayed and forked, over real servers. */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { address } from '../../runtime/protocol/ids.ts';
import { startApi, type ApiSite } from '../support/apisite.ts';
import { definitions } from '../support/order.ts';
import { laneShard } from '../support/site.ts';

interface Frame {
  event: string;
  outcome: string;
  state: string;
  revision: number;
  payload?: Record<string, unknown>;
}

let api: ApiSite;
beforeAll(async () => {
  api = await startApi({ definitions });
});
afterAll(() => api.stop());

/** A task that an agent has taken, started and failed, once, and that was cancelled while it waited for its next attempt. */
async function worked(): Promise<{ id: string; token: string }> {
  const type = 'looked-at';
  const { body: agent } = await api.call('/api/v1/agents', { body: { type, id: 'worker' } });
  const { body: task } = await api.call('/api/v1/tasks', {
    body: { type, parameters: { text: '<script>alert(1)</script>' }, retry: { initial_delay_ms: 3_600_000 } },
  });
  const id = String(task['id']);
  const held = await api.site.until(address('task', id), ({ context }) => context['token'] !== undefined);
  const token = held.context['token'] as string;
  const shard = laneShard(type, api.site.shards);
  const outbox = api.site.space.outbox(shard, String(agent['id']));
  const report = (...fields: string[]): Promise<unknown> =>
    api.site.redis.xadd(outbox, '*', ...fields, 'task', id, 'token', token, 'agent', String(agent['id']));
  await report('kind', 'started');
  await report('kind', 'progress', 'progress', '0.5', 'note', 'half');
  await report('kind', 'failed', 'error', '{"message":"no luck"}');
  await api.site.until(address('task', id), ({ state }) => JSON.stringify(state).includes('retrying'));
  return { id, token };
}

describe('definitions', () => {
  test('are listed with what they take and how many actors they have', async () => {
    const { body } = await api.call('/api/v1/machines');
    const names = body.items!.map(({ definition }) => definition);
    expect(names).toEqual(expect.arrayContaining(['task', 'agent', 'fleet', 'order', 'stock']));
    expect(body.items!.find(({ definition }) => definition === 'task')).toMatchObject({
      commands: expect.arrayContaining(['cancel', 'redrive']) as unknown,
      reports: expect.arrayContaining(['complete']) as unknown,
    });
  });

  test('a chart names every state and every way once', async () => {
    const { body } = await api.call('/api/v1/machines/order');
    const { states, edges } = body as unknown as {
      states: { id: string; parent?: string }[];
      edges: { id: string; from: string; to?: string }[];
    };
    const ids = new Set(states.map(({ id }) => id));
    expect(ids.size).toBe(states.length);
    expect(new Set(edges.map(({ id }) => id)).size).toBe(edges.length);
    for (const { from, to = from } of edges) expect([ids.has(from), ids.has(to)]).toEqual([true, true]);
    for (const { parent } of states) if (parent !== undefined) expect(ids.has(parent)).toBe(true);
  });

  test.each(['task', 'agent', 'order'])(
    'the picture of %s holds all of its chart, and is answered from memory',
    async (name) => {
      const chart = (await api.call(`/api/v1/machines/${name}`)).body as unknown as {
        states: { id: string }[];
        edges: { id: string }[];
      };
      const { body, headers } = await api.call(`/api/v1/machines/${name}/chart.svg`);
      const svg = body['text'] as string;
      for (const { id } of chart.states) expect(svg).toContain(`data-state="${id}"`);
      for (const { id } of chart.edges) expect(svg).toContain(`data-edge="${id}"`);
      expect(svg).not.toMatch(/NaN|undefined/);
      expect(headers.get('Content-Type')).toMatch(/^image\/svg\+xml/);
      const again = await api.call(`/api/v1/machines/${name}/chart.svg`, {
        headers: { 'If-None-Match': headers.get('ETag')! },
      });
      expect(again.status).toBe(304);
    },
  );

  test('an unknown one is 404 and the known ones are named', async () => {
    const { status, body } = await api.call('/api/v1/machines/tusk');
    expect([status, body.code]).toEqual([404, 'not-found']);
    expect(body['remedy']).toContain('task');
  });
});

describe('an actor', () => {
  test('shows where it stands, what it takes and with which scope, and no token', async () => {
    const { id, token } = await worked();
    const { body, headers } = await api.call(`/api/v1/actors/task/${id}`);
    expect(body).toMatchObject({
      definition: 'task',
      state: 'open.retrying',
      lit: ['task', 'task.open', 'task.open.retrying'],
      legal: [
        { event: 'cancel', scope: 'tasks:cancel' },
        { event: 'pause', scope: 'tasks:cancel' },
      ],
      context: { failures: 1, error: { message: 'no luck' } },
    });
    expect(headers.get('ETag')).toBe(`"${String(body['revision'])}"`);
    expect(Object.keys(body['timers'] as object).join()).toContain('backoff');
    expect(JSON.stringify(body)).not.toContain(token);

    await api.projected();
    const { body: past } = await api.call(`/api/v1/actors/task/${id}/replay`);
    const records = past['records'] as Frame[];
    expect(records.map(({ event }) => event)).toEqual(['create', 'assign', 'start', 'progress', 'fail']);
    expect(past['divergence']).toBeNull();
    expect((past['lit'] as Record<string, string[]>)['open.held.running']).toContain('task.open.held.running');
    expect(JSON.stringify(past)).not.toContain(token);
    expect(records[1]!.payload?.['token']).toMatch(/^~[0-9a-f]{8}$/);

    const { body: middle } = await api.call(`/api/v1/actors/task/${id}/replay?at=3`);
    expect(middle['standing']).toMatchObject({
      state: 'open.held.running',
      legal: ['cancel'],
      context: { progress: 0.5, note: 'half', parameters: { text: '<script>alert(1)</script>' } },
    });
    const { body: last } = await api.call(`/api/v1/actors/task/${id}/replay?at=4`);
    expect((last['standing'] as { context: unknown }).context).toEqual(body['context']);
  });

  test('what-if decides another event, runs nothing, and tells what would have come after', async () => {
    const { id } = await worked();
    await api.projected();
    const { body: before } = await api.call(`/api/v1/actors/task/${id}`);
    const { body: past } = await api.call(`/api/v1/actors/task/${id}/replay`);
    const token = (past['records'] as Frame[])[1]!.payload?.['token'];
    const agent = (past['records'] as Frame[])[1]!.payload?.['agent'];
    const { status, body } = await api.call(`/api/v1/actors/task/${id}/what-if`, {
      body: { at: 3, event: { type: 'complete', token, agent, result: 42 } },
    });
    expect(status).toBe(200);
    expect(body['steps']).toMatchObject([
      { event: 'complete', outcome: 'applied', state: 'succeeded', was: { state: 'open.held.running' } },
      { event: 'fail', outcome: 'refused', was: { state: 'open.retrying' } },
    ]);
    expect(body['standing']).toMatchObject({ state: 'succeeded', context: { result: 42 } });
    expect((await api.call(`/api/v1/actors/task/${id}`)).body).toEqual(before);

    const refused = await api.call(`/api/v1/actors/task/${id}/what-if`, {
      body: { at: 3, event: { type: 'complete', token: 'another', agent, result: 42 } },
    });
    expect(refused.body['steps']).toMatchObject([
      { outcome: 'refused', reason: 'stale-token' },
      { outcome: 'applied' },
    ]);
    const beyond = await api.call(`/api/v1/actors/task/${id}/what-if`, { body: { at: 99, event: { type: 'fail' } } });
    expect([beyond.status, beyond.body['where']]).toEqual([400, '/at']);
  });

  test('takes an event with the scope of that event only', async () => {
    const { id } = await worked();
    const path = `/api/v1/actors/task/${id}/events`;
    const body = { type: 'cancel' };
    const reader = await api.call(path, { body, token: api.token('read', 'tasks:redrive', 'agents:control') });
    expect([reader.status, reader.body.code]).toEqual([403, 'not-allowed']);
    const done = await api.call(path, { body, token: api.token('read', 'tasks:cancel') });
    expect(done).toMatchObject({ status: 200, body: { outcome: 'applied', state: 'cancelled' } });
    const again = await api.call(path, { body });
    expect([again.status, again.body.code]).toEqual([409, 'not-legal-now']);
    expect((await api.call(path, { body: { type: 'complete' } })).status).toBe(409);
    expect((await api.call(path, { body: { type: '' } })).status).toBe(400);
  });

  test('belongs to its tenant', async () => {
    const { id } = await worked();
    const token = api.tokenOf('acme', 'read');
    for (const path of [`/api/v1/actors/task/${id}`, `/api/v1/actors/task/${id}/replay`])
      expect((await api.call(path, { token })).status).toBe(404);
    for (const path of ['/api/v1/actors/fleet', '/api/v1/machines/task/activity', '/api/v1/activity'])
      expect((await api.call(path, { token })).status).toBe(403);
  });

  test('that is not there is said so', async () => {
    expect((await api.call('/api/v1/actors/task/t-0-nobody')).status).toBe(404);
    expect((await api.call('/api/v1/actors/task/nobody')).body.code).toBe('invalid-id');
    expect((await api.call('/api/v1/actors/order/o-999-x')).status).toBe(404);
    const { id } = await worked();
    await api.projected();
    expect((await api.call(`/api/v1/actors/task/${id}/replay?at=99`)).status).toBe(400);
  });

  test('of any definition is replayed, with history, guards and timers', async () => {
    const order = address('order', 'o-0-one');
    await api.site.send({ id: 'c1', to: order, input: { stock: 'stock/s-0-main', price: 10, weight: 5 } });
    await api.site.send({ id: 'c2', to: order, event: { type: 'pay', amount: 4 } });
    await api.site.send({ id: 'c3', to: order, event: { type: 'hold' } });
    await api.site.until(order, ({ context }) => context['holds'] === 1);
    await api.projected();
    const { body: past } = await api.call('/api/v1/actors/order/o-0-one/replay');
    expect(past['divergence']).toBeNull();
    const lit = past['lit'] as Record<string, string[]>;
    for (const { state } of past['records'] as Frame[]) expect(lit[state]).not.toEqual([]);
    const { body } = await api.call('/api/v1/actors/order/o-0-one');
    expect(body).toMatchObject({ state: 'held', legal: [{ event: 'resume', scope: 'admin' }] });
    expect((await api.call('/api/v1/actors/order?state=held')).body.items).toMatchObject([{ id: 'o-0-one' }]);
    expect((await api.call('/api/v1/actors/order?state=sent')).body.items).toEqual([]);
  });
});

describe('the site as a whole', () => {
  test('a definition shows how many stand where, and which ways were taken', async () => {
    await worked();
    await api.projected();
    // The answer is kept for a while (limits.activityCacheMs), so it may be older than the work.
    await vi.waitFor(
      async () => {
        const { body } = await api.call('/api/v1/machines/task/activity');
        expect((body['states'] as Record<string, number>)['task.open.retrying']).toBeGreaterThan(0);
        expect(body['transitions']).toEqual(
          expect.arrayContaining([
            expect.objectContaining({ event: 'fail', to: ['task', 'task.open', 'task.open.retrying'] }),
          ]),
        );
      },
      { timeout: 10_000, interval: 100 },
    );
  });

  test('its last hour has sixty minutes, the last of them with what was submitted', async () => {
    const { body } = await api.call('/api/v1/activity');
    const minutes = body['minutes'] as { submitted: number; open: number }[];
    expect(minutes).toHaveLength(60);
    expect(minutes.slice(-2).reduce((sum, { submitted }) => sum + submitted, 0)).toBeGreaterThan(0);
    expect(minutes.at(-1)!.open).toBeGreaterThan(0);
    const finished = body['finished_last_minute'] as Record<string, number>;
    expect(Object.values(finished).every((count) => count > 0)).toBe(true);
  });

  test('its streams have lengths and groups', async () => {
    const { body } = await api.call('/api/v1/streams');
    expect(body.items).toHaveLength(4 * api.site.shards);
    expect(body.items![0]).toMatchObject({ shard: 0, stream: 'commands', groups: [{ group: 'runtime' }] });
  });
});

describe('the pages', () => {
  test('need no token, are under a policy that lets nothing in from elsewhere, and every address is the page', async () => {
    for (const path of ['/visualiser', '/visualiser/tasks?status=parked', '/visualiser/actors/task/t-0-x']) {
      const response = await fetch(`${api.url}${path}`);
      expect([response.status, response.headers.get('Content-Type')]).toEqual([200, 'text/html; charset=utf-8']);
      expect(response.headers.get('Content-Security-Policy')).toContain("default-src 'self'");
      expect(await response.text()).toContain('/visualiser/assets/main.mjs');
    }
  });

  test('assets have their types; what is none is 404, and nothing outside of them is served', async () => {
    const lit = await fetch(`${api.url}/visualiser/lib/lit-html/lit-html.js`);
    expect([lit.status, lit.headers.get('Content-Type')]).toEqual([200, 'text/javascript; charset=utf-8']);
    for (const path of [
      '/visualiser/assets/none.mjs',
      '/visualiser/assets/..%2fpages.ts',
      '/visualiser/lib/express/index.js',
    ])
      expect((await fetch(`${api.url}${path}`)).status).toBe(404);
    expect((await fetch(`${api.url}/visualiser`, { method: 'POST' })).status).toBe(405);
  });
});
