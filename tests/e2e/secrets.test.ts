/** A whole run with known secrets, in which everything goes wrong that can: none of them stands in anything that came out. */
import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { projectRoot } from '../../scripts/root.ts';
import type { RunningRedis } from '../../runtime/embedded/redis.ts';
import { freshFolder } from '../support/folders.ts';
import { startPrivateRedis, type PrivateServer } from '../support/servers.ts';

const redisPassword = 'p@ss/w:rd%3Fx-of-redis';
const tokenSecret = 'a secret of tokens/with@everything:in it, longer than 32';

let folder: string;
let redis: PrivateServer<RunningRedis>;
let child: ChildProcess;
let env: Record<string, string>;
let api = '';
let metrics = '';
/** Name -> all that came out there. */
const outputs = new Map<string, string>();
const secrets = new Map<string, string>();

const note = (name: string, text: string): void => void outputs.set(name, `${outputs.get(name) ?? ''}${text}\n`);

beforeAll(async () => {
  folder = await freshFolder('secrets');
  redis = await startPrivateRedis({ password: redisPassword });
  writeFileSync(join(folder, 'redis-url'), redis.url);
  writeFileSync(join(folder, 'token-secret'), tokenSecret, { mode: 0o600 });
  env = {
    ORCHESTRATOR_REDIS__URL_FILE: join(folder, 'redis-url'),
    ORCHESTRATOR_AUTH__SECRET_FILE: join(folder, 'token-secret'),
    ORCHESTRATOR_DATA__DIRECTORY: join(folder, 'data'),
    ORCHESTRATOR_LOGGING__LEVEL: 'DEBUG',
    ORCHESTRATOR_LOGGING__DIRECTORY: join(folder, 'logs'),
    ORCHESTRATOR_PRIMARY_SERVER__PORT: '0',
    ORCHESTRATOR_PRIMARY_SERVER__HOST: '127.0.0.1',
    ORCHESTRATOR_METRICS__PORT: '0',
    ORCHESTRATOR_METRICS__HOST: '127.0.0.1',
  };
  child = start('scripts/main.js', [], 'server');
  const ready = await new Promise<{ api: string; metrics: string }>((resolve, reject) => {
    child.once('message', (message) => resolve(message as { api: string; metrics: string }));
    child.once('exit', () => reject(new Error(`it ended: ${outputs.get('server stderr')}`)));
  });
  ({ api, metrics } = ready);
}, 90_000);
afterAll(async () => {
  child?.kill('SIGKILL');
  await redis?.dispose();
});

function start(program: string, args: readonly string[], name: string): ChildProcess {
  const started = spawn(process.execPath, [join(projectRoot, '.build', program), ...args], {
    env: { ...process.env, NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  started.stdout?.on('data', (chunk: Buffer) => note(`${name} stdout`, chunk.toString()));
  started.stderr?.on('data', (chunk: Buffer) => note(`${name} stderr`, chunk.toString()));
  return started;
}

/** Runs a command to its end; resolves to what it printed. */
async function command(name: string, ...args: string[]): Promise<string> {
  const running = start('scripts/orchestrator.js', args, name);
  await new Promise((resolve) => running.once('close', resolve));
  return outputs.get(`${name} stdout`) ?? '';
}

async function ask(path: string, init: RequestInit = {}, base = api): Promise<string> {
  const answer = await fetch(`${base}${path}`, init);
  const text = `${answer.status} ${JSON.stringify([...answer.headers])} ${await answer.text()}`;
  note('answers', text);
  return text;
}

test('no secret is in any output of a whole run', { timeout: 120_000 }, async () => {
  secrets.set('password of Redis', redisPassword);
  secrets.set('password of Redis, encoded', encodeURIComponent(redisPassword));
  secrets.set('secret of tokens', tokenSecret);
  const token = (await command('token', 'token', '--scope', 'admin')).trim();
  const revoked = (await command('revoked token', 'token', '--scope', 'read')).trim();
  for (const name of ['token', 'revoked token']) outputs.delete(`${name} stdout`);
  secrets.set('token', token).set('signature of the token', token.split('.')[2]!);
  secrets.set('revoked token', revoked);
  const bearer = { Authorization: `Bearer ${token}` };
  const json = { ...bearer, 'Content-Type': 'application/json' };

  // Work, and an agent with its own access to Redis.
  await ask('/api/v1/tasks', { method: 'POST', headers: json, body: '{"type":"echo","parameters":{"x":1}}' });
  const registered = await fetch(`${api}/api/v1/agents`, {
    method: 'POST',
    headers: json,
    body: '{"type":"echo","id":"one"}',
  });
  const agent = (await registered.json()) as { redis?: { url?: string; password?: string } };
  expect(registered.status).toBe(201);
  const agentUrl = agent.redis?.url ?? '';
  const password = agent.redis?.password ?? decodeURIComponent(/:([^:@/]+)@/.exec(agentUrl)?.[1] ?? '');
  if (password !== '') secrets.set('password of the agent', password);

  // Everything that is refused, with the secrets where they do not belong.
  await ask('/api/v1/status', { headers: { Authorization: `Bearer ${token}x` } });
  await ask('/api/v1/status', { headers: { Authorization: `Bearer ${token}, Bearer ${token}` } });
  await ask(`/api/v1/status?token=${token}`);
  await ask(`/api/v1/tasks?${token}=1`, { headers: bearer });
  await ask(`/api/v1/${token}`, { headers: bearer });
  const ticket = /"ticket":"([\w-]+)"/.exec(
    await (await fetch(`${api}/api/v1/tickets`, { method: 'POST', headers: bearer })).text(),
  )![1]!;
  secrets.set('ticket', ticket);
  await ask(`/api/v1/events?ticket=${ticket}&nothing=1`);
  await ask(`/api/v1/events?ticket=${ticket}`);
  await ask('/api/v1/tasks', { method: 'POST', headers: json, body: '{"type":"a"' });
  await ask('/api/v1/agents/a-0-none', { method: 'PUT', headers: json, body: '{"status":"PAUSED"}' });
  const calledBack = spawn(process.execPath, [join(projectRoot, '.build/scripts/orchestrator.js'), 'token', 'revoke'], {
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  for (const stream of [calledBack.stdout, calledBack.stderr])
    stream.on('data', (chunk: Buffer) => note('revoke', chunk.toString()));
  calledBack.stdin.end(revoked);
  await new Promise((resolve) => calledBack.once('close', resolve));
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  expect(await ask('/api/v1/status', { headers: { Authorization: `Bearer ${revoked}` } })).toContain('revoked');

  // Redis goes away and comes back while somebody asks.
  await redis.kill();
  await ask('/readyz');
  await ask('/api/v1/tasks', { method: 'POST', headers: json, body: '{"type":"echo"}' });
  await redis.restart();
  for (let tries = 0; !(await ask('/readyz')).startsWith('200'); tries++) {
    if (tries > 400) throw new Error('it did not come back');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }

  // What shows the state of things.
  for (const path of ['/version', '/readyz', '/healthz']) await ask(path);
  for (const path of ['/metrics', '/api/v1/status', '/api/v1/openapi.json', '/api/v1/audit', '/api/v1/agents'])
    await ask(path, { headers: bearer });
  note('metrics', await (await fetch(metrics)).text());
  await command('config print', 'config', 'print');
  expect(outputs.get('config print stdout')).toContain('[redacted]@');
  expect(await command('audit', 'audit', '--url', api)).toContain('PUT /api/v1/agents/a-0-none');
  note('process list', readFileSync(`/proc/${child.pid}/cmdline`, 'utf8'));
  const generated = readFileSync(join(folder, 'data/postgres/cluster/password'), 'utf8').trim();
  secrets.set('password of PostgreSQL', generated);

  child.kill('SIGTERM');
  await new Promise((resolve) => child.once('close', resolve));
  for (const name of readdirSync(join(folder, 'logs'))) note(name, readFileSync(join(folder, 'logs', name), 'utf8'));
  expect([...outputs.keys()]).toEqual(expect.arrayContaining(['orchestrator.log', 'orchestrator.error.log']));

  // The run was one that says something.
  const log = outputs.get('orchestrator.log')!.split('\n').filter(Boolean);
  for (const line of log) expect(() => JSON.parse(line) as unknown).not.toThrow();
  const lines = log.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(lines.some(({ level }) => level === 'debug')).toBe(true);
  expect(lines.some(({ task, trace }) => task !== undefined && trace !== undefined)).toBe(true);
  expect(lines.some(({ agent: named }) => named !== undefined)).toBe(true);
  const leaks = (wanted: ReadonlyMap<string, string>): string[] =>
    [...outputs].flatMap(([output, text]) =>
      [...wanted]
        .filter(([, secret]) => text.includes(secret) || text.includes(JSON.stringify(secret).slice(1, -1)))
        .map(([secret]) => `${secret} in ${output}`),
    );
  // The search finds what is there: ids are no secret, and they stand in several of the outputs.
  expect(leaks(new Map([['id', 'a-0-none']]))).toEqual(
    expect.arrayContaining(['id in orchestrator.log', 'id in answers']),
  );
  expect(leaks(secrets)).toEqual([]);
});
