/** What an agent may do in Redis, from when and until when; and what becomes of one that abuses its outbox. */
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApi, type ApiSite } from '../support/apisite.ts';
import { startPrivateRedis, type PrivateServer } from '../support/servers.ts';
import type { RunningRedis } from '../../runtime/embedded/redis.ts';

let server: PrivateServer<RunningRedis>;
let api: ApiSite;
const connections: Redis[] = [];
beforeAll(async () => {
  server = await startPrivateRedis({ password: 'the password of the site' });
  api = await startApi({ redisUrl: server.url, manageAcl: true, maxAgents: 50, shards: 2 });
});
afterAll(async () => {
  for (const connection of connections) connection.disconnect();
  await api.stop();
  await server.dispose();
});

interface Account {
  id: string;
  shard: number;
  generation: number;
  url: string;
  inbox: string;
  outbox: string;
}

async function register(body: { type: string; id: string }): Promise<Account> {
  const answer = await api.call('/api/v1/agents', { body });
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  const { id, shard, generation, redis } = answer.body as unknown as Omit<Account, 'url'> & { redis: Account };
  return { id, shard, generation, url: redis.url, inbox: redis.inbox, outbox: redis.outbox };
}

/** Connects once and never again by itself, as an agent that is cut off would have to notice. */
async function connected(url: string): Promise<Redis> {
  const redis = new Redis(url, {
    lazyConnect: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    enableReadyCheck: false,
    disableClientInfo: true,
  });
  redis.on('error', () => undefined);
  connections.push(redis);
  await redis.connect();
  return redis;
}
const errorOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    (answer) => `answered ${JSON.stringify(answer)}`,
    (error: unknown) => String(error),
  );
const put = (id: string, status: string) => api.call(`/api/v1/agents/${id}`, { method: 'PUT', body: { status } });
const statusOf = async (id: string) => (await api.call(`/api/v1/agents/${id}`)).body['status'];

describe('an agent has an account of its own', () => {
  test('with which it does its work, and nothing else', async () => {
    const mine = await register({ type: 'guarded', id: 'mine' });
    const other = await register({ type: 'guarded', id: 'other' });
    expect(new URL(mine.url).password).not.toBe('');
    expect(mine.url).not.toContain('the%20password%20of%20the%20site');
    const redis = await connected(mine.url);
    await api.call('/api/v1/tasks', { body: { type: 'guarded', parameters: { n: 1 } } });
    await redis.xadd(mine.outbox, '*', 'kind', 'heartbeat', 'agent', mine.id);
    const read = (group: string, stream: string) =>
      redis.xreadgroup('GROUP', group, 'me', 'COUNT', 1, 'BLOCK', 500, 'STREAMS', stream, '>');
    expect(Array.isArray((await read('agent', mine.inbox)) ?? [])).toBe(true);
    await redis.xautoclaim(mine.inbox, 'agent', 'me', 60_000, '0-0');
    expect(await redis.ping()).toBe('PONG');
    const { space } = api.site;
    const keys = space.shard(mine.shard);
    for (const [what, call] of Object.entries({
      'read the inbox of another': read('agent', other.inbox),
      'write to the outbox of another': redis.xadd(other.outbox, '*', 'kind', 'goodbye'),
      'write to its own inbox': redis.xadd(mine.inbox, '*', 'kind', 'shutdown'),
      'read its own outbox': read('runtime', mine.outbox),
      'delete its outbox': redis.del(mine.outbox),
      'trim its outbox': redis.xtrim(mine.outbox, 'MAXLEN', 0),
      'take entries out of its inbox': redis.xdel(mine.inbox, '1-1'),
      'write commands': redis.xadd(keys.commands, '*', 'command', '{}'),
      'read snapshots': redis.hgetall(keys.snapshots),
      'see the keys': redis.keys('*'),
      'see the settings': redis.config('GET', '*'),
      'see the others': redis.client('LIST'),
      'see its rights': redis.call('ACL', 'LIST'),
      'run functions': redis.call('FUNCTION', 'LIST'),
      'run scripts': redis.call('EVAL', 'return 1', '0'),
      'listen in': redis.call('SUBSCRIBE', 'x'),
      'look at everything': redis.call('MONITOR'),
      'delete everything': redis.call('FLUSHALL'),
    }))
      expect([what, await errorOf(call)]).toEqual([what, expect.stringContaining('NOPERM')]);
  });

  test('a new registration has another password, and whoever came with the old one is cut off', async () => {
    const first = await register({ type: 'rotated', id: 'rotated' });
    const old = await connected(first.url);
    const closed = new Promise((resolve) => old.once('close', resolve));
    const second = await register({ type: 'rotated', id: 'rotated' });
    expect(second.generation).toBe(2);
    expect(second.url).not.toBe(first.url);
    await closed;
    expect(await errorOf(connected(first.url))).toMatch(/WRONGPASS|closed/);
    expect(await (await connected(second.url)).ping()).toBe('PONG');
  });

  test('one that goes has none, and can still read that it is to go', async () => {
    const gone = await register({ type: 'gone', id: 'gone' });
    const redis = await connected(gone.url);
    expect((await put(gone.id, 'RETIRED')).status).toBe(200);
    const read = (await redis.xreadgroup('GROUP', 'agent', 'me', 'BLOCK', 3_000, 'STREAMS', gone.inbox, '>')) as [
      string,
      [string, string[]][],
    ][];
    expect(JSON.stringify(read)).toContain('shutdown');
    const closed = new Promise((resolve) => redis.once('close', resolve));
    await closed;
    await expect.poll(() => api.site.redis.call('ACL', 'GETUSER', new URL(gone.url).username)).toBe(null);
    expect(await errorOf(connected(gone.url))).toMatch(/WRONGPASS|closed/);
  }, 30_000);

  test('a Redis that has forgotten its users gets them again, with the same passwords', async () => {
    const agent = await register({ type: 'kept', id: 'kept' });
    await server.kill('SIGKILL');
    await server.restart();
    await expect.poll(() => errorOf(connected(agent.url))).toContain('answered');
  }, 40_000);
});

describe('an outbox that cannot be trusted puts its agent into quarantine', () => {
  const abuses: [reason: string, abuse: (outbox: string) => Promise<unknown>][] = [
    ['entry-from-the-future', (outbox) => api.site.redis.xadd(outbox, '18446744073709551615-5', 'kind', 'heartbeat')],
    [
      'outbox-deleted',
      async (outbox) => {
        // So that it was seen with entries before.
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        await api.site.redis.del(outbox);
      },
    ],
    [
      'bad-reports',
      async (outbox) => {
        const pipeline = api.site.redis.pipeline();
        for (let count = 0; count < 1_200; count++) pipeline.xadd(outbox, '*', 'kind', 'nonsense');
        await pipeline.exec();
      },
    ],
  ];
  test.each(abuses)(
    '%s',
    async (reason, abuse) => {
      const type = `abuse-${reason}`;
      const honest = await register({ type, id: `honest-${reason}` });
      const hostile = await register({ type, id: `hostile-${reason}` });
      const redis = await connected(hostile.url);
      const closed = new Promise((resolve) => redis.once('close', resolve));
      await redis.xadd(hostile.outbox, '*', 'kind', 'heartbeat');
      await abuse(hostile.outbox);
      await expect.poll(() => statusOf(hostile.id)).toBe('QUARANTINED');
      expect((await api.call(`/api/v1/agents/${hostile.id}`)).body['reason']).toBe(reason);
      await closed;
      await expect.poll(() => api.site.redis.exists(hostile.outbox, hostile.inbox)).toBe(0);
      // The other one goes on, also in the same shard.
      const good = await connected(honest.url);
      await good.xadd(honest.outbox, '*', 'kind', 'heartbeat');
      const seen = Number(new Date(String((await api.call(`/api/v1/agents/${honest.id}`)).body['seen_at'])));
      await expect
        .poll(async () => {
          await good.xadd(honest.outbox, '*', 'kind', 'heartbeat');
          return Number(new Date(String((await api.call(`/api/v1/agents/${honest.id}`)).body['seen_at'])));
        })
        .toBeGreaterThan(seen);
      const refused = await api.call('/api/v1/agents', { body: { type, id: `hostile-${reason}` } });
      expect([refused.status, refused.body.code, refused.body['legal']]).toEqual([409, 'not-legal-now', ['resume']]);
      // An operator lifts it; then it may register again, with a new account and empty streams.
      expect((await put(hostile.id, 'IDLE')).body['status']).toBe('RETIRED');
      const again = await register({ type, id: `hostile-${reason}` });
      expect(await statusOf(hostile.id)).toBe('IDLE');
      const back = await connected(again.url);
      await back.xadd(again.outbox, '*', 'kind', 'heartbeat');
      await expect.poll(() => api.site.redis.xlen(again.outbox)).toBe(0);
    },
    60_000,
  );
});
