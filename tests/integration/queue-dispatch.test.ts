/** Who gets what and why not, over REST with real Redis and PostgreSQL: it reads like the table of the task queue. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { LaneDispatcher } from '../../actors/dispatch/dispatcher.ts';
import { viewOfStored, type ActorView } from '../../runtime/protocol/snapshot.ts';
import type { Address } from '../../runtime/protocol/ids.ts';
import { startApi, type ApiSite } from '../support/apisite.ts';
import { completeNext, registered } from '../support/handwork.ts';
import { laneShard } from '../support/site.ts';

let api: ApiSite;
beforeAll(async () => {
  api = await startApi({ maxAgents: 100 });
});
afterAll(() => api.stop());

/** R11: slots in use follow from what tasks say, shard by shard, whatever the scenario did. */
afterEach(async () => {
  for (let shard = 0; shard < api.site.shards; shard++) {
    const stored = await api.site.redis.hgetall(api.site.space.shard(shard).snapshots);
    const actors = Object.entries(stored).map(([address, text]): [Address, ActorView] => [
      address as Address,
      viewOfStored(address.slice(address.indexOf('/') + 1), text),
    ]);
    const auditor = new LaneDispatcher(shard);
    for (const [address, view] of actors) auditor.observe(address, view);
    expect(auditor.audit(actors)).toEqual([]);
  }
});

const submit = async (body: object): Promise<string> => {
  const answer = await api.call('/api/v1/tasks', { body });
  expect(answer.status, JSON.stringify(answer.body)).toBe(202);
  return String(answer.body['id']);
};
const read = async (id: string) => (await api.call(`/api/v1/tasks/${id}`)).body;
const codes = async (id: string): Promise<unknown[]> =>
  (((await read(id))['waiting_for'] ?? []) as { code: string }[]).map(({ code }) => code);
const running = (id: string) => api.site.until(`task/${id}`, ({ state }) => JSON.stringify(state).includes('assigned'));

test('fairness: the single task of a tenant is the next but one, whatever another has queued', async () => {
  const many = Array.from({ length: 500 }, () => ({ type: 'fair', tenant: 'large' }));
  expect((await api.call('/api/v1/tasks', { body: many })).body['accepted']).toBe(500);
  const agent = await registered(api, { type: 'fair' });
  const single = await submit({ type: 'fair', tenant: 'small' });
  await completeNext(api, agent, 1);
  await completeNext(api, agent, 1);
  const { attempt } = await read(single);
  expect(attempt).toBe(1);
});

test('concurrency key, queue: the second waits, says for which key, and runs when the first is done', async () => {
  const agent = await registered(api, { type: 'keyed', slots: 5 });
  const body = { type: 'keyed', concurrency: { key: 'customer 7', limit: 1 } };
  const [first, second] = [await submit(body), await submit(body)];
  expect((await read(second))['waiting_for']).toEqual([
    { code: 'concurrency_key', key: 'customer 7', limit: 1, under_way: 1, strategy: 'queue' },
  ]);
  expect(await completeNext(api, agent, 1)).toBe(first);
  await running(second);
});

test('concurrency key, cancel_newest and cancel_in_progress', async () => {
  const agent = await registered(api, { type: 'single', slots: 5 });
  const newest = { type: 'single', concurrency: { key: 'n', strategy: 'cancel_newest' } };
  const kept = await submit(newest);
  const dropped = await submit(newest);
  await api.site.until(`task/${dropped}`, ({ state }) => state === 'cancelled');
  expect(await read(dropped)).toMatchObject({ reason: 'concurrency' });
  expect(await read(kept)).toMatchObject({ status: 'assigned' });
  const latest = { type: 'single', concurrency: { key: 'p', strategy: 'cancel_in_progress' } };
  const old = await submit(latest);
  await running(old);
  const late = await submit(latest);
  const { task = '', token = '' } = await agent.next('cancel');
  expect(task).toBe(old);
  await agent.report({ kind: 'cancelled', task, token });
  await running(late);
});

test('budget: what it costs beyond the window waits, what was not used starts others', async () => {
  const put = await api.call('/api/v1/limits/tokens', { method: 'PUT', body: { units: 100, window_ms: 3_600_000 } });
  expect(put.body).toMatchObject({ name: 'tokens', units: 100, used: 0 });
  const agent = await registered(api, { type: 'paid', slots: 9 });
  const body = { type: 'paid', limits: { tokens: 60 } };
  const [first, second] = [await submit(body), await submit(body)];
  await running(first);
  expect(await codes(second)).toEqual(['limit_spent']);
  expect(String((await read(second))['explanation'])).toContain('60 units of the limit tokens');
  const { task = '', token = '' } = await agent.next('assign');
  await agent.report({ kind: 'completed', task, token, result: '1', cost: '{"tokens": 10}' });
  await running(second);
  expect((await api.call('/api/v1/limits/tokens')).body).toMatchObject({ used: 70 });
  expect((await api.call('/api/v1/limits')).body.items).toMatchObject([{ name: 'tokens', units: 100, used: 70 }]);
  const refused = await api.call('/api/v1/tasks', { body: { type: 'paid', limits: { tokens: 101 } } });
  expect(refused.status).toBe(400);
  expect(refused.body).toMatchObject({ code: 'invalid-request', where: '/limits/tokens' });
});

test('budget: counted for the whole site, though types live in several shards', async () => {
  await api.call('/api/v1/limits/shared', { method: 'PUT', body: { units: 3, window_ms: 3_600_000 } });
  const names = Array.from({ length: 40 }, (_, index) => `shared${index}`);
  const of = (shard: number) => names.filter((name) => laneShard(name, api.site.shards) === shard).slice(0, 3);
  const types = [...of(0), ...of(1)];
  for (const type of types) await registered(api, { type, slots: 9 });
  const ids = await Promise.all(types.map((type) => submit({ type, limits: { shared: 1 } })));
  expect(new Set(ids.map((id) => id.split('-')[1])).size).toBe(2);
  for (let tries = 0; ; tries++) {
    const statuses = await Promise.all(ids.map(async (id) => (await read(id))['status']));
    const assigned = statuses.filter((status) => status === 'assigned').length;
    expect(assigned).toBeLessThanOrEqual(3);
    const spent = (await Promise.all(ids.map(codes))).filter((list) => list.includes('limit_spent')).length;
    if (assigned === 3 && spent === 3) break;
    expect(tries, `${statuses.join()}`).toBeLessThan(2_000);
    await api.context.system.sleep(20);
  }
  await api.call('/api/v1/limits/shared', { method: 'PUT', body: { units: 6, window_ms: 3_600_000 } });
  for (const id of ids) await running(id);
});

test('an unknown limit is waited for, and setting it lets the task run', async () => {
  await registered(api, { type: 'early' });
  const id = await submit({ type: 'early', limits: { later: 5 } });
  for (let tries = 0; !(await codes(id)).includes('limit_unknown'); tries++) expect(tries).toBeLessThan(2_000);
  await api.call('/api/v1/limits/later', { method: 'PUT', body: { units: 5, window_ms: 1_000 } });
  await running(id);
});

test('requirements: capability and label; the reason goes when such an agent comes', async () => {
  await registered(api, { type: 'picky', labels: { memory: 4 } });
  const requires = { capabilities: ['ocr'], labels: [{ label: 'memory', op: '>=', value: 8 }] };
  const id = await submit({ type: 'picky', requires });
  expect((await read(id))['waiting_for']).toMatchObject([{ code: 'no_matching_agent', agents: 1, requires }]);
  const able = await registered(api, { type: 'picky', labels: { memory: 8 }, capabilities: ['ocr'] });
  expect((await running(id)).context['agent']).toBe(able.id);
});

test('claims: a task larger than any agent says so; one that fits waits for room', async () => {
  await registered(api, { type: 'large', resources: { gpu: 2 }, slots: 4 });
  const first = await submit({ type: 'large', resources: { gpu: 2 } });
  await running(first);
  expect((await read(await submit({ type: 'large', resources: { gpu: 3 } })))['waiting_for']).toEqual([
    { code: 'claim_too_large', claim: { slots: 1, gpu: 3 }, largest: { slots: 4, gpu: 2 } },
  ]);
  expect(await codes(await submit({ type: 'large', resources: { gpu: 1 } }))).toEqual(['no_free_slot']);
});

test('pause and resume of a queue', async () => {
  await registered(api, { type: 'paused' });
  expect((await api.call('/api/v1/queues/paused/pause', { method: 'POST' })).body).toEqual({
    type: 'paused',
    paused: true,
  });
  const id = await submit({ type: 'paused' });
  expect(await codes(id)).toEqual(['queue_paused']);
  const again = await api.call('/api/v1/queues/paused/pause', { method: 'POST' });
  expect(again.body).toMatchObject({ code: 'not-legal-now', legal: ['resume'] });
  const list = (await api.call('/api/v1/queues')).body.items ?? [];
  expect(list.find(({ type }) => type === 'paused')).toMatchObject({ paused: true, queued: 1, free_slots: 1 });
  expect((await api.call('/api/v1/queues/paused/resume', { method: 'POST' })).status).toBe(200);
  await running(id);
  expect((await api.call('/api/v1/queues/paused/pause', { method: 'POST', token: api.token('read') })).status).toBe(
    403,
  );
});

test('every task that is not over says what it waits for', async () => {
  const agent = await registered(api, { type: 'said' });
  const id = await submit({ type: 'said', retry: { max_attempts: 2, initial_delay_ms: 60_000 } });
  await running(id);
  expect(await codes(id)).toEqual(['agent_start']);
  const { task = '', token = '' } = await agent.next('assign');
  await agent.report({ kind: 'started', task, token });
  await api.site.until(`task/${id}`, ({ state }) => JSON.stringify(state).includes('running'));
  expect((await read(id))['waiting_for']).toMatchObject([{ code: 'agent_result', agent: agent.id }]);
  await agent.report({ kind: 'failed', task, token, error: '{"message":"no"}' });
  await api.site.until(`task/${id}`, ({ state }) => JSON.stringify(state).includes('retrying'));
  const [reason] = (await read(id))['waiting_for'] as { code: string; until: string }[];
  expect(reason?.code).toBe('retry_delay');
  expect(Date.parse(reason?.until ?? '')).toBeGreaterThan(Date.now());
  const child = await submit({ type: 'later', depends_on: [id], delay_ms: 60_000 });
  expect((await read(child))['waiting_for']).toMatchObject([
    { code: 'parent', task: id, status: 'waiting' },
    { code: 'start_time' },
    { code: 'no_agent', type: 'later' },
  ]);
  await api.call(`/api/v1/tasks/${child}/pause`, { method: 'POST' });
  const { explanation } = await read(child);
  expect(explanation).toMatch(/^It waits for being resumed: .*; and the end of the task .*; and its time, .*\.$/);
});
