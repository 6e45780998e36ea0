/** The whole system with nothing but redis-cli: register, submit, receive, report, look. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findRedisServer, libraryEnv, type RedisServer } from '../../runtime/embedded/redis-binary.ts';
import { redisCacheDir } from '../support/folders.ts';
import { useRedis } from '../support/servers.ts';
import { laneShard, startSite, type Site } from '../support/site.ts';

const run = promisify(execFile);

let site: Site;
let server: RedisServer;
let port: string;
let cli: string;
beforeAll(async () => {
  const { url } = await useRedis();
  port = new URL(url).port;
  server = await findRedisServer({ cacheDir: redisCacheDir });
  cli =
    [join(dirname(server.path), 'redis-cli'), '/usr/bin/redis-cli', '/usr/local/bin/redis-cli'].find(existsSync) ?? '';
  expect(cli, `no redis-cli beside ${server.path}`).not.toBe('');
  site = await startSite({ url });
});
afterAll(() => site.stop());

/** One command; the answer as redis-cli prints it into a pipe: one value a line. */
async function redis(...words: string[]): Promise<string[]> {
  const { stdout } = await run(cli, ['-p', port, ...words], { env: libraryEnv(server.libraries, process.env) });
  return stdout.replace(/\n$/, '').split('\n');
}

async function snapshot(address: string, shard: number, shows: string): Promise<string> {
  const end = performance.now() + 10_000;
  let text = '';
  while (performance.now() < end) {
    [text = ''] = await redis('HGET', site.space.shard(shard).snapshots, address);
    if (text.includes(shows)) return text;
  }
  throw new Error(`${address} never showed ${shows}; last seen: ${text}`);
}

test('R1 R4 R6: an agent and its client, both by hand', async () => {
  const shard = laneShard('echo', site.shards);
  const { commands } = site.space.shard(shard);
  const inbox = site.space.inbox(shard, `a-${shard}-cli`);
  const outbox = site.space.outbox(shard, `a-${shard}-cli`);

  await redis(
    'XADD',
    commands,
    '*',
    'command',
    `{"id":"1","to":"agent/a-${shard}-cli","input":{"type":"echo","max_agents":9}}`,
  );
  await snapshot(`agent/a-${shard}-cli`, shard, '"idle"');

  const replies = site.space.replies(shard, 'cli');
  const submit = `{"id":"2","to":"task/t-${shard}-cli","input":{"type":"echo","parameters":{"text":"hello"}}}`;
  await redis('XADD', commands, '*', 'command', submit, 'reply', 'cli', 'request', 'r1');
  const reply = (await redis('XREAD', 'BLOCK', '5000', 'STREAMS', replies, '0')).join('\n');
  expect(reply).toContain('r1');
  expect(reply).toContain('"outcome":"applied"');

  const received = await redis(
    'XREADGROUP',
    'GROUP',
    'agent',
    'me',
    'COUNT',
    '1',
    'BLOCK',
    '5000',
    'STREAMS',
    inbox,
    '>',
  );
  const entry = received[1]!;
  const message = new Map<string, string>();
  for (let index = 2; index + 1 < received.length; index += 2) message.set(received[index]!, received[index + 1]!);
  expect(Object.fromEntries(message)).toMatchObject({
    kind: 'assign',
    task: `t-${shard}-cli`,
    parameters: '{"text":"hello"}',
  });
  const about = ['task', message.get('task')!, 'token', message.get('token')!];

  await redis('XADD', outbox, '*', 'kind', 'started', ...about);
  await redis('XACK', inbox, 'agent', entry);
  await snapshot(`task/t-${shard}-cli`, shard, '"running"');

  await redis('XADD', outbox, '*', 'kind', 'completed', 'task', `t-${shard}-cli`, 'token', 'guessed', 'result', '1');
  const refused = await redis('XREADGROUP', 'GROUP', 'agent', 'me', 'BLOCK', '5000', 'STREAMS', inbox, '>');
  expect(refused.join(' ')).toMatch(/kind refused .*stale-token/);

  await redis('XADD', outbox, '*', 'kind', 'completed', ...about, 'result', '{"text":"HELLO"}');
  const done = await snapshot(`task/t-${shard}-cli`, shard, '"succeeded"');
  expect(JSON.parse(done)).toMatchObject({ status: 'done', context: { result: { text: 'HELLO' } } });

  await redis('XADD', outbox, '*', 'kind', 'goodbye');
  await snapshot(`agent/a-${shard}-cli`, shard, '"retired"');
});
