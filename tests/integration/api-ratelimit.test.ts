/** Budgets of requests: counted by all processes together, announced, and no harm to those who keep within theirs. */
import type { Request } from 'express';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addressOf, type RateLimits } from '../../api/ratelimit.ts';
import { createSystem } from '../../runtime/host/system.ts';
import { keyspace } from '../../runtime/protocol/keys.ts';
import { RedisRateLimiter } from '../../runtime/redis/ratelimiter.ts';
import { startApi, type ApiSite } from '../support/apisite.ts';
import { startPrivateRedis, useRedis } from '../support/servers.ts';
import { MemoryLog } from '../support/site.ts';

const status = '/api/v1/status';
let limits: RateLimits;
let api: ApiSite;
beforeAll(async () => {
  limits = { subjectPerMinute: 0, addressPerMinute: 0, refusedTokensPerMinute: 0 };
  api = await startApi({ rateLimits: limits });
});
afterAll(() => api.stop());

/** Other numbers are other budgets, so each test begins with whole ones. */
function allow(next: Partial<RateLimits>): void {
  Object.assign(limits, { subjectPerMinute: 0, addressPerMinute: 0, refusedTokensPerMinute: 0 }, next);
}

const statuses = async (count: number, call: () => Promise<{ status: number }>): Promise<number[]> => {
  const seen: number[] = [];
  for (let times = 0; times < count; times++) seen.push((await call()).status);
  return seen;
};

describe('a subject', () => {
  test('is told what is left, and refused beyond it; others are served', async () => {
    allow({ subjectPerMinute: 5 });
    const token = api.tokenOf('acme', 'read');
    for (const left of [4, 3, 2, 1, 0]) {
      const { status: code, headers } = await api.call(status, { token });
      expect([code, headers.get('RateLimit-Policy')]).toEqual([200, '"subject";q=5;w=60']);
      expect(headers.get('RateLimit')).toMatch(new RegExp(`^"subject";r=${left};t=\\d+$`));
    }
    const refused = await api.call(status, { token });
    expect([refused.status, refused.body.code]).toEqual([429, 'rate-limited']);
    expect(refused.headers.get('Content-Type')).toContain('application/problem+json');
    const wait = Number(refused.headers.get('Retry-After'));
    expect(wait).toBeGreaterThanOrEqual(1);
    expect(wait).toBeLessThanOrEqual(60);
    expect(refused.headers.get('RateLimit')).toBe(`"subject";r=0;t=${wait}`);
    expect((await api.call(status, { token: api.tokenOf('other', 'read') })).status).toBe(200);
    expect((await api.call(status, { token: api.token('read') })).status).toBe(200);
  });

  test('another token of it shares the budget, and nothing of a refused request is done', async () => {
    allow({ subjectPerMinute: 3 });
    await statuses(3, () => api.call(status, { token: api.tokenOf('sharing', 'read') }));
    const before = await api.context.journals.last(0);
    const submit = { body: { type: 'a' }, token: api.tokenOf('sharing', 'tasks:submit') };
    expect((await api.call('/api/v1/tasks', submit)).status).toBe(429);
    expect(await api.context.journals.last(0)).toBe(before);
  });

  test('probes are not counted', async () => {
    allow({ subjectPerMinute: 2, addressPerMinute: 2 });
    expect(await statuses(5, () => api.call('/healthz', { token: null }))).toEqual(Array(5).fill(200));
  });
});

test('an address is refused whoever asks from it, and 0 is without limit', async () => {
  allow({ addressPerMinute: 4 });
  const codes = await statuses(4, () => api.call(status, { token: api.token('read') }));
  expect(codes).toEqual(Array(4).fill(200));
  const { status: code, body, headers } = await api.call(status, { token: api.tokenOf('x', 'read') });
  expect([code, body['detail']]).toEqual([429, 'more than 4 requests from this address in a minute']);
  expect(headers.get('RateLimit-Policy')).toBe('"address";q=4;w=60');
  allow({});
  expect((await api.call(status)).status).toBe(200);
});

test('a guesser is cut off, and valid tokens from the same address are not', async () => {
  allow({ refusedTokensPerMinute: 3 });
  const guess = (): Promise<{ status: number }> => api.call(status, { token: 'a.b.c' });
  expect(await statuses(5, guess)).toEqual([401, 401, 401, 429, 429]);
  expect(await statuses(5, () => api.call(status))).toEqual(Array(5).fill(200));
  expect((await api.call(status, { token: null })).status).toBe(429);
});

describe('processes', () => {
  const settings = (url: string, prefix: string) => ({
    redis: { url, name: 'budget' },
    space: keyspace(prefix),
    system: createSystem(),
    log: new MemoryLog(),
  });

  test('count together', async () => {
    const { url } = await useRedis();
    const both = [1, 2].map(() => new RedisRateLimiter(settings(url, 'together:')));
    await Promise.all(both.map((limiter) => limiter.ready()));
    const takings = [];
    for (let times = 0; times < 5; times++)
      for (const limiter of both) takings.push((await limiter.take('subject', 'someone', 6)).allowed);
    expect(takings.filter((allowed) => allowed)).toHaveLength(6);
    for (const limiter of both) limiter.close();
  });

  test('count for themselves while Redis is away, and together again when it is back', async () => {
    const redis = await startPrivateRedis();
    const limiter = new RedisRateLimiter(settings(redis.url, 'away:'));
    await limiter.ready();
    await redis.stop();
    const takings = [];
    for (let times = 0; times < 4; times++) takings.push((await limiter.take('subject', 'someone', 3)).allowed);
    expect(takings).toEqual([true, true, true, false]);
    await redis.restart();
    for (let tries = 0; !(await limiter.take('subject', 'someone', 3)).allowed; tries++) {
      if (tries > 200) throw new Error('it did not come back to the shared counter');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    limiter.close();
    await redis.dispose();
  });
});

test.each([
  ['10.0.0.1', '10.0.0.1'],
  ['::ffff:10.0.0.1', '10.0.0.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:db8:1:2::9', '2001:db8:1:2'],
  ['2001:db8::1', '2001:db8:0:0'],
  ['::1', '0:0:0:0'],
  ['fe80::1%eth0', 'fe80:0:0:0'],
  [undefined, ''],
])('the address %s counts as %s', (remoteAddress, counted) => {
  expect(addressOf({ socket: { remoteAddress } } as Request)).toBe(counted);
});
