/** Agents over REST, against a real Redis and PostgreSQL. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApi, type ApiSite } from '../support/apisite.ts';
import { registered } from '../support/handwork.ts';

let api: ApiSite;
beforeAll(async () => {
  api = await startApi({ maxAgents: 12 });
});
afterAll(() => api.stop());

const put = (id: string, status: string) => api.call(`/api/v1/agents/${id}`, { method: 'PUT', body: { status } });

describe('registration', () => {
  test('the answer has everything that an agent needs', async () => {
    const answer = await api.call('/api/v1/agents', {
      body: {
        type: 'whole',
        id: 'worker-1',
        slots: 2,
        capabilities: ['fast'],
        labels: { zone: 'a', gpu: 1 },
        version: '7',
      },
      token: api.token('agents:register'),
    });
    expect(answer.status, JSON.stringify(answer.body)).toBe(201);
    const { shard } = answer.body as unknown as { shard: number };
    const id = `a-${shard}-worker-1`;
    expect(answer.headers.get('Location')).toBe(`/api/v1/agents/${id}`);
    expect(answer.body).toEqual({
      id,
      generation: 1,
      status: 'IDLE',
      shard,
      slots: 2,
      heartbeat_interval_ms: 5_000,
      redis: {
        url: api.context.site.agentRedisUrl,
        group: 'agent',
        inbox: api.site.space.inbox(shard, id),
        outbox: api.site.space.outbox(shard, id),
      },
      http: {
        token: expect.stringMatching(/^[A-Za-z0-9_-]{43}$/) as string,
        inbox: `/api/v1/agents/${id}/inbox`,
        acks: `/api/v1/agents/${id}/acks`,
        reports: `/api/v1/agents/${id}/reports`,
      },
      links: { self: `/api/v1/agents/${id}` },
    });
    const read = await api.call(`/api/v1/agents/${id}`);
    expect(read.body).toMatchObject({
      id,
      status: 'IDLE',
      capabilities: ['fast'],
      labels: { zone: 'a', gpu: 1 },
      slots_in_use: 0,
    });
  });

  test('the body of the seed is enough, and the id is made', async () => {
    const answer = await api.call('/api/v1/agents', { body: { type: 'text_processing', capabilities: ['summary'] } });
    expect(answer.status).toBe(201);
    expect(answer.body['id']).toMatch(/^a-\d-[0-9a-z]{26}$/);
  });

  test('the same name, or the id that was made of it, is a new generation', async () => {
    const first = await registered(api, { type: 'again', id: 'again' });
    expect((await registered(api, { type: 'again', id: 'again' })).generation).toBe(2);
    const third = await registered(api, { type: 'again', id: first.id });
    expect([third.id, third.generation]).toEqual([first.id, 3]);
  });

  test.each(['{x}', 'a:b', 'a*', 'a b', '', '..\u0000', 'x'.repeat(200), 5, ['a'], { $gt: '' }, null])(
    'the name %j is refused',
    async (id) => {
      const answer = await api.call('/api/v1/agents', { body: { type: 'named', id } });
      expect([answer.status, answer.body.code]).toEqual([400, 'invalid-request']);
    },
  );

  test('max_agents is a problem that says how to mend it; a place that was left can be taken', async () => {
    const present = (await api.call('/api/v1/agents?limit=100')).body.items!.length;
    expect(present).toBeLessThan(12);
    const ids: string[] = [];
    for (let tries = 0; tries < 20; tries++) {
      const answer = await api.call('/api/v1/agents', { body: { type: `many-${tries % 4}`, id: `many-${tries}` } });
      if (answer.status === 201) {
        ids.push(String(answer.body['id']));
        continue;
      }
      expect(answer.status).toBe(409);
      expect(answer.body).toMatchObject({
        code: 'max-agents',
        remedy: 'retire one, or raise [orchestrator] max_agents',
      });
      break;
    }
    expect(ids.length).toBeGreaterThan(0);
    expect((await put(ids[0]!, 'RETIRED')).status).toBe(200);
    await expect.poll(async () => (await api.call('/api/v1/agents', { body: { type: 'late' } })).status).toBe(201);
    for (const id of ids) await put(id, 'RETIRED');
  });
});

describe('PUT', () => {
  test('IDLE, PAUSED, DRAINING and RETIRED are events; what is so already stays so', async () => {
    const { id } = await registered(api, { type: 'put', id: 'put' });
    for (const [status, code, now] of [
      ['IDLE', 200, 'IDLE'],
      ['PAUSED', 200, 'PAUSED'],
      ['PAUSED', 200, 'PAUSED'],
      ['IDLE', 200, 'IDLE'],
      ['DRAINING', 200, 'RETIRED'],
      ['RETIRED', 200, 'RETIRED'],
    ] as const) {
      const answer = await put(id, status);
      expect([status, answer.status, answer.body['status']]).toEqual([status, code, now]);
    }
  });

  test('what is not legal now is refused with what is', async () => {
    const agent = await registered(api, { type: 'busy', id: 'busy' });
    await api.call('/api/v1/tasks', { body: { type: 'busy' } });
    const { task = '', token = '' } = await agent.next('assign');
    expect((await put(agent.id, 'IDLE')).body['status']).toBe('BUSY');
    expect((await put(agent.id, 'DRAINING')).body['status']).toBe('DRAINING');
    const refused = await put(agent.id, 'PAUSED');
    expect(refused.status).toBe(409);
    expect(refused.body).toMatchObject({ code: 'not-legal-now', legal: ['retire'] });
    expect(JSON.stringify(refused.body['state'])).toContain('draining');
    await agent.report({ kind: 'completed', task, token, result: '1' });
    await expect.poll(async () => (await api.call(`/api/v1/agents/${agent.id}`)).body['status']).toBe('RETIRED');
    expect((await put(agent.id, 'IDLE')).body).toMatchObject({ status: 409, state: 'retired', legal: [] });
  });

  test.each([{}, { status: 'idle' }, { status: 'BUSY' }, { status: ['IDLE'] }, { status: 'IDLE', x: 1 }, null, 'IDLE'])(
    'the body %j is refused',
    async (body) => {
      const answer = await api.call('/api/v1/agents/a-0-any', { method: 'PUT', body });
      expect([answer.status, answer.body.code]).toEqual([400, 'invalid-request']);
    },
  );

  test('an unknown agent is 404, also in a shard that the site does not have', async () => {
    expect((await put('a-0-unknown', 'IDLE')).status).toBe(404);
    expect((await put('a-77-unknown', 'IDLE')).status).toBe(404);
    expect((await api.call('/api/v1/agents/a-1-unknown')).status).toBe(404);
    expect(await api.site.redis.exists(api.site.space.shard(77).commands)).toBe(0);
  });
});

test('the list is paged', async () => {
  for (const name of ['l-1', 'l-2', 'l-3']) await registered(api, { type: 'listed', id: name }).catch(() => undefined);
  await api.projected();
  const first = await api.call('/api/v1/agents?limit=2');
  expect(first.body.items).toHaveLength(2);
  const link = /^<([^>]+)>; rel="next"$/.exec(first.headers.get('Link') ?? '')?.[1];
  const second = await api.call(link!);
  expect(second.status).toBe(200);
  expect(second.body.items!.map(({ id }) => id)).not.toContain(first.body.items![0]!['id']);
});
