/** The command line against a live server: tasks by filter, dead letters, queues. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { commands } from '../../scripts/cli/commands.ts';
import { runProgram } from '../../scripts/cli/program.ts';
import { startApi, type ApiSite } from '../support/apisite.ts';
import { registered } from '../support/handwork.ts';

let api: ApiSite;
beforeAll(async () => {
  api = await startApi({ maxAgents: 20 });
});
afterAll(() => api.stop());

async function cli(...argv: string[]) {
  const [out, err]: [string[], string[]] = [[], []];
  const code = await runProgram(commands, argv, {
    env: { ORCHESTRATOR_URL: api.url, ORCHESTRATOR_TOKEN: api.token('admin') },
    out: (text) => out.push(text),
    err: (text) => err.push(text),
    columns: undefined,
    signal: new AbortController().signal,
  });
  return { code, out: out.join(''), err: err.join('') };
}
const json = async (...argv: string[]): Promise<unknown> => JSON.parse((await cli(...argv, '--json')).out) as unknown;

async function parked(type: string, message: string): Promise<string> {
  const agent = await registered(api, { type });
  const { body } = await api.call('/api/v1/tasks', { body: { type, retry: { max_attempts: 1 } } });
  const id = String(body['id']);
  const { token = '' } = await agent.next('assign');
  await agent.report({ kind: 'failed', task: id, token, error: JSON.stringify({ message }) });
  await api.site.until(`task/${id}`, ({ state }) => state === 'parked');
  await api.call(`/api/v1/agents/${agent.id}`, { method: 'PUT', body: { status: 'RETIRED' } });
  await api.projected();
  return id;
}

test('task cancel by filter: counted, then done; ids and filters exclude each other', async () => {
  for (let count = 0; count < 3; count++) await cli('submit', 'bulky');
  const dry = await cli('task', 'cancel', '--type', 'bulky', '--status', 'queued', '--dry-run');
  expect(dry).toMatchObject({ code: 0, out: '3 tasks match; nothing was changed\n' });
  const done = await cli('task', 'cancel', '--type', 'bulky', '--rate', '1000', '--reason', 'wrong');
  expect(done.code).toBe(0);
  expect(done.out).toMatch(/^b-\d+-\w+ {2}finished\n3 of 3 tasks took it\n$/);
  expect(await json('task', 'list', '--type', 'bulky')).toMatchObject(
    Array(3).fill({ status: 'cancelled', reason: 'wrong' }),
  );
  expect((await cli('bulk', 'list')).out).toContain('cancel');
  const [{ id }] = (await json('bulk', 'list')) as [{ id: string }];
  expect(await json('bulk', 'get', id)).toMatchObject({ applied: 3, status: 'finished' });
  expect(await cli('bulk', 'stop', id)).toMatchObject({ code: 1 });
  expect(await cli('task', 'cancel', 't-0-x', '--type', 'bulky')).toMatchObject({ code: 2 });
  expect((await cli('task', 'cancel')).err).toContain('give ids, or a filter');
  expect(await cli('task', 'cancel', '--status', 'succeeded')).toMatchObject({ code: 2 });
});

test('task cancel by id', async () => {
  const { id } = (await json('submit', 'single')) as { id: string };
  expect(await cli('task', 'cancel', id)).toMatchObject({ code: 0, out: `${id}  cancelled\n` });
  expect(await cli('task', 'cancel', id, 't-0-nobody')).toMatchObject({ code: 1 });
});

test('dlq: lists parked tasks and set-aside entries, and redrives both', async () => {
  const [first, second] = [await parked('dead', 'timed out'), await parked('dead', 'no route')];
  await api.site.redis.xadd(api.site.space.shard(1).commands, '*', 'command', '{"no":"command"}');
  for (let tries = 0; ((await json('dlq', 'list')) as { set_aside: unknown[] }).set_aside.length === 0; tries++)
    expect(tries).toBeLessThan(2_000);
  const { out } = await cli('dlq', 'list', '--type', 'dead');
  expect(out).toContain('2 parked tasks');
  expect(out).toContain('no route');
  expect(out).toContain('1 entries that were set aside');
  const entry = /1\/\d+-\d+/.exec(out)![0];
  expect(await cli('dlq', 'redrive', entry)).toMatchObject({ code: 0, out: `${entry}  redriven\n` });
  expect(await cli('dlq', 'redrive', '--type', 'dead', '--error', 'TIMED', '--dry-run')).toMatchObject({
    out: '1 tasks match; nothing was changed\n',
  });
  expect((await cli('dlq', 'redrive', '--error', 'TIMED', '--parameters', '{"again":1}')).code).toBe(0);
  expect(await json('task', 'get', first)).toMatchObject({ status: 'queued', parameters: { again: 1 } });
  expect(await cli('dlq', 'redrive', second)).toMatchObject({ code: 0, out: `${second}  queued\n` });
});

test('queue: list, stats, pause, resume', async () => {
  await cli('submit', 'lined-up');
  expect((await cli('queue', 'list')).out).toMatch(/TYPE +STATUS[^]*lined-up +active +1 /);
  expect(await cli('queue', 'pause', 'lined-up')).toMatchObject({ code: 0, out: 'lined-up  paused\n' });
  expect(await json('queue', 'stats', 'lined-up')).toMatchObject({ paused: true, queued: 1 });
  expect(await cli('queue', 'pause', 'lined-up')).toMatchObject({ code: 1, err: expect.stringContaining('resume') });
  expect(await cli('queue', 'resume', 'lined-up')).toMatchObject({ code: 0, out: 'lined-up  active\n' });
  expect(await cli('queue', 'stats', 'nobody')).toMatchObject({ code: 1, err: expect.stringContaining('no queue') });
});
