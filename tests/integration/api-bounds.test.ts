/** What the API accepts at its bounds, the shards take as well: nothing that was accepted is set aside later. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { limits } from '../../config/limits.ts';
import { startApi, type ApiSite } from '../support/apisite.ts';
import { completeNext, registered } from '../support/handwork.ts';

let api: ApiSite;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.stop());

/** `levels` arrays in one another. */
const nested = (levels: number): unknown => (levels === 0 ? 1 : [nested(levels - 1)]);
const wide = (members: number): object =>
  Object.fromEntries(Array.from({ length: members }, (_, index) => [`k${index}`, 0]));

const setAside = async (): Promise<unknown[]> => (await api.call('/api/v1/set-aside')).body.items!;

// The body itself is one level, and has the members `type` and `parameters`.
const extremes: [string, unknown][] = [
  ['as deep as can be', nested(limits.jsonDepthMax - 1)],
  ['as wide as can be', wide(limits.jsonKeysMax - 2)],
  ['as long as can be', 'x'.repeat(limits.payloadBytesMax - 2)],
  ['as many items as can be', Array<number>(limits.jsonKeysMax - 2).fill(0)],
];

test.each(extremes)('parameters %s are queued, with and without waiting for it', async (_, parameters) => {
  for (const prefer of ['respond-async', 'wait=0']) {
    const answer = await api.call('/api/v1/tasks', {
      body: { type: 'bounds', parameters },
      headers: { Prefer: prefer },
    });
    expect([answer.status, answer.body['detail']]).toEqual([202, undefined]);
    const id = String(answer.body['id']);
    await expect.poll(async () => (await api.call(`/api/v1/tasks/${id}`)).body['status']).toBe('queued');
    expect((await api.call(`/api/v1/tasks/${id}`)).body['parameters']).toEqual(parameters);
  }
  expect(await setAside()).toEqual([]);
});

test.each([
  ['too deep', nested(limits.jsonDepthMax), 400, 400],
  ['too wide', wide(limits.jsonKeysMax - 1), 400, 400],
  ['too long', 'x'.repeat(limits.payloadBytesMax - 1), 413, 207],
] as const)('parameters that are %s are refused at the door', async (_, parameters, status, bulkStatus) => {
  const answer = await api.call('/api/v1/tasks', { body: { type: 'bounds', parameters } });
  expect(answer.status).toBe(status);
  const bulk = await api.call('/api/v1/tasks', { body: [{ type: 'bounds', parameters }] });
  expect([bulk.status, bulk.body['accepted'] ?? 0]).toEqual([bulkStatus, 0]);
  expect(await setAside()).toEqual([]);
});

test('a redrive with parameters at the bounds is decided', async () => {
  const agent = await registered(api, { type: 'redriven' });
  for (const [, parameters] of extremes) {
    const id = String((await api.call('/api/v1/tasks', { body: { type: 'redriven' } })).body['id']);
    const { token = '' } = await agent.next('assign');
    await agent.report({ kind: 'failed', task: id, token, error: '{"message":"no"}', retryable: 'false' });
    await api.site.until(`task/${id}`, ({ state }) => state === 'parked');
    const answer = await api.call(`/api/v1/tasks/${id}/redrive`, { body: { parameters } });
    expect([answer.status, answer.body['detail']]).toEqual([202, undefined]);
    await completeNext(api, agent, 'done');
  }
});

test('results at the bounds are kept, alone and in a batch', async () => {
  const agent = await registered(api, { type: 'results', slots: 4 });
  for (const together of [false, true]) {
    const reports: Record<string, string>[] = [];
    const ids: string[] = [];
    for (const [, result] of extremes) {
      ids.push(String((await api.call('/api/v1/tasks', { body: { type: 'results' } })).body['id']));
      const { task = '', token = '' } = await agent.next('assign');
      reports.push({ kind: 'completed', task, token, result: JSON.stringify(result) });
    }
    if (together)
      await agent.report({
        batch: JSON.stringify(
          reports.map((report) => ({ ...report, result: JSON.parse(report['result']!) as unknown })),
        ),
      });
    else for (const report of reports) await agent.report(report);
    for (const [index, id] of ids.entries()) {
      await api.site.until(`task/${id}`, ({ state }) => state === 'succeeded');
      expect((await api.call(`/api/v1/tasks/${id}`)).body['result']).toEqual(extremes[index]![1]);
    }
  }
  expect(await setAside()).toEqual([]);
});

test('a heartbeat may name as many attempts as an agent may have slots', async () => {
  const agent = await registered(api, { type: 'beating', slots: limits.slotsMax });
  const attempts = Array.from({ length: limits.slotsMax }, (_, index) => ({
    task: `t-0-${index}`,
    token: `k${index}`,
  }));
  await agent.report({ kind: 'heartbeat', attempts: JSON.stringify(attempts) });
  await agent.report({ kind: 'goodbye' });
  const status = async () => (await api.call(`/api/v1/agents/${agent.id}`)).body['status'];
  await expect.poll(status).toBe('RETIRED');
  expect(await setAside()).toEqual([]);
});
