import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findRedisServer, startRedis } from '../../runtime/embedded/redis.ts';
import { taskStatus } from '../../actors/task/status.ts';
import { laneShard, startSite, type Site } from '../support/site.ts';

let site: Site;
let stop: () => Promise<void>;
beforeAll(async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'thin-'));
  const redis = await startRedis({
    server: await findRedisServer({ cacheDir: join(process.cwd(), '.cache/redis') }),
    dataDir,
    password: false,
  });
  site = await startSite({ url: redis.url });
  stop = async () => {
    await site.stop();
    await redis.stop();
    rmSync(dataDir, { recursive: true });
  };
});
afterAll(() => stop());

test('submit, agent, done', async () => {
  const shard = laneShard('echo', site.shards);
  const agent = `a-${shard}-one`;
  const task = `t-${shard}-first`;
  await site.send({ id: 'c1', to: `agent/${agent}`, input: { type: 'echo', slots: 1, max_agents: 10 } });
  await site.until(`agent/${agent}`, (view) => JSON.stringify(view.state).includes('idle'));
  await site.send({ id: 'c2', to: `task/${task}`, input: { type: 'echo', parameters: { a: 1 } } });
  const answer = (await site.redis.xreadgroup(
    'GROUP',
    'agent',
    'c',
    'COUNT',
    1,
    'BLOCK',
    2000,
    'STREAMS',
    site.space.inbox(shard, agent),
    '>',
  )) as [string, [string, string[]][]][];
  const fields = answer[0]![1][0]![1];
  const message = Object.fromEntries(fields.map((v, i) => [v, fields[i + 1]]).filter((_, i) => i % 2 === 0));
  expect(message).toMatchObject({ kind: 'assign', task, parameters: '{"a":1}', epoch: '11' });
  const t = performance.now();
  await site.redis.xadd(
    site.space.outbox(shard, agent),
    '*',
    'kind',
    'completed',
    'agent',
    agent,
    'task',
    task,
    'token',
    message['token']!,
    'result',
    '{"ok":1}',
  );
  const done = await site.until(`task/${task}`, (view) => taskStatus(view.state) === 'succeeded');
  console.log('ms', performance.now() - t);
  expect(done.context).toMatchObject({ result: { ok: 1 } });
  const idle = await site.view(`agent/${agent}`);
  expect(idle?.context).toMatchObject({ holding: {} });
  expect(site.log.lines).toEqual([]);
});
