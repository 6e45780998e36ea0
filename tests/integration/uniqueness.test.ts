/** Uniqueness keys over REST with real Redis and PostgreSQL. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startApi, type ApiSite } from '../support/apisite.ts';
import { completeNext, registered } from '../support/handwork.ts';

let api: ApiSite;
beforeAll(async () => {
  api = await startApi({ maxAgents: 100, shards: 4 });
});
afterAll(() => api.stop());

const post = (body: object, headers: Record<string, string> = {}) => api.call('/api/v1/tasks', { body, headers });

test('of 100 submits that come at once one makes a task, and the others name it', async () => {
  const body = { type: 'once', parameters: { order: 7 }, unique: {} };
  const answers = await Promise.all(Array.from({ length: 100 }, () => post(body)));
  const made = answers.filter(({ status }) => status === 202);
  expect(made).toHaveLength(1);
  const { id } = made[0]!.body;
  for (const { status, body: problem } of answers.filter((one) => one !== made[0]))
    expect([status, problem.code, problem['holder'], problem['where']]).toEqual([
      409,
      'unique-conflict',
      id,
      '/unique',
    ]);
  expect((await post({ ...body, parameters: { order: 8 } })).status).toBe(202);
  expect((await api.call(`/api/v1/tasks/${String(id)}`)).body).toMatchObject({ unique: expect.stringMatching(/^u-/) });
});

test('return_existing answers with the holder; when that is over, the key is free', async () => {
  const agent = await registered(api, { type: 'existing' });
  const body = { type: 'existing', unique: { key: 'customer 7', on_conflict: 'return_existing' } };
  const first = await post(body);
  expect(first).toMatchObject({ status: 202, body: { status: expect.stringMatching(/queued|assigned/) } });
  expect(first.body).not.toHaveProperty('existing');
  const second = await post({ ...body, parameters: 'others' });
  expect(second).toMatchObject({ status: 200, body: { id: first.body['id'], existing: true } });
  expect(second.headers.get('Location')).toBe(first.headers.get('Location'));
  await completeNext(api, agent, 1);
  await api.site.until(`unique/${await keyOf(first.body['id'])}` as never, ({ state }) => state === 'free');
  expect((await post(body)).body['id']).not.toBe(first.body['id']);
});

const keyOf = async (id: unknown) => String((await api.call(`/api/v1/tasks/${String(id)}`)).body['unique']);

test('replace cancels the holder, and the new task runs when it has stopped', async () => {
  const agent = await registered(api, { type: 'replaced' });
  const body = { type: 'replaced', unique: { key: 'k', on_conflict: 'replace' } };
  const first = await post(body);
  const { task = '', token = '' } = await agent.next('assign');
  expect(task).toBe(first.body['id']);
  await agent.report({ kind: 'started', task, token });
  const second = await post(body);
  expect(second).toMatchObject({ status: 202, body: { status: 'blocked' } });
  await agent.next('cancel');
  await agent.report({ kind: 'cancelled', task, token });
  expect(await completeNext(api, agent, 1)).toBe(second.body['id']);
  expect((await api.call(`/api/v1/tasks/${task}`)).body).toMatchObject({ status: 'cancelled' });
});

test('until started: the next may be queued as soon as an agent has the one before', async () => {
  const body = { type: 'debounced', unique: { key: 'k', until: 'started' } };
  const first = await post(body);
  expect((await post(body)).status).toBe(409);
  const agent = await registered(api, { type: 'debounced' });
  await agent.next('assign');
  await api.site.until(`unique/${await keyOf(first.body['id'])}` as never, ({ state }) => state === 'free');
  expect((await post(body)).status).toBe(202);
});

test('with an Idempotency-Key the same submit is the same task, also when the key is free again', async () => {
  const body = { type: 'both', unique: { key: 'k' } };
  const headers = { 'Idempotency-Key': 'both-1' };
  const first = await post(body, headers);
  const again = await post(body, headers);
  expect(again).toMatchObject({ status: 202, body: { id: first.body['id'] } });
  expect(again.headers.get('Idempotent-Replayed')).toBe('true');
  expect((await post({ ...body, priority: 1 }, headers)).status).toBe(422);
  await api.call(`/api/v1/tasks/${String(first.body['id'])}`, { method: 'DELETE' });
  expect((await post(body, headers)).body['id']).toBe(first.body['id']);
  expect((await post(body)).status).toBe(202);
});

test('a key that spans types lives in a shard of its own choice; another tenant has another key', async () => {
  const unique = { key: 'everything', by: [] };
  const types = Array.from({ length: 8 }, (_, index) => `span${index}`);
  const answers = await Promise.all(types.map((type) => post({ type, unique })));
  expect(answers.filter(({ status }) => status === 202)).toHaveLength(1);
  expect((await post({ type: 'span0', tenant: 'another', unique })).status).toBe(202);
});

test('in bulk the first item of a key has it, and a ref may be of the task that is there', async () => {
  const item = { type: 'bulked', unique: { key: 'k', on_conflict: 'return_existing' } };
  const { status, body } = await post([
    { ...item, ref: 'a' },
    { ...item, ref: 'b' },
    { type: 'bulked', unique: { key: 'k' } },
    { type: 'bulked', depends_on: ['#b'] },
  ]);
  const items = body.items as { id?: string; existing?: boolean; error?: { code: string; where: string } }[];
  expect(status).toBe(207);
  expect(items[1]).toMatchObject({ id: items[0]!.id, existing: true });
  expect(items[2]!.error).toMatchObject({ code: 'unique-conflict', where: '/2/unique' });
  expect((await api.call(`/api/v1/tasks/${items[3]!.id}`)).body['depends_on']).toEqual({ [items[0]!.id!]: 'waiting' });
});

test.each([
  [{ unique: { key: '' } }, '/unique/key'],
  [{ unique: { by: [] } }, '/unique/by'],
  [{ unique: { until: 'ttl' } }, '/unique/for_ms'],
  [{ unique: { until: 'never' } }, '/unique/until'],
  [{ unique: { kye: 'x' } }, '/unique/kye'],
  [{ unique: { on_conflict: 'replace' }, depends_on: ['t-0-x'] }, '/depends_on'],
])('%o is refused', async (more, where) => {
  expect((await post({ type: 'bad', ...more })).body).toMatchObject({ code: 'invalid-request', where });
});

test('respond-async cannot be asked for', async () => {
  expect((await post({ type: 'bad', unique: {} }, { Prefer: 'respond-async' })).body).toMatchObject({
    where: 'Prefer',
  });
});
