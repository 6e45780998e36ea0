/** One trace from the client over the streams to the agent and back into the history, over a real Redis and PostgreSQL. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startApi, type ApiSite } from '../support/apisite.ts';
import { registered } from '../support/handwork.ts';

const traceId = '0af7651916cd43dd8448eb211c80319c';
const asked = `00-${traceId}-b7ad6b7169203331-01`;

let api: ApiSite;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.stop());

const history = async (task: string): Promise<Record<string, unknown>[]> => {
  await api.projected();
  return (await api.call(`/api/v1/tasks/${task}/history`)).body['items'] as Record<string, unknown>[];
};

test('the trace of a submit reaches the agent, and what the agent quotes comes back', async () => {
  const agent = await registered(api, { type: 'traced' });
  const submitted = await api.call('/api/v1/tasks', { body: { type: 'traced' }, headers: { traceparent: asked } });
  expect(submitted.headers.get('traceparent')).toBe(asked);

  const { task = '', token = '', traceparent } = await agent.next('assign');
  expect(traceparent).toBe(asked);
  await agent.report({ kind: 'started', task, token });
  const own = `00-${traceId}-00f067aa0ba902b7-01`;
  await agent.report({ kind: 'completed', task, token, result: '1', traceparent: own });
  await api.site.until(`task/${task}`, ({ state }) => state === 'succeeded');

  expect((await history(task)).map(({ event, traceparent }) => [event, traceparent])).toEqual([
    ['create', asked],
    ['assign', asked],
    ['start', asked],
    ['complete', own],
  ]);
});

test.each([
  ['no header', undefined],
  ['an empty id', `00-${'0'.repeat(32)}-b7ad6b7169203331-01`],
  ['a version that is none', `ff-${traceId}-b7ad6b7169203331-01`],
  ['members that version 00 does not have', `${asked}-more`],
  ['capitals', asked.toUpperCase()],
])('%s: a trace is begun, and travels as well', async (_name, header) => {
  const agent = await registered(api, { type: 'untraced' });
  const headers: Record<string, string> = header === undefined ? {} : { traceparent: header };
  const submitted = await api.call('/api/v1/tasks', { body: { type: 'untraced' }, headers });
  const begun = submitted.headers.get('traceparent') ?? '';
  expect(begun).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  expect(begun).not.toContain(traceId);
  const { task = '', token = '', traceparent } = await agent.next('assign');
  expect(traceparent).toBe(begun);
  await agent.report({ kind: 'completed', task, token, result: '1' });
  await api.site.until(`task/${task}`, ({ state }) => state === 'succeeded');
});

test('tasks of one request share its trace; those of two do not', async () => {
  const bulk = await api.call('/api/v1/tasks', { body: [{ type: 'bulk' }, { type: 'bulk' }] });
  const items = bulk.body['items'] as { id: string }[];
  const traces = await Promise.all(
    items.map(async ({ id }) => (await api.site.view(`task/${id}`))?.context['traceparent']),
  );
  expect(new Set(traces)).toEqual(new Set([bulk.headers.get('traceparent')]));
  const other = await api.call('/api/v1/tasks', { body: { type: 'bulk' } });
  expect(other.headers.get('traceparent')).not.toBe(bulk.headers.get('traceparent'));
});
