/** Delay, pause and dependencies over REST, with real Redis and PostgreSQL, and tasks of several shards. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApi, type ApiSite } from '../support/apisite.ts';

let api: ApiSite;
beforeAll(async () => {
  api = await startApi({ shards: 4 });
});
afterAll(() => api.stop());

type Item = Record<string, unknown>;
const submit = (body: unknown, headers = {}) => api.call('/api/v1/tasks', { body, headers });
const cancel = (id: unknown) => api.call(`/api/v1/tasks/${String(id)}`, { method: 'DELETE' });
async function becomes(id: unknown, status: string): Promise<Item> {
  for (let tries = 0; ; tries++) {
    const { body } = await api.call(`/api/v1/tasks/${String(id)}`);
    if (body['status'] === status) return body;
    if (tries > 500)
      throw new Error(`${String(id)} is ${String(body['status'])}, not ${status}: ${JSON.stringify(body)}`);
    await api.context.system.sleep(10);
  }
}

test('a delayed task is scheduled, then queued; paused meanwhile it stays, and resumed it goes on', async () => {
  const { body } = await submit({ type: 'echo', delay_ms: 300 });
  expect(body['status']).toBe('scheduled');
  expect((await becomes(body['id'], 'queued'))['run_at']).toBeDefined();
  const { body: later } = await submit({ type: 'echo', run_at: '2999-01-01T00:00:00Z' });
  expect(await becomes(later['id'], 'scheduled')).toMatchObject({ run_at: '2999-01-01T00:00:00.000Z' });
  for (const [action, status] of [
    ['pause', 'paused'],
    ['resume', 'scheduled'],
  ] as const)
    expect((await api.call(`/api/v1/tasks/${String(later['id'])}/${action}`, { method: 'POST' })).body).toMatchObject({
      status,
    });
  expect((await api.call(`/api/v1/tasks/${String(later['id'])}/resume`, { method: 'POST' })).body).toMatchObject({
    code: 'not-legal-now',
    legal: ['cancel', 'pause'],
  });
  expect((await submit({ type: 'echo', delay_ms: 1, run_at: '2999-01-01T00:00:00Z' })).body).toMatchObject({
    status: 400,
    where: '/run_at',
  });
});

describe('dependencies across shards', () => {
  test('fan-out and fan-in of one bulk request; a skipped join is cancelled, a blocked one parks', async () => {
    const parents = Array.from({ length: 20 }, (_, at) => ({ type: `kind${at}`, ref: `p${at}` }));
    const all = parents.map(({ ref }) => `#${ref}`);
    const { status, body } = await submit([
      ...parents,
      { type: 'join', depends_on: all, on_failure: 'run', ref: 'run' },
      { type: 'join', depends_on: all, on_failure: 'skip', ref: 'skip' },
      { type: 'join', depends_on: ['#run', '#p0'], ref: 'block' },
    ]);
    expect([status, body['refused']]).toEqual([202, 0]);
    const ids = body.items!.map((item) => item['id']);
    expect(body.items!.slice(20).map((item) => item['status'])).toEqual(['blocked', 'blocked', 'blocked']);
    for (const id of ids.slice(0, 20)) await cancel(id);
    expect(await becomes(ids[20], 'queued')).toMatchObject({ depends_on: { [ids[0] as string]: 'cancelled' } });
    expect(await becomes(ids[21], 'cancelled')).toMatchObject({ reason: 'parent_failed' });
    expect(await becomes(ids[22], 'parked')).toMatchObject({ reason: 'parent_failed' });
  });

  test('a parent that is over already answers, also when it has left Redis', async () => {
    const { body: parent } = await submit({ type: 'one' });
    await cancel(parent['id']);
    const { body: child } = await submit({ type: 'two', depends_on: [parent['id']], on_failure: 'run' });
    await becomes(child['id'], 'queued');
  });

  test('a cycle, an unknown parent, one of another tenant, and a reference outside of bulk are refused', async () => {
    const { status, body } = await submit([
      { type: 'a', ref: 'a', depends_on: ['#b'] },
      { type: 'b', ref: 'b', depends_on: ['#a'] },
      { type: 'c' },
      { type: 'd', depends_on: ['t-0-nobody'] },
    ]);
    expect([status, body['accepted'], body['refused']]).toEqual([207, 1, 3]);
    expect(body.items![0]!['error']).toMatchObject({ detail: 'it depends on itself: a -> b -> a' });
    expect(body.items![3]!['error']).toMatchObject({ where: '/3/depends_on/0' });
    expect((await submit({ type: 'x', depends_on: ['#a'] })).body).toMatchObject({ status: 400 });
    const { body: foreign } = await submit({ type: 'x', tenant: 'acme' });
    expect((await submit({ type: 'x', tenant: 'other', depends_on: [foreign['id']] })).body).toMatchObject({
      status: 400,
      detail: expect.stringContaining('another tenant') as string,
    });
    expect((await submit({ type: 'x', depends_on: Array.from({ length: 101 }, () => foreign['id']) })).status).toBe(
      400,
    );
  });
});
