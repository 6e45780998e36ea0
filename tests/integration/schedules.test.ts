/** Schedules over REST with real Redis and PostgreSQL. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { scheduleAddress, scheduleId } from '../../actors/schedule/address.ts';
import { limits } from '../../config/limits.ts';
import { shardOfId } from '../../runtime/protocol/ids.ts';
import { startApi, type Answer, type ApiSite } from '../support/apisite.ts';
import { completeNext, registered } from '../support/handwork.ts';

let api: ApiSite;
beforeAll(async () => {
  api = await startApi({ maxAgents: 100 });
});
afterAll(() => api.stop());

const schedules = '/api/v1/schedules';
const yearly = { cron: '0 0 1 1 *', task: { type: 'yearly' } };

async function made(body: object): Promise<Answer['body']> {
  const answer = await api.call(schedules, { body });
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  return answer.body;
}

async function eventually<T>(read: () => Promise<T>, holds: (value: T) => boolean, deadlineMs = 20_000): Promise<T> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const value = await read();
    if (holds(value)) return value;
    if (performance.now() > end) throw new Error(`not within ${deadlineMs} ms: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
const get = async (id: unknown) => (await api.call(`${schedules}/${String(id)}`)).body;

describe('runs', () => {
  test('by the second: each occurrence is one task for its time, and its end comes back', async () => {
    const agent = await registered(api, { type: 'ticking', slots: 50 });
    const { id } = await made({
      name: 'ticking',
      cron: '* * * * * *',
      task: { type: 'ticking', parameters: { a: 1 }, priority: 3 },
      overlap: 'allow',
    });
    const done = [await completeNext(api, agent, 1), await completeNext(api, agent, 2)];
    const { body } = await api.call(`/api/v1/tasks/${done[1]}`);
    expect(body).toMatchObject({ type: 'ticking', parameters: { a: 1 }, priority: 3, schedule: id });
    const second = Date.parse(String(body['scheduled_for']));
    expect(second % 1_000).toBe(0);
    const shown = await eventually(
      () => get(id),
      (schedule) => JSON.stringify(schedule['recent']).match(/"succeeded"/g)?.length === 2,
    );
    const recent = shown['recent'] as { task: string; at: string; cause: string; status?: string }[];
    expect(recent.find(({ task }) => task === done[1])).toMatchObject({
      at: body['scheduled_for'],
      cause: 'clock',
      status: 'succeeded',
    });
    expect(new Set(recent.map(({ at }) => at)).size).toBe(recent.length);
    await api.call(`${schedules}/${String(id)}`, { method: 'DELETE' });
  });

  test('trigger, skip, pause, resume, update, remove; legal events where one is refused', async () => {
    const agent = await registered(api, { type: 'manual' });
    const { id } = await made({ name: 'manual', ...yearly, task: { type: 'manual' } });
    const self = `${schedules}/${String(id)}`;
    const post = (word: string) => api.call(`${self}/${word}`, { method: 'POST' });
    const first = await post('trigger');
    expect(first).toMatchObject({ status: 202, body: { started: 1, recent: [{ cause: 'trigger' }] } });
    expect(await post('trigger')).toMatchObject({
      status: 409,
      body: { code: 'not-legal-now', state: 'active', legal: ['pause', 'remove', 'trigger', 'update'] },
    });
    const task = await completeNext(api, agent, 'x');
    expect((first.body['running'] as string[])[0]).toBe(task);
    await eventually(
      () => get(id),
      (schedule) => (schedule['running'] as string[]).length === 0,
    );
    expect(await post('pause')).toMatchObject({ status: 200, body: { status: 'paused' } });
    expect((await post('pause')).body).toMatchObject({
      code: 'not-legal-now',
      legal: expect.arrayContaining(['resume']),
    });
    expect(await post('resume')).toMatchObject({ status: 200, body: { status: 'active' } });
    const { headers, body } = await api.call(self);
    expect(body['next_at']).toMatch(/-01-01T00:00:00.000Z$/);
    const tag = headers.get('ETag')!;
    const update = { cron: '30 4 * * *', timezone: 'Europe/Berlin', task: { type: 'manual' } };
    const changed = await api.call(self, { method: 'PUT', body: update, headers: { 'If-Match': tag } });
    expect(changed).toMatchObject({ status: 200, body: { cron: '30 4 * * *', timezone: 'Europe/Berlin', started: 1 } });
    expect(await api.call(self, { method: 'PUT', body: update, headers: { 'If-Match': tag } })).toMatchObject({
      status: 412,
    });
    await api.projected();
    const history = (await api.call(`${self}/history`)).body.items!.map(({ event, outcome }) => `${event} ${outcome}`);
    expect(history).toEqual(expect.arrayContaining(['trigger applied', 'trigger refused', 'update applied']));
    expect(await api.call(self, { method: 'DELETE' })).toMatchObject({ status: 200, body: { status: 'removed' } });
    expect((await api.call(self)).status).toBe(404);
    await api.projected();
    const names = async (query: string) => (await api.call(`${schedules}${query}`)).body.items!.map(({ name }) => name);
    expect(await names('')).not.toContain('manual');
    expect(await names('?status=removed')).toContain('manual');
  });

  test('a removed name is free at once, and the roster has forgotten it', async () => {
    for (let round = 0; round < 5; round++) {
      const { id } = await made({ name: 'again', ...yearly });
      expect((await api.call(`${schedules}/${String(id)}`, { method: 'DELETE' })).status).toBe(200);
    }
  });

  test('an interval; an end; queue keeps one', async () => {
    await registered(api, { type: 'short' });
    const start = Date.now() + 3_000;
    const [start_at, end_at] = [start, start + 2_500].map((time) => new Date(time).toISOString());
    const timing = { interval_ms: 1_000, start_at, end_at, catch_up: 'all' };
    const { id } = await made({ name: 'short', ...timing, overlap: 'queue', task: { type: 'short' } });
    const shown = await eventually(
      () => get(id),
      ({ status }) => status === 'ended',
    );
    expect(shown).toMatchObject({ started: 1, skipped: 1, missed: 0 });
    expect(shown['waiting']).toHaveLength(1);
    expect(shown).not.toHaveProperty('next_at');
  });
});

describe('the same name', () => {
  test('with the same body is the same schedule, with another one a conflict that says the remedy', async () => {
    const { id } = await made({ name: 'same', ...yearly });
    expect(await api.call(schedules, { body: { name: 'same', ...yearly } })).toMatchObject({
      status: 200,
      body: { id },
    });
    expect(await api.call(schedules, { body: { name: 'same', ...yearly, overlap: 'queue' } })).toMatchObject({
      status: 409,
      body: {
        code: 'schedule-exists',
        where: '/name',
        remedy: expect.stringContaining(`PUT ${schedules}/${String(id)}`),
      },
    });
  });

  test('of another tenant is another schedule, which nobody else sees', async () => {
    const [mine, other] = ['mine', 'other'].map((tenant) => api.tokenOf(tenant, 'read', 'schedules:control'));
    const create = (token: string) => api.call(schedules, { body: { name: 'shared', ...yearly }, token });
    const [one, two] = [await create(mine!), await create(other!)];
    expect([one.status, two.status]).toEqual([201, 201]);
    expect(one.body).toMatchObject({ tenant: 'mine', name: 'shared' });
    const foreign = `${schedules}/${String(one.body['id'])}`;
    for (const [path, method] of [
      ['', 'GET'],
      ['', 'DELETE'],
      ['/pause', 'POST'],
      ['/trigger', 'POST'],
      ['/history', 'GET'],
    ] as const)
      expect((await api.call(`${foreign}${path}`, { method, token: other! })).status).toBe(404);
    await api.projected();
    const listed = await api.call(schedules, { token: other! });
    expect(listed.body.items!.map(({ id }) => id)).toEqual([two.body['id']]);
    expect((await api.call(`${schedules}?tenant=mine`, { token: other! })).status).toBe(403);
    expect((await api.call(schedules, { body: { name: 'x', tenant: 'mine', ...yearly }, token: other! })).status).toBe(
      403,
    );
    expect((await api.call(foreign, { method: 'DELETE', token: api.tokenOf('mine', 'read') })).body.code).toBe(
      'not-allowed',
    );
  });
});

test(
  'a tenant has as many schedules as it may, and no more; one that is removed makes room',
  { timeout: 120_000 },
  async () => {
    const tenant = 'crowded';
    const body = (number: number) => ({ name: `n${number}`, tenant, ...yearly });
    // As the route would publish them, many to an entry.
    for (let from = 0; from < limits.schedulesPerTenantMax; from += 250) {
      const creates = Array.from({ length: 250 }, (_, index) => {
        const to = scheduleAddress(scheduleId(`n${from + index}`, tenant, 2));
        return { id: `crowd-${from + index}`, to, input: { ...body(from + index), task_shard: 0 } };
      });
      const outcomes = await api.context.commands.send(shardOfId(scheduleId('n0', tenant, 2))!, creates, 30_000);
      expect(outcomes?.filter(({ outcome }) => outcome === 'applied')).toHaveLength(250);
    }
    const over = await api.call(schedules, { body: body(limits.schedulesPerTenantMax) });
    expect(over).toMatchObject({ status: 409, body: { code: 'max-schedules' } });
    const { items } = await eventually(
      async () => (await api.call(`${schedules}?tenant=crowded&limit=1`)).body,
      (page) => page.items!.length === 1,
    );
    expect((await api.call(`${schedules}/${String(items![0]!['id'])}`, { method: 'DELETE' })).status).toBe(200);
    expect((await api.call(schedules, { body: body(limits.schedulesPerTenantMax) })).status).toBe(201);
  },
);

describe('bad input is refused with its place', () => {
  const bad: [body: object, where: string, detail: string][] = [
    [{ ...yearly, cron: '0 0 32 * *' }, '/cron', 'field 3 (day of month)'],
    [{ ...yearly, cron: 'every day' }, '/cron', 'has 2 fields'],
    [{ ...yearly, cron: '0 0 31 2 *' }, '/cron', 'never comes'],
    [{ ...yearly, timezone: 'Europe/Berln' }, '/timezone', 'did you mean Europe/Berlin?'],
    [{ ...yearly, interval_ms: 5_000 }, '/interval_ms', 'excludes cron'],
    [{ ...yearly, end_at: '2020-01-01T00:00:00Z' }, '/end_at', 'never run'],
    [{ ...yearly, overlap: 'sometimes' }, '/overlap', 'skip'],
    [{ ...yearly, task: { type: 'x', depends_on: [] } }, '/task/depends_on', 'no such member'],
    [{ ...yearly, task: {} }, '/task/type', ''],
    [{ task: { type: 'x' } }, '/cron', 'is missing'],
    [{ ...yearly, crom: '* * * * *' }, '/crom', 'no such member'],
    [{ ...yearly, tenant: 'x'.repeat(10_000) }, '/tenant', ''],
    [{ ...yearly, name: 'a b' }, '/name', 'letter'],
  ];
  test.each(bad)('%o', async (body, where, detail) => {
    const answer = await api.call(schedules, { body: { name: 'bad', ...body } });
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid-request', where } });
    expect(String(answer.body['detail'])).toContain(detail);
  });

  test('a cost above the whole budget, an id that is none, a status that is none', async () => {
    await api.call('/api/v1/limits/tokens', { method: 'PUT', body: { units: 10, window_ms: 1_000 } });
    const costly = { name: 'costly', ...yearly, task: { type: 'x', limits: { tokens: 11 } } };
    expect((await api.call(schedules, { body: costly })).body).toMatchObject({ where: '/task/limits/tokens' });
    expect((await api.call(`${schedules}/nothing`)).body.code).toBe('invalid-id');
    expect((await api.call(`${schedules}/s-0-nothing`)).status).toBe(404);
    expect((await api.call(`${schedules}?status=sleepy`)).body.code).toBe('invalid-request');
  });
});
