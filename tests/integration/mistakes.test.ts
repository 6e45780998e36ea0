/** What an operator may do to Redis and PostgreSQL by mistake: the site says so where it must, and goes on; nothing is lost. */
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { limits } from '../../config/limits.ts';
import { runtimeGroup } from '../../runtime/protocol/keys.ts';
import { startApi, type ApiSite } from '../support/apisite.ts';
import { completeNext, registered, type HandAgent } from '../support/handwork.ts';
import { startPrivateRedis } from '../support/servers.ts';
import { laneShard } from '../support/site.ts';

let server: Awaited<ReturnType<typeof startPrivateRedis>>;
let api: ApiSite;
let agent: HandAgent;
const type = 'mistaken';
const shard = laneShard(type, 2);

beforeAll(async () => {
  server = await startPrivateRedis();
  api = await startApi({ redisUrl: server.url });
  agent = await registered(api, { type, slots: 100 });
});
afterAll(async () => {
  await api.stop();
  await server.dispose();
});

/** With a key: then PostgreSQL is asked for it as well. */
async function submit(): Promise<string> {
  const headers = { 'Idempotency-Key': randomBytes(6).toString('hex') };
  const answer = await api.call('/api/v1/tasks', { body: { type }, headers });
  expect(answer.status, JSON.stringify(answer.body)).toBe(202);
  return String(answer.body['id']);
}

/** Whatever happened: a task that is submitted now comes to its end, and so do the ones from before. */
async function goesOn(...ids: string[]): Promise<void> {
  const last = await submit();
  const open = new Set([...ids, last]);
  while (open.size > 0) open.delete(await completeNext(api, agent, 'done'));
  await api.projected();
  for (const id of [...ids, last])
    await expect.poll(async () => (await api.call(`/api/v1/tasks/${id}`)).body['status']).toBe('succeeded');
}

const commands = (): string => api.site.space.shard(shard).commands;

afterEach(async () => {
  expect((await api.call('/api/v1/set-aside')).body.items).toEqual([]);
});

test('functions flushed: they are loaded again', { timeout: 40_000 }, async () => {
  const before = await submit();
  await api.site.redis.call('FUNCTION', 'FLUSH');
  await goesOn(before);
});

test('the group of the commands destroyed: it is made anew, and what stood in the stream is decided', async () => {
  const before = await submit();
  await api.site.redis.xgroup('DESTROY', commands(), runtimeGroup);
  await goesOn(before);
});

test.each(['0', '$'])('the group set to %s: nothing is decided twice, nothing is passed over', async (id) => {
  // Entries leave the stream with the commit that decides them, so no place in it is before one that is done.
  const before = await submit();
  await api.site.redis.xgroup('SETID', commands(), runtimeGroup, id);
  await goesOn(before);
});

test('the stream of the commands deleted: it is said loudly, and the site goes on', { timeout: 40_000 }, async () => {
  const before = await submit();
  await api.site.until(`task/${before}`, ({ revision }) => revision > 0);
  await api.site.redis.del(commands());
  await goesOn(before);
  expect(api.site.log.lines.map(({ message }) => message)).toContainEqual(expect.stringMatching(/vanished from Redis/));
});

test('an inbox deleted: it is made anew, and the next work is delivered', { timeout: 40_000 }, async () => {
  const { redis, space } = api.site;
  const inbox = space.inbox(shard, agent.id);
  await redis.del(inbox);
  await expect
    .poll(() => redis.xinfo('GROUPS', inbox).catch(() => []), { timeout: 3 * limits.janitorEveryMs })
    .toHaveLength(1);
  await goesOn();
});

test('memory at its limit: submits are refused with the time to come again, and taken when there is room', async () => {
  const { redis } = api.site;
  const used = Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1]);
  await redis.config('SET', 'maxmemory', used);
  try {
    await expect
      .poll(async () => (await api.call('/api/v1/tasks', { body: { type } })).status, {
        timeout: 20_000,
        interval: 200,
      })
      .toBe(503);
    const answer = await api.call('/api/v1/tasks', { body: { type } });
    expect([answer.status, answer.headers.has('Retry-After')]).toEqual([503, true]);
    expect((await api.call('/api/v1/status')).status).toBe(200);
  } finally {
    await redis.config('SET', 'maxmemory', 0);
  }
  await expect
    .poll(async () => (await api.call('/api/v1/tasks', { body: { type } })).status, { interval: 200 })
    .toBe(202);
  await goesOn();
});

test('a table of PostgreSQL locked: tasks run meanwhile, and lists have them afterwards', async () => {
  const client = new pg.Client({ connectionString: api.database });
  await client.connect();
  try {
    await client.query('BEGIN');
    await client.query('LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE');
    const id = await submit();
    expect(await completeNext(api, agent, 'done')).toBe(id);
    await client.query('ROLLBACK');
    await api.projected();
    expect((await api.call(`/api/v1/tasks?type=${type}&limit=1`)).body.items).toMatchObject([{ id }]);
  } finally {
    await client.end();
  }
  await goesOn();
});

test('a table of PostgreSQL dropped: tasks run, lists say that they cannot be read, and an operator is told', async () => {
  const client = new pg.Client({ connectionString: api.database });
  await client.connect();
  try {
    await client.query('ALTER TABLE tasks RENAME TO tasks_dropped');
    const id = await submit();
    expect(await completeNext(api, agent, 'done')).toBe(id);
    const answer = await api.call('/api/v1/tasks');
    expect(answer.status, JSON.stringify(answer.body)).toBe(503);
    await client.query('ALTER TABLE tasks_dropped RENAME TO tasks');
    await api.projected();
    expect((await api.call(`/api/v1/tasks?type=${type}&limit=1`)).body.items).toMatchObject([{ id }]);
  } finally {
    await client.end();
  }
  await goesOn();
});
