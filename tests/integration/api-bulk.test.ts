/** Cancel and redrive by filter, over REST with real Redis and PostgreSQL: counted first, then done, never in part. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BulkWorker } from '../../api/bulkworker.ts';
import { limits } from '../../config/limits.ts';
import { startApi, type ApiSite } from '../support/apisite.ts';
import { registered } from '../support/handwork.ts';

let api: ApiSite;
beforeAll(async () => {
  api = await startApi({ shards: 4, maxAgents: 50 });
});
afterAll(() => api.stop());

type Body = Record<string, unknown>;
const submit = async (count: number, body: object): Promise<string[]> => {
  const answer = await api.call('/api/v1/tasks', { body: Array.from({ length: count }, () => body) });
  expect(answer.body['refused'], JSON.stringify(answer.body)).toBe(0);
  return answer.body.items!.map((item) => String(item['id']));
};
const ask = (action: string, body: object, token?: string) =>
  api.call(`/api/v1/tasks/${action}`, { body, ...(token !== undefined && { token }) });
const counts = async (type: string): Promise<Record<string, number>> => {
  await api.projected();
  const found: Record<string, number> = {};
  const { body } = await api.call(`/api/v1/tasks?type=${type}&limit=500`);
  for (const { status } of body.items!) found[String(status)] = (found[String(status)] ?? 0) + 1;
  return found;
};
async function becomes(id: unknown, status: string): Promise<Body> {
  for (let tries = 0; ; tries++) {
    const { body } = await api.call(`/api/v1/bulk/${String(id)}`);
    if (body['status'] === status) return body;
    if (tries > 1_500) throw new Error(JSON.stringify(body));
    await api.context.system.sleep(20);
  }
}
/** Tasks that an agent failed for good. */
async function parked(type: string, messages: readonly string[], more: object = {}): Promise<string[]> {
  const agent = await registered(api, { type, slots: messages.length });
  const ids = await submit(messages.length, { type, retry: { max_attempts: 1 }, ...more });
  for (const message of messages) {
    const { task = '', token = '' } = await agent.next('assign');
    await agent.report({ kind: 'failed', task, token, error: JSON.stringify({ message }) });
  }
  for (const id of ids) await api.site.until(`task/${id}`, ({ state }) => state === 'parked');
  await api.call(`/api/v1/agents/${agent.id}`, { method: 'PUT', body: { status: 'RETIRED' } });
  return ids;
}

test('cancel: a dry run counts and changes nothing; then every task that matches is cancelled, and no other', async () => {
  await submit(250, { type: 'many', tenant: 'a' });
  await submit(5, { type: 'many', tenant: 'b' });
  const filter = { type: 'many', tenant: 'a' };
  const dry = await ask('cancel', { filter, dry_run: true });
  expect([dry.status, dry.body]).toEqual([200, { action: 'cancel', matched: 250, dry_run: true }]);
  expect(await counts('many')).toEqual({ queued: 255 });
  const begun = await ask('cancel', { filter, rate_per_second: 1_000, reason: 'wrong batch' });
  expect(begun.status).toBe(202);
  expect(begun.body).toMatchObject({ action: 'cancel', matched: 250, subject: 'tester', filter });
  expect(begun.headers.get('Location')).toBe(`/api/v1/bulk/${String(begun.body['id'])}`);
  const done = await becomes(begun.body['id'], 'finished');
  expect(done).toMatchObject({ matched: 250, applied: 250, refused: 0 });
  expect(done['finished_at']).toBeDefined();
  expect(await counts('many')).toEqual({ queued: 5, cancelled: 250 });
  const { items } = (await api.call('/api/v1/tasks?type=many&tenant=a&limit=1')).body;
  expect(items![0]).toMatchObject({ reason: 'wrong batch' });
  const history = (await api.call(`/api/v1/tasks/${String(items![0]!['id'])}/history`)).body.items!;
  expect(history.at(-1)).toMatchObject({ event: 'cancel', by: `tester (${String(begun.body['id'])})` });
  expect((await api.call('/api/v1/bulk')).body.items!.map(({ id }) => id)).toContain(begun.body['id']);
  // What is over is over.
  const late = await api.call(`/api/v1/bulk/${String(begun.body['id'])}`, { method: 'DELETE' });
  expect(late.body).toMatchObject({ code: 'not-legal-now' });
});

test('redrive: by error text, parked ones alone, with other parameters', async () => {
  await parked('broken', ['Disk 100% full', 'disk 100% FULL again', 'no route']);
  await submit(2, { type: 'broken' });
  const filter = { type: 'broken', error: 'disk 100% full' };
  expect((await ask('redrive', { filter, dry_run: true })).body['matched']).toBe(2);
  const begun = await ask('redrive', { filter, parameters: { disk: 'b' } });
  expect(await becomes(begun.body['id'], 'finished')).toMatchObject({ applied: 2, refused: 0 });
  expect(await counts('broken')).toEqual({ queued: 4, parked: 1 });
  const { items } = (await api.call('/api/v1/tasks?type=broken&status=queued')).body;
  expect(items!.filter(({ parameters }) => JSON.stringify(parameters) === '{"disk":"b"}')).toHaveLength(2);
});

test('a worker that dies in the middle leaves nothing out and counts nothing twice', async () => {
  const { commands, gateway, readModel, system, log } = api.context;
  await submit(30, { type: 'halfway' });
  // Dies after it has told the tasks of its first page, before it could say so.
  let told = 0;
  const dying = new BulkWorker({
    gateway,
    readModel,
    system,
    log,
    commands: {
      send: async (...call: Parameters<typeof commands.send>) => {
        const [, list] = call;
        if (list[0]?.event?.type === 'page') throw new Error('killed');
        if (list[0]?.to.startsWith('task/')) told += list.length;
        return commands.send(...call);
      },
    } as unknown as typeof commands,
  });
  const { begin } = api.context.bulkWorker;
  api.context.bulkWorker.begin = (id) => dying.begin(id);
  const begun = await ask('cancel', { filter: { type: 'halfway' }, rate_per_second: 10 });
  const id = String(begun.body['id']);
  await api.site.until(`bulk/${id}`, ({ state }) => state === 'taken');
  for (let tries = 0; told < 10; tries++) {
    expect(tries).toBeLessThan(5_000);
    await system.sleep(10);
  }
  await dying.stop();
  api.context.bulkWorker.begin = begin;
  expect(await counts('halfway')).toEqual({ queued: 20, cancelled: 10 });
  // An operator does not wait until the lease is over.
  await api.call(`/api/v1/bulk/${id}/pause`, { method: 'POST' });
  expect((await api.call(`/api/v1/bulk/${id}`)).body).toMatchObject({ status: 'paused', applied: 0 });
  await api.call(`/api/v1/bulk/${id}/resume`, { method: 'POST' });
  expect(await becomes(id, 'finished')).toMatchObject({ matched: 30, applied: 30, refused: 0 });
  expect(await counts('halfway')).toEqual({ cancelled: 30 });
});

test('what is stopped stays stopped, and says how far it came', async () => {
  await submit(40, { type: 'slowly' });
  const begun = await ask('cancel', { filter: { type: 'slowly' }, rate_per_second: 1 });
  const id = String(begun.body['id']);
  const stopped = await api.call(`/api/v1/bulk/${id}`, { method: 'DELETE' });
  expect(['stopping', 'stopped']).toContain(stopped.body['status']);
  const { applied } = await becomes(id, 'stopped');
  expect(Number(applied)).toBeLessThan(40);
  expect((await counts('slowly'))['cancelled'] ?? 0).toBe(applied);
});

test('tasks that went on since the list was read are refusals with their reason', async () => {
  const { commands, gateway, readModel, system, log } = api.context;
  const [first] = await submit(2, { type: 'raced' });
  // A list that does not know yet that one of them is over.
  const late = {
    ...readModel,
    tasks: (_filter: unknown, limit: number, cursor: string | undefined) =>
      readModel.tasks({ type: 'raced' }, limit, cursor),
  } as unknown as typeof readModel;
  const worker = new BulkWorker({ gateway, readModel: late, commands, system, log });
  const { begin } = api.context.bulkWorker;
  api.context.bulkWorker.begin = () => undefined;
  await api.call(`/api/v1/tasks/${first}`, { method: 'DELETE' });
  const begun = await ask('cancel', { filter: { type: 'raced' } });
  api.context.bulkWorker.begin = begin;
  worker.begin(String(begun.body['id']));
  const done = await becomes(begun.body['id'], 'finished');
  await worker.stop();
  expect(done).toMatchObject({ matched: 1, applied: 1, refused: 1, refusals: { finished: 1 } });
});

test('a tenant reaches its own tasks and its own actions alone', async () => {
  await submit(3, { type: 'shared', tenant: 'acme' });
  await submit(3, { type: 'shared', tenant: 'other' });
  const token = api.tokenOf('acme', 'read', 'tasks:cancel');
  expect((await ask('cancel', { filter: { type: 'shared' }, dry_run: true }, token)).body['matched']).toBe(3);
  expect((await ask('cancel', { filter: { type: 'shared', tenant: 'other' } }, token)).body).toMatchObject({
    code: 'not-allowed',
    where: '/filter/tenant',
  });
  const own = await ask('cancel', { filter: { type: 'shared' } }, token);
  const foreign = await ask('cancel', { filter: { type: 'nothing' } });
  expect((await api.call(`/api/v1/bulk/${String(own.body['id'])}`, { token })).status).toBe(200);
  expect((await api.call(`/api/v1/bulk/${String(foreign.body['id'])}`, { token })).status).toBe(404);
  const listed = (await api.call('/api/v1/bulk', { token })).body.items!;
  expect(listed.map(({ id }) => id)).toEqual([own.body['id']]);
  await becomes(own.body['id'], 'finished');
  expect(await counts('shared')).toEqual({ cancelled: 3, queued: 3 });
  expect((await ask('redrive', { filter: { type: 'shared' } }, token)).status).toBe(403);
});

test('limits and nonsense are refused with their place', async () => {
  const filter = { type: 'none' };
  for (const rate_per_second of [1, limits.bulkTasksPerSecondMax])
    expect((await ask('cancel', { filter, rate_per_second, dry_run: true })).status).toBe(200);
  const rows: [string, object, string][] = [
    ['cancel', { filter, rate_per_second: 0 }, '/rate_per_second'],
    ['cancel', { filter, rate_per_second: limits.bulkTasksPerSecondMax + 1 }, '/rate_per_second'],
    ['cancel', { filter: {} }, '/filter'],
    ['cancel', {}, '/filter'],
    ['cancel', { filter: { status: ['succeeded'] } }, '/filter/status/0'],
    ['cancel', { filter: { status: [] } }, '/filter/status'],
    ['cancel', { filter: { created_before: 'yesterday' } }, '/filter/created_before'],
    ['cancel', { filter: { ...filter, typo: 1 } }, '/filter/typo'],
    ['redrive', { filter: { status: ['queued'] } }, '/filter/status'],
    ['redrive', { filter: { error: '' } }, '/filter/error'],
  ];
  for (const [action, body, where] of rows)
    expect((await ask(action, body)).body, JSON.stringify(body)).toMatchObject({ status: 400, where });
  expect((await api.call('/api/v1/bulk/b-0-nobody')).status).toBe(404);
  expect((await api.call('/api/v1/bulk/t-0-nobody')).body).toMatchObject({ code: 'invalid-id' });
  expect((await api.call('/api/v1/tasks/cancel')).status).toBe(405);
});
