/** A pair of sites as programs: who is active, what the other one answers, and how they change places. */
import { afterEach, expect, test } from 'vitest';
import { limits } from '../../config/limits.ts';
import { keyspace } from '../../runtime/protocol/keys.ts';
import { openClient } from '../../runtime/redis/client.ts';
import { preparePair, untilRole, type PairProgram, type PairProgramOptions } from '../support/pairprogram.ts';

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function startPair(options: PairProgramOptions = {}): Promise<{ one: PairProgram; two: PairProgram }> {
  const { one, two, dispose } = await preparePair(options);
  closing.push(dispose);
  await Promise.all([one.start(), two.start()]);
  await untilRole(one, 'active');
  await following(two);
  return { one, two };
}

async function eventually(what: string, holds: () => Promise<boolean>, deadlineMs = 40_000): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`${what}: not within ${deadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function following(site: PairProgram): Promise<void> {
  return eventually(`${site.name} follows`, async () => (await site.self())['link'] === 'streaming');
}

async function submit(site: PairProgram): Promise<string> {
  const { id, ...rest } = await site.running!.call('/tasks', { type: 'echo', parameters: 1 });
  expect(typeof id, JSON.stringify(rest)).toBe('string');
  return id as string;
}

const statusOf = async (site: PairProgram, id: string): Promise<unknown> =>
  (await site.running!.call(`/tasks/${id}`))['status'];
const act = (site: PairProgram, action: string, body: object = {}): Promise<Record<string, unknown>> =>
  site.running!.call(`/sites/${site.name}/${action}`, body);

test('a switchover there and back loses nothing and makes no branch', { timeout: 180_000 }, async () => {
  const { one, two } = await startPair();
  expect((await one.self()).epoch).toBe(11);
  const tasks = [await submit(one), await submit(one)];
  await eventually('the standby has them', async () => (await statusOf(two, tasks[1]!)) === 'queued');

  // The standby answers reads, says so, and takes no writes.
  const read = await fetch(`${two.running!.running.apiUrl}/api/v1/tasks/${tasks[0]}`, {
    headers: { Authorization: `Bearer ${two.running!.token}` },
  });
  expect([read.status, read.headers.get('X-Site-Role')]).toEqual([200, 'standby']);
  expect(read.headers.get('X-Site-Lag-Ms')).toMatch(/^\d+$/);
  expect(await two.running!.call('/tasks', { type: 'echo' })).toMatchObject({
    code: 'not-active',
    remedy: `send it to ${one.running!.running.apiUrl}`,
  });

  // What is asked of the wrong site, or without a word that it is meant, is refused with what to do.
  expect(await act(one, 'promote')).toMatchObject({
    code: 'not-legal-now',
    legal: expect.arrayContaining(['switchover']),
  });
  expect(await act(two, 'promote')).toMatchObject({
    code: 'not-legal-now',
    remedy: expect.stringContaining('switchover'),
  });
  expect(await act(two, 'force-promote')).toMatchObject({ code: 'invalid-request', where: '/confirm' });
  expect(await two.running!.call('/sites/primary/switchover', {})).toMatchObject({ code: 'other-site' });

  for (const [from, to, epoch] of [
    [one, two, 22],
    [two, one, 31],
  ] as const) {
    expect(await act(from, 'switchover')).toMatchObject({ action: 'switchover' });
    expect((await untilRole(to, 'active')).epoch).toBe(epoch);
    await untilRole(from, 'standby');
    for (const task of tasks) expect(await statusOf(to, task)).toBe('queued');
    tasks.push(await submit(to));
    await following(from);
    await eventually('the new standby has it', async () => (await statusOf(from, tasks.at(-1)!)) === 'queued');
  }
  // No shard of either site had a history of its own.
  for (const site of [one, two]) expect(JSON.stringify(site.running!.log.lines)).not.toContain('history of its own');
});

test('an active site that was restarted is active again under its epoch', { timeout: 120_000 }, async () => {
  const { one, two } = await startPair();
  const task = await submit(one);
  await one.stop();
  await one.start();
  expect((await untilRole(one, 'active')).epoch).toBe(11);
  expect(await statusOf(one, task)).toBe('queued');
  await two.stop();
  await one.stop();
  await one.start();
  // The other site's store still answers; when nothing does, it takes a little longer.
  expect((await untilRole(one, 'active')).epoch).toBe(11);
});

test('a site that was cut off gives way to the one that was promoted', { timeout: 180_000 }, async () => {
  const { one, two } = await startPair();
  const both = await submit(one);
  await eventually('the standby has it', async () => (await statusOf(two, both)) === 'queued');
  await act(two, 'pause');
  await eventually('it follows no more', async () => (await two.self())['link'] === 'paused');
  const lost = await submit(one);
  await one.stop();
  expect(await act(two, 'force-promote', { confirm: true })).toMatchObject({ action: 'force-promote' });
  expect((await untilRole(two, 'active')).epoch).toBe(22);
  expect(await statusOf(two, both)).toBe('queued');
  // It need not write anything for the other one to see that history went on elsewhere.
  await one.start();
  await untilRole(one, 'standby');
  // What only the lost site had accepted is taken up by the active one, and comes back.
  await eventually('it is taken up', async () => (await statusOf(two, lost)) === 'queued');
  await following(one);
  const won = await submit(two);
  for (const task of [both, lost, won])
    await eventually('both have it', async () => (await statusOf(one, task)) === 'queued');
});

test('a check finds what differs at the standby, and mends it', { timeout: 120_000 }, async () => {
  const { one, two } = await startPair();
  const task = await submit(one);
  await eventually('the standby has it', async () => (await statusOf(two, task)) === 'queued');
  const shard = Number(task.split('-')[1]);
  const redis = openClient({ url: two.redis.url, name: 'test' }, { offlineQueue: true, sendOnce: false });
  closing.push(async () => redis.disconnect());
  const { snapshots } = keyspace().shard(shard);
  const right = (await redis.hget(snapshots, `task/${task}`))!;
  await redis.hset(snapshots, `task/${task}`, right.replace('"echo"', '"other"'));
  await act(two, 'check');
  const checked = async (): Promise<{ equal?: boolean; drift?: unknown[] }> =>
    ((await two.self())['last_check'] ?? {}) as { equal?: boolean };
  await eventually('the drift is found', async () => (await checked()).equal === false);
  expect((await checked()).drift).toMatchObject([{ shard, actor: `task/${task}` }]);
  await eventually('it is mended', async () => (await redis.hget(snapshots, `task/${task}`)) === right);
  await act(two, 'check');
  await eventually('both are equal', async () => (await checked()).equal === true);
});

test(
  'a check in full compares every actor, also those that a sample would leave out',
  { timeout: 120_000 },
  async () => {
    const { one, two } = await startPair({ shards: 1 });
    const count = 3 * limits.checkActorsPerShardMax;
    let last = '';
    for (let done = 0; done < count; done += 1_000) {
      const answer = await one.running!.call('/tasks', Array<object>(1_000).fill({ type: 'echo' }));
      last = (answer['items'] as { id: string }[]).at(-1)!.id;
    }
    await eventually('the standby has them', async () => (await statusOf(two, last)) === 'queued');
    const redis = openClient({ url: two.redis.url, name: 'test' }, { offlineQueue: true, sendOnce: false });
    closing.push(async () => redis.disconnect());
    const { snapshots } = keyspace().shard(0);
    const right = (await redis.hget(snapshots, `task/${last}`))!;
    type Check = { equal?: boolean; full?: boolean; compared?: number; drift?: unknown[] };
    const checked = async (): Promise<Check> => ((await two.self())['last_check'] ?? {}) as Check;
    await redis.hset(snapshots, `task/${last}`, right.replace('"echo"', '"other"'));
    expect(await act(two, 'check', { full: true })).toMatchObject({ action: 'check' });
    await eventually('it is found', async () => (await checked()).equal === false);
    expect(await checked()).toMatchObject({ full: true, drift: [{ actor: `task/${last}` }] });
    await eventually('it is mended', async () => (await redis.hget(snapshots, `task/${last}`)) === right);
    await act(two, 'check', { full: true });
    await eventually('both are equal', async () => (await checked()).equal === true);
    // Seen from both sites, so each actor is there twice.
    expect((await checked()).compared).toBeGreaterThanOrEqual(2 * count);
    const metrics = await (await fetch(two.running!.running.metricsUrl!)).text();
    expect(metrics).toMatch(/^orchestrator_site_check_actors\{outcome="alike",site="secondary"\} [6-9]\d{3}$/mu);
    expect(metrics).toMatch(/^orchestrator_site_check_actors\{outcome="differing",site="secondary"\} 0$/mu);
    const [, seconds] = /^orchestrator_site_check_timestamp_seconds\{.*\} ([\d.]+)$/mu.exec(metrics) ?? [];
    expect(Math.abs(Date.now() / 1000 - Number(seconds))).toBeLessThan(60);
    await act(two, 'check');
    await eventually('a sample is compared', async () => (await checked()).full === false);
    expect((await checked()).compared).toBeLessThanOrEqual(2 * limits.checkActorsPerShardMax);

    expect(await act(two, 'check', { full: 1 })).toMatchObject({ code: 'invalid-request', where: '/full' });
    expect(await act(two, 'check', { all: true })).toMatchObject({ code: 'invalid-request', where: '/all' });
    expect(await act(two, 'check', [])).toMatchObject({ code: 'invalid-request' });
  },
);

test(
  'a submit with ack=peer is answered when both sites have it, and refused while that cannot be',
  { timeout: 120_000 },
  async () => {
    const { one, two } = await startPair();
    let keys = 0;
    const send = (
      headers: Record<string, string> = { 'Idempotency-Key': `k${++keys}` },
      body: unknown = { type: 'echo' },
    ) => one.running!.call('/tasks', body, { Prefer: 'ack=peer', ...headers });
    for (let turn = 0; turn < 20; turn++) {
      const { id } = await send();
      // Without waiting: the answer says that it is there.
      expect(await statusOf(two, id as string)).toBe('queued');
    }
    const { items } = (await send({ 'Idempotency-Key': 'many' }, [{ type: 'echo' }, { type: 'sing' }])) as {
      items: { id: string }[];
    };
    for (const { id } of items) expect(await statusOf(two, id)).toBe('queued');

    expect(await send({})).toMatchObject({ code: 'invalid-request', where: 'Idempotency-Key' });
    expect(await send({ 'Idempotency-Key': 'a', Prefer: 'ack=all' })).toMatchObject({
      where: 'Prefer',
      remedy: 'ack=local or ack=peer',
    });
    expect(await send({ 'Idempotency-Key': 'a', Prefer: 'ack=peer, respond-async' })).toMatchObject({
      where: 'Prefer',
    });

    await act(two, 'pause');
    await eventually('it follows no more', async () => (await two.self())['link'] === 'paused');
    const late = { 'Idempotency-Key': 'late' };
    expect(await send(late)).toMatchObject({ code: 'peer-away', detail: expect.stringContaining('stored here') });
    await act(two, 'resume');
    await following(two);
    const { id } = await send(late);
    expect(await statusOf(two, id as string)).toBe('queued');

    await two.redis.kill();
    await eventually('it is refused before anything is stored', async () =>
      String((await send())['detail']).includes('nothing was stored'),
    );
    await two.redis.restart();
  },
);
