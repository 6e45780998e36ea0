/** Partial results over real servers: in order, each once, from wherever the client goes on, also when all is over. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createAgent } from '../../scripts/agents/client/agent.ts';
import { startApi, type ApiSite } from '../support/apisite.ts';
import { openEvents, type EventReader } from '../support/eventsource.ts';
import { registered } from '../support/handwork.ts';

let api: ApiSite;
beforeAll(async () => {
  api = await startApi({ maxAgents: 50 });
});
afterAll(() => api.stop());

const submit = async (body: object): Promise<string> => String((await api.call('/api/v1/tasks', { body })).body['id']);
const follow = (id: string, after?: string): Promise<EventReader> =>
  openEvents(`${api.url}/api/v1/tasks/${id}/chunks/events`, {
    Authorization: `Bearer ${api.token('read')}`,
    ...(after !== undefined && { 'Last-Event-ID': after }),
  });
const places = (events: readonly { id: string; event: string }[]) =>
  events.filter(({ event }) => event === 'chunk').map(({ id }) => id);

test('a client that follows gets what there is and what comes; one that comes back goes on; one that comes late gets all', async () => {
  const agent = await registered(api, { type: 'stream' });
  const id = await submit({ type: 'stream' });
  const { task = '', token = '' } = await agent.next('assign');
  const say = (number: number, chunk: unknown) =>
    agent.report({ kind: 'chunk', task, token, attempt: '1', number: String(number), chunk: JSON.stringify(chunk) });
  await agent.report({ kind: 'started', task, token });
  for (let number = 1; number <= 3; number++) await say(number, { token: `word ${number}` });
  const early = await follow(id);
  expect(early.contentType).toContain('text/event-stream');
  expect((await early.next())?.data).toEqual({ attempt: 1, number: 1, chunk: { token: 'word 1' } });
  await early.next(({ id: place }) => place === '1.3');
  // A repeat is nobody's event, and a gap neither.
  await say(2, 'again');
  await say(9, 'too far');
  await say(4, 'four');
  expect(await early.next()).toMatchObject({ id: '1.4', data: { chunk: 'four' } });
  early.close();
  await say(5, null);
  const back = await follow(id, '1.4');
  expect(await back.next()).toMatchObject({ id: '1.5', data: { chunk: null } });
  expect(await agent.next('refused')).toMatchObject({ report: 'chunk', reason: 'chunk-gap' });
  await agent.report({ kind: 'completed', task, token, result: '"whole"' });
  expect(await back.rest()).toMatchObject([{ event: 'end', id: '1.5', data: { status: 'succeeded' } }]);
  const late = await (await follow(id)).rest();
  expect(places(late)).toEqual(['1.1', '1.2', '1.3', '1.4', '1.5']);
  expect(late.at(-1)).toMatchObject({ event: 'end' });
  expect(places(await (await follow(id, '1.3')).rest())).toEqual(['1.4', '1.5']);
  const page = await api.call(`/api/v1/tasks/${id}/chunks?after=1.1&limit=2`);
  expect(page.body).toMatchObject({ items: [{ number: 2 }, { number: 3 }], next: '1.3' });
  expect((await api.call(`/api/v1/tasks/${id}/chunks?after=1.4`)).body).toEqual({
    items: [{ attempt: 1, number: 5, chunk: null }],
    next: null,
  });
});

test('however fast they come while clients open, nobody misses one or gets one twice', async () => {
  const total = 300;
  let proceed = (): void => undefined;
  const gate = new Promise<void>((resolve) => (proceed = resolve));
  const agent = createAgent({
    api: api.url,
    token: api.token('agents:register'),
    type: 'fast',
    handler: async (_task, _signal, report) => {
      for (let number = 0; number < total; number++) {
        report.chunk(number);
        if (number === 100) await gate;
        if (number % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      }
      return 'done';
    },
  });
  await agent.start();
  const id = await submit({ type: 'fast' });
  const readers = [await follow(id)];
  proceed();
  for (let client = 0; client < 5; client++) readers.push(await follow(id));
  const wanted = Array.from({ length: total }, (_, index) => `1.${index + 1}`);
  for (const events of await Promise.all(readers.map((reader) => reader.rest())))
    expect(places(events)).toEqual(wanted);
  await agent.stop();
});

test('the next attempt is told apart, and what it cost corrects the budget', async () => {
  await api.call('/api/v1/limits/words', { method: 'PUT', body: { units: 100, window_ms: 3_600_000 } });
  let tries = 0;
  const agent = createAgent({
    api: api.url,
    token: api.token('agents:register'),
    type: 'twice',
    handler: (_task, _signal, report) => {
      report.chunk({ try: ++tries });
      report.cost({ words: tries === 1 ? 5 : 7 });
      if (tries === 1) throw new Error('once more');
      return 'done';
    },
  });
  await agent.start();
  const id = await submit({ type: 'twice', limits: { words: 40 }, retry: { initial_delay_ms: 10 } });
  const events = await (await follow(id)).rest();
  expect(events.map(({ id: place, data }) => [place, data['chunk'] ?? data['status']])).toEqual([
    ['1.1', { try: 1 }],
    ['2.1', { try: 2 }],
    ['2.1', 'succeeded'],
  ]);
  for (let round = 0; ; round++) {
    const { used } = (await api.call('/api/v1/limits/words')).body;
    if (used === 12) break;
    expect(round, String(used)).toBeLessThan(3_000);
    await api.context.system.sleep(10);
  }
  await agent.stop();
});

test('a chunk that is too large fails its attempt and says why', async () => {
  const agent = createAgent({
    api: api.url,
    token: api.token('agents:register'),
    type: 'wide',
    handler: (_task, _signal, report) => report.chunk('x'.repeat(70_000)),
  });
  await agent.start();
  const id = await submit({ type: 'wide' });
  await api.site.until(`task/${id}`, ({ state }) => state === 'parked');
  expect((await api.call(`/api/v1/tasks/${id}`)).body['error']).toMatchObject({ code: 'chunk_too_large' });
  await agent.stop();
});

test('what is no place, no task, or another tenant’s', async () => {
  const id = await submit({ type: 'quiet', tenant: 'other' });
  for (const after of ['1', 'a.b', '1.2.3', '-1.1'])
    expect((await api.call(`/api/v1/tasks/${id}/chunks?after=${after}`)).body).toMatchObject({ where: 'after' });
  expect((await follow(id, 'nonsense')).status).toBe(400);
  for (const path of ['', '/events']) {
    expect((await api.call(`/api/v1/tasks/t-0-nobody/chunks${path}`)).status).toBe(404);
    const foreign = await api.call(`/api/v1/tasks/${id}/chunks${path}`, { token: api.tokenOf('acme', 'read') });
    expect(foreign.status).toBe(404);
  }
});
