/** Tasks over REST, against a real Redis and PostgreSQL. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApi, type ApiSite } from '../support/apisite.ts';
import { completeNext, registered } from '../support/handwork.ts';

let api: ApiSite;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.stop());

const submitted = async (body: object, headers: Record<string, string> = {}): Promise<string> => {
  const answer = await api.call('/api/v1/tasks', { body, headers });
  expect(answer.status, JSON.stringify(answer.body)).toBe(202);
  return String(answer.body['id']);
};

describe('submit and read', () => {
  test('a task is accepted, read, and says what it waits for', async () => {
    const answer = await api.call('/api/v1/tasks', {
      body: { type: 'lonely', parameters: { a: [1, 'ü'] }, priority: 3 },
    });
    expect(answer.status).toBe(202);
    const id = String(answer.body['id']);
    const self = `/api/v1/tasks/${id}`;
    expect(answer.headers.get('Location')).toBe(self);
    expect(answer.body).toEqual({
      id,
      status: 'queued',
      links: { self, history: `${self}/history`, events: `${self}/events` },
    });
    const read = await api.call(self);
    expect(read.body).toMatchObject({
      id,
      type: 'lonely',
      status: 'queued',
      priority: 3,
      parameters: { a: [1, 'ü'] },
      revision: 1,
      waiting_for: [{ code: 'no_agent', type: 'lonely' }],
      explanation: 'It waits for an agent of type lonely: none is registered, well and accepting work.',
    });
    expect(Object.values(read.body)).not.toContain(null);
  });

  test('the time-out of the configuration holds where a task names none', async () => {
    const id = await submitted({ type: 'timed', timeouts: { heartbeat_ms: 5_000 } });
    const view = await api.site.view(`task/${id}`);
    expect(view?.context['timeouts']).toEqual({ start_to_close_ms: 3_600_000, heartbeat_ms: 5_000 });
  });

  test('an ETag answers 304 until the task changes', async () => {
    const id = await submitted({ type: 'tagged' });
    const first = await api.call(`/api/v1/tasks/${id}`);
    const tag = first.headers.get('ETag')!;
    expect((await api.call(`/api/v1/tasks/${id}`, { headers: { 'If-None-Match': tag } })).status).toBe(304);
    expect((await api.call(`/api/v1/tasks/${id}`, { headers: { 'If-None-Match': `"x", W/${tag}` } })).status).toBe(304);
    expect(
      (await api.call(`/api/v1/tasks/${id}`, { method: 'DELETE', headers: { 'If-Match': '"77"' } })).body.code,
    ).toBe('precondition-failed');
    expect((await api.call(`/api/v1/tasks/${id}`, { method: 'DELETE', headers: { 'If-Match': tag } })).status).toBe(
      200,
    );
    expect((await api.call(`/api/v1/tasks/${id}`, { headers: { 'If-None-Match': tag } })).status).toBe(200);
  });

  test('respond-async does not wait for the outcome', async () => {
    const answer = await api.call('/api/v1/tasks', { body: { type: 'async' }, headers: { Prefer: 'respond-async' } });
    expect(answer.status).toBe(202);
    expect(answer.body['status']).toBe('submitted');
    expect(answer.headers.get('Preference-Applied')).toBe('respond-async');
    await api.site.until(`task/${String(answer.body['id'])}`, () => true);
  });

  test('the trace context of the request reaches the journal', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const id = await submitted({ type: 'traced' }, { traceparent });
    const shard = Number(id.split('-')[1]);
    const entries = await api.context.journals.range(shard, '0-0', 1_000);
    const record = entries.flatMap(({ entry }) => entry.records).find(({ actor }) => actor === `task/${id}`);
    expect(record).toMatchObject({ traceparent, by: 'tester' });
  });
});

describe('waiting', () => {
  test('a submit with Prefer: wait answers with the result', async () => {
    const agent = await registered(api, { type: 'waited' });
    const [answer] = await Promise.all([
      api.call('/api/v1/tasks', { body: { type: 'waited', parameters: 7 }, headers: { Prefer: 'wait=10' } }),
      completeNext(api, agent, { sum: 8 }),
    ]);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('Preference-Applied')).toBe('wait=10');
    expect(answer.body).toMatchObject({ status: 'succeeded', result: { sum: 8 }, agent: agent.id, attempt: 1 });
  });

  test('a wait that is over answers 202 with the task as it is', async () => {
    const began = performance.now();
    const answer = await api.call('/api/v1/tasks', { body: { type: 'never' }, headers: { Prefer: 'wait=1' } });
    expect(answer.status).toBe(202);
    expect(answer.body['status']).toBe('queued');
    expect(performance.now() - began).toBeGreaterThan(990);
  });

  test('a read with Prefer: wait answers when the task is cancelled by somebody else', async () => {
    const id = await submitted({ type: 'never' });
    const waiting = api.call(`/api/v1/tasks/${id}`, { headers: { Prefer: 'wait=20' } });
    await new Promise((resolve) => setTimeout(resolve, 100));
    await api.call(`/api/v1/tasks/${id}`, { method: 'DELETE' });
    expect((await waiting).body['status']).toBe('cancelled');
  });
});

describe('cancel and redrive', () => {
  test('a queued task is cancelled at once; a second cancel is refused with the legal events', async () => {
    const id = await submitted({ type: 'never' });
    const first = await api.call(`/api/v1/tasks/${id}`, { method: 'DELETE' });
    expect(first.status).toBe(200);
    expect(first.body['status']).toBe('cancelled');
    const second = await api.call(`/api/v1/tasks/${id}`, { method: 'DELETE' });
    expect(second.status).toBe(409);
    expect(second.headers.get('Content-Type')).toContain('application/problem+json');
    expect(second.body).toMatchObject({ code: 'not-legal-now', status: 409, state: 'cancelled', legal: [] });
  });

  test('a running task is asked to stop: 202', async () => {
    const agent = await registered(api, { type: 'stopping' });
    const id = await submitted({ type: 'stopping' });
    await agent.next('assign');
    const answer = await api.call(`/api/v1/tasks/${id}`, { method: 'DELETE' });
    expect(answer.status).toBe(202);
    expect(answer.body['status']).toBe('cancelling');
    expect((await agent.next('cancel'))['task']).toBe(id);
  });

  test('a parked task is redriven with other parameters, any other one is not', async () => {
    const agent = await registered(api, { type: 'parking' });
    const id = await submitted({ type: 'parking', parameters: 1 });
    const early = await api.call(`/api/v1/tasks/${id}/redrive`, { method: 'POST' });
    expect(early.status).toBe(409);
    expect(early.body['legal']).toEqual(['cancel']);
    const { token = '' } = await agent.next('assign');
    await agent.report({ kind: 'failed', task: id, token, error: '{"message":"no"}', retryable: 'false' });
    await api.site.until(`task/${id}`, ({ state }) => state === 'parked');
    const redriven = await api.call(`/api/v1/tasks/${id}/redrive`, { body: { parameters: 2 } });
    expect(redriven.status).toBe(202);
    expect((await agent.next('assign'))['parameters']).toBe('2');
  });

  test('an unknown task is 404 for every route', async () => {
    for (const [path, method] of [
      ['/api/v1/tasks/t-0-unknown', 'GET'],
      ['/api/v1/tasks/t-0-unknown', 'DELETE'],
      ['/api/v1/tasks/t-0-unknown/redrive', 'POST'],
      ['/api/v1/tasks/t-0-unknown/history', 'GET'],
      ['/api/v1/tasks/t-0-unknown/events', 'GET'],
      ['/api/v1/tasks/t-999-unknown', 'GET'],
    ] as const)
      expect([path, (await api.call(path, { method })).body.code]).toEqual([path, 'not-found']);
  });
});

describe('Idempotency-Key', () => {
  test('the same body replays, another one is refused', async () => {
    const headers = { 'Idempotency-Key': 'order-1' };
    const first = await api.call('/api/v1/tasks', { body: { type: 'once', parameters: { a: 1, b: 2 } }, headers });
    const again = await api.call('/api/v1/tasks', { body: { parameters: { b: 2, a: 1 }, type: 'once' }, headers });
    expect(again.status).toBe(202);
    expect(again.headers.get('Idempotent-Replayed')).toBe('true');
    expect(first.headers.get('Idempotent-Replayed')).toBeNull();
    expect(again.body).toEqual(first.body);
    const other = await api.call('/api/v1/tasks', { body: { type: 'once', parameters: { a: 2 } }, headers });
    expect(other.status).toBe(422);
    expect(other.body).toMatchObject({ code: 'idempotency-mismatch', where: 'Idempotency-Key' });
  });

  test('another type counts as another body, wherever it lives', async () => {
    const headers = { 'Idempotency-Key': 'order-2' };
    const types = ['kind-a', 'kind-b', 'kind-c', 'kind-d', 'kind-e'];
    const answers = [];
    for (const type of types) answers.push((await api.call('/api/v1/tasks', { body: { type }, headers })).status);
    expect(answers).toEqual([202, 422, 422, 422, 422]);
  });

  test('ten at once make one task', async () => {
    const answers = await Promise.all(
      Array.from({ length: 10 }, () =>
        api.call('/api/v1/tasks', { body: { type: 'race' }, headers: { 'Idempotency-Key': 'race' } }),
      ),
    );
    expect(new Set(answers.map(({ body }) => body['id'])).size).toBe(1);
    expect(answers.filter(({ headers }) => headers.get('Idempotent-Replayed') === null)).toHaveLength(1);
  });

  test.each(['', ' ', 'a b', 'ü', 'x'.repeat(256)])('the key %j is refused', async (key) => {
    const sent = Buffer.from(key, 'utf8').toString('latin1');
    const answer = await api.call('/api/v1/tasks', { body: { type: 'once' }, headers: { 'Idempotency-Key': sent } });
    expect([answer.status, answer.body.code]).toEqual([400, 'invalid-request']);
  });
});

describe('bulk', () => {
  test('an array: each item has its outcome', async () => {
    const body = [{ type: 'bulk' }, { type: 'bulk', priorty: 1 }, { type: 'other', parameters: { x: 1 } }, 5];
    const answer = await api.call('/api/v1/tasks', { body });
    expect(answer.status).toBe(207);
    expect(answer.body).toMatchObject({ accepted: 2, refused: 2 });
    const items = answer.body.items!;
    expect(items.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    expect(items[0]).toMatchObject({ status: 'queued' });
    expect(items[1]).toMatchObject({
      error: { code: 'invalid-request', where: '/1/priorty', remedy: 'did you mean "priority"?' },
    });
    expect(items[3]).toMatchObject({ error: { status: 400 } });
    expect((await api.call(`/api/v1/tasks/${String(items[2]!['id'])}`)).body['type']).toBe('other');
  });

  test('NDJSON: a broken line costs only itself', async () => {
    const raw = '{"type":"nd"}\n\n{"type":\n{"type":"nd","parameters":{"n":3}}\n';
    const answer = await api.call('/api/v1/tasks', { raw, headers: { 'Content-Type': 'application/x-ndjson' } });
    expect(answer.body).toMatchObject({ accepted: 2, refused: 1 });
    expect(answer.body.items![1]).toMatchObject({ error: { code: 'invalid-json' } });
  });

  test('a thousand tasks in one request, repeated under one key', async () => {
    const body = Array.from({ length: 1_000 }, (_, n) => ({
      type: `mass-${n % 7}`,
      parameters: { n, list: Array(30).fill(n) },
    }));
    const headers = { 'Idempotency-Key': 'mass' };
    const first = await api.call('/api/v1/tasks', { body, headers });
    expect(first.body).toMatchObject({ accepted: 1_000, refused: 0 });
    const again = await api.call('/api/v1/tasks', { body, headers });
    expect(again.body.items!.map(({ id }) => id)).toEqual(first.body.items!.map(({ id }) => id));
    expect(new Set(first.body.items!.map(({ id }) => id)).size).toBe(1_000);
  });

  test('bulk of large tasks is spread over entries that a shard takes', async () => {
    const body = Array.from({ length: 20 }, (_, n) => ({ type: 'large', parameters: `${n}${'x'.repeat(250_000)}` }));
    const answer = await api.call('/api/v1/tasks', { body });
    expect(answer.body).toMatchObject({ accepted: 20, refused: 0 });
  });

  test('none and too many are refused', async () => {
    expect((await api.call('/api/v1/tasks', { body: [] })).status).toBe(400);
    expect((await api.call('/api/v1/tasks', { body: Array(1_001).fill({ type: 'a' }) })).status).toBe(400);
    const raw = '{"type":"a"}\n'.repeat(1_001);
    expect((await api.call('/api/v1/tasks', { raw, headers: { 'Content-Type': 'application/x-ndjson' } })).status).toBe(
      400,
    );
  });
});

describe('lists and history', () => {
  test('filters and pages', async () => {
    const ids = [];
    for (let n = 0; n < 5; n++) ids.push(await submitted({ type: 'listed', tenant: n < 2 ? 'red' : 'blue' }));
    await api.call(`/api/v1/tasks/${ids[4]}`, { method: 'DELETE' });
    await api.projected();
    const seen: unknown[] = [];
    let path: string | undefined = '/api/v1/tasks?type=listed&limit=2';
    for (let pages = 0; path !== undefined && pages < 10; pages++) {
      const answer = await api.call(path);
      seen.push(...answer.body.items!.map(({ id }) => id));
      path = /^<([^>]+)>; rel="next"$/.exec(answer.headers.get('Link') ?? '')?.[1];
      expect(path === undefined).toBe(answer.body['next'] === null);
    }
    expect(new Set(seen)).toEqual(new Set(ids));
    expect(seen).toHaveLength(5);
    const count = async (query: string) => (await api.call(`/api/v1/tasks?type=listed&${query}`)).body.items!.length;
    expect(await count('status=cancelled')).toBe(1);
    expect(await count('tenant=red')).toBe(2);
    expect(await count('created_after=2999-01-01')).toBe(0);
    expect(await count('created_before=2999-01-01T00:00:00Z')).toBe(5);
    expect(await count(`text=${ids[0]}`)).toBe(1);
  });

  test('the history names every transition, refused ones too', async () => {
    const id = await submitted({ type: 'storied' });
    await api.call(`/api/v1/tasks/${id}`, { method: 'DELETE' });
    await api.call(`/api/v1/tasks/${id}`, { method: 'DELETE' });
    await api.projected();
    const { body } = await api.call(`/api/v1/tasks/${id}/history`);
    expect(body.items!.map(({ event, outcome, state, by }) => [event, outcome, state, by])).toEqual([
      ['create', 'applied', 'open.queued', 'tester'],
      ['cancel', 'applied', 'cancelled', 'tester'],
      ['cancel', 'refused', 'cancelled', 'tester'],
    ]);
    const page = await api.call(`/api/v1/tasks/${id}/history?limit=2`);
    const rest = await api.call(`/api/v1/tasks/${id}/history?limit=2&cursor=${String(page.body['next'])}`);
    expect(rest.body.items).toHaveLength(1);
  });
});

describe('tenants', () => {
  test('a token of a tenant sees and submits only what is its own', async () => {
    const token = api.tokenOf('acme', 'read', 'tasks:submit', 'tasks:cancel', 'tasks:redrive');
    const foreign = await submitted({ type: 'rented', tenant: 'other' });
    const own = await api.call('/api/v1/tasks', { token, body: { type: 'rented' } });
    expect(own.status).toBe(202);
    expect((await api.call(`/api/v1/tasks/${String(own.body['id'])}`, { token })).body['tenant']).toBe('acme');
    await api.projected();
    for (const [path, method] of [
      ['', 'GET'],
      ['', 'DELETE'],
      ['/redrive', 'POST'],
      ['/history', 'GET'],
      ['/events', 'GET'],
    ] as const)
      expect((await api.call(`/api/v1/tasks/${foreign}${path}`, { token, method })).status).toBe(404);
    expect((await api.call('/api/v1/tasks', { token, body: { type: 'rented', tenant: 'other' } })).status).toBe(403);
    const list = await api.call('/api/v1/tasks?type=rented', { token });
    expect(list.body.items!.map(({ tenant }) => tenant)).toEqual(['acme']);
    expect((await api.call('/api/v1/tasks?tenant=other', { token })).status).toBe(403);
    expect((await api.call('/api/v1/events', { token })).status).toBe(403);
  });
});
