/** An agent over HTTP alone: the long poll, acknowledgements and reports, through the same streams. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApi, type Answer, type ApiSite } from '../support/apisite.ts';

let api: ApiSite;
beforeAll(async () => {
  api = await startApi({ maxAgents: 30 });
});
afterAll(() => api.stop());

interface HttpAgent {
  id: string;
  token: string;
  inbox(query?: string): Promise<Record<string, unknown>[]>;
  ack(...ids: unknown[]): Promise<Answer>;
  report(body: unknown): Promise<Answer>;
}

async function register(type: string, id: string, more: object = {}): Promise<HttpAgent> {
  const answer = await api.call('/api/v1/agents', { body: { type, id, ...more } });
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  const { http } = answer.body as unknown as { http: { token: string; inbox: string; acks: string; reports: string } };
  const { token } = http;
  return {
    id: String(answer.body['id']),
    token,
    inbox: async (query = '?wait=10') => {
      const got = await api.call(`${http.inbox}${query}`, { token });
      expect(got.status, JSON.stringify(got.body)).toBe(200);
      return got.body['messages'] as Record<string, unknown>[];
    },
    ack: (...ids) => api.call(http.acks, { token, body: { ids } }),
    report: (body) => api.call(http.reports, { token, body }),
  };
}
const submit = async (type: string, parameters: unknown): Promise<string> =>
  String((await api.call('/api/v1/tasks', { body: { type, parameters } })).body['id']);

test('a task from its assignment to its result, with an acknowledgement in between', async () => {
  const agent = await register('by-http', 'web');
  const waiting = agent.inbox('?wait=20');
  const task = await submit('by-http', { n: [1, 'ü'] });
  const [message] = await waiting;
  expect(message).toMatchObject({ kind: 'assign', task, type: 'by-http', attempt: 1, parameters: { n: [1, 'ü'] } });
  // Delivered and not acknowledged: it comes again to whoever asks for what is pending, and to nobody else.
  expect(await agent.inbox('?wait=0')).toEqual([]);
  expect((await agent.inbox('?pending=true'))[0]).toEqual(message);
  expect((await agent.ack(message!['id'])).body).toEqual({ acknowledged: 1 });
  expect(await agent.inbox('?pending=true')).toEqual([]);
  const { token } = message as { token: string };
  const reports = [
    { kind: 'started', task, token },
    { kind: 'completed', task, token, result: { sum: 1 } },
    { kind: 'heartbeat', attempts: [] },
  ];
  const accepted = await agent.report(reports);
  expect([accepted.status, accepted.body]).toEqual([202, { accepted: 3 }]);
  const done = await api.call(`/api/v1/tasks/${task}`, { headers: { Prefer: 'wait=20' } });
  expect(done.body).toMatchObject({ status: 'succeeded', result: { sum: 1 }, agent: agent.id });
});

test('assignments in batches are messages as well', async () => {
  const agent = await register('by-batch', 'batch', { slots: 3, batch: true });
  const ids = await Promise.all([1, 2, 3].map((n) => submit('by-batch', n)));
  const found: unknown[] = [];
  await expect
    .poll(async () => {
      for (const { task, kind } of await agent.inbox('?wait=1')) if (kind === 'assign') found.push(task);
      return [...found].sort();
    })
    .toEqual([...ids].sort());
});

test('a bad report is refused in the inbox, and the others of the request count', async () => {
  const agent = await register('half-bad', 'half');
  const task = await submit('half-bad', 1);
  const [message] = await agent.inbox();
  const { token } = message as { token: string };
  await agent.report([
    { kind: 'started', task, token },
    { kind: 'completed', task: 7 },
    { kind: 'progress', task, token: 'x' },
  ]);
  const refused: Record<string, unknown>[] = [];
  await expect
    .poll(async () => {
      refused.push(...(await agent.inbox('?wait=1')));
      return refused.map(({ kind, report, reason }) => `${String(kind)} ${String(report)} ${String(reason)}`).sort();
    })
    .toEqual(['refused completed bad-report', 'refused progress stale-token']);
  expect((await api.call(`/api/v1/tasks/${task}`)).body['status']).toBe('running');
});

describe('the token of a registration', () => {
  test('opens the mailbox of its own agent and nothing else', async () => {
    const mine = await register('doors', 'mine');
    const other = await register('doors', 'other');
    const as = (path: string, token: string, body?: unknown) =>
      api.call(path, { token, ...(body !== undefined && { body }) });
    expect((await as(`/api/v1/agents/${other.id}/inbox`, mine.token)).status).toBe(401);
    expect((await as(`/api/v1/agents/${other.id}/reports`, mine.token, { kind: 'goodbye' })).status).toBe(401);
    for (const path of ['/api/v1/tasks', '/api/v1/agents', `/api/v1/agents/${mine.id}`, '/api/v1/status'])
      expect([path, (await as(path, mine.token)).status]).toEqual([path, 401]);
    // Nor does a token of an operator, whatever it may: it is not the agent.
    expect((await api.call(`/api/v1/agents/${mine.id}/inbox`)).status).toBe(403);
    expect((await api.call(`/api/v1/agents/${mine.id}/inbox`, { token: api.token('read') })).status).toBe(403);
  });

  test('ends with its registration', async () => {
    const first = await register('turns', 'turns');
    const second = await register('turns', 'turns');
    expect(second.token).not.toBe(first.token);
    expect((await api.call(`/api/v1/agents/${first.id}/inbox`, { token: first.token })).status).toBe(401);
    expect(await second.inbox('?wait=0')).toEqual([]);
    await second.report({ kind: 'goodbye' });
    await expect.poll(async () => (await api.call(`/api/v1/agents/${second.id}`)).body['status']).toBe('RETIRED');
  });
});

test.each<[what: string, path: string, body: unknown, status: number]>([
  ['too long a wait', 'inbox?wait=61', undefined, 400],
  ['no message', 'inbox?limit=0', undefined, 400],
  ['an unknown parameter', 'inbox?foo=1', undefined, 400],
  ['no ids', 'acks', {}, 400],
  ['an id that is none', 'acks', { ids: ['x'] }, 400],
  ['an empty list of ids', 'acks', { ids: [] }, 400],
  ['no report', 'reports', [], 400],
  ['a number', 'reports', 7, 400],
  ['a report without a kind', 'reports', [{ task: 't-0-1' }], 400],
  ['too many reports', 'reports', Array.from({ length: 1_001 }, () => ({ kind: 'heartbeat' })), 400],
  ['too large a report', 'reports', { kind: 'progress', note: 'x'.repeat(3_000_000) }, 413],
])('%s is refused', async (_what, path, body, status) => {
  const agent = await register('wrong', 'wrong');
  const answer = await api.call(`/api/v1/agents/${agent.id}/${path}`, {
    token: agent.token,
    ...(body !== undefined && { body }),
  });
  expect(answer.status).toBe(status);
});
