/** The programs as a user starts them: the demo, the server, the command line. They run from `.build`, as `npm run` runs them. */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { projectRoot } from '../../scripts/root.ts';
import { freshFolder } from '../support/folders.ts';

interface Ended {
  code: number | null;
  out: string;
  err: string;
}

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

function start(
  program: string,
  args: readonly string[],
  env: Record<string, string> = {},
): { child: ChildProcess; ended: Promise<Ended>; words: () => string } {
  const child = spawn(process.execPath, [join(projectRoot, '.build', program), ...args], {
    env: { ...process.env, NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  children.push(child);
  let out = '';
  let err = '';
  child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const ended = new Promise<Ended>((resolve) => child.once('close', (code) => resolve({ code, out, err })));
  return { child, ended, words: () => err };
}

let folder: string;
beforeAll(async () => {
  folder = await freshFolder('programs');
});

/** A server with its own data on free ports, once it is ready. */
async function serve(
  data: string,
  more: readonly string[] = [],
  options: readonly string[] = [],
): Promise<{ child: ChildProcess; ended: Promise<Ended>; words: () => string; api: string; metrics: string }> {
  const settings = [
    `data.directory=${data}`,
    'primary_server.port=0',
    'metrics.port=0',
    'primary_server.host=127.0.0.1',
    'metrics.host=127.0.0.1',
    ...more,
  ];
  const running = start('scripts/main.js', [...options, ...settings.flatMap((setting) => ['--set', setting])]);
  const ready = await new Promise<{ api: string; metrics: string }>((resolve, reject) => {
    running.child.once('message', (message) => resolve(message as { api: string; metrics: string }));
    void running.ended.then(({ err }) => reject(new Error(err)));
  });
  return { ...running, ...ready };
}

async function token(data: string, ...args: string[]): Promise<string> {
  const { ended } = start('scripts/orchestrator.js', ['token', '--set', `data.directory=${data}`, ...args]);
  return (await ended).out.trim();
}

/** Processes whose parent is the given one, as the kernel lists them. */
function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
}

describe('the demo', () => {
  test('works on a folder of texts, prints one JSON document and ends with 0', { timeout: 120_000 }, async () => {
    const input = join(folder, 'texts');
    mkdirSync(join(input, 'deep'), { recursive: true });
    writeFileSync(
      join(input, 'one.md'),
      '# Rivers\n\nThe river flows to the sea. The sea is wide and the river is long.\n',
    );
    writeFileSync(
      join(input, 'deep', 'zwei.txt'),
      'Der Fluss fließt durch das Tal. Die Menschen leben am Ufer und sie fischen.\n',
    );
    writeFileSync(join(input, 'leer.txt'), '');
    writeFileSync(join(input, 'no.bin'), 'ignored');
    const { code, out } = await start('scripts/demo/main.js', ['--once', '--json', '--input', input]).ended;
    const report = JSON.parse(out) as {
      site: string;
      agents: string[];
      tasks: object;
      seconds: number;
      tasks_per_s: number;
      latency_ms: { p50: number; p99: number };
      results: { name: string; status: string; result: { words: number; language: { code: string } } }[];
      corpus: { status: string; result: { documents: number } };
    };
    expect(code).toBe(0);
    expect(report.tasks).toEqual({ submitted: 4, succeeded: 4, failed: 0 });
    expect(report.agents.length).toBeGreaterThanOrEqual(3);
    expect(report.results.map(({ name }) => name)).toEqual(['deep/zwei.txt', 'leer.txt', 'one.md']);
    expect(report.results.find(({ name }) => name === 'one.md')?.result.words).toBe(16);
    expect(report.results.find(({ name }) => name === 'deep/zwei.txt')?.result.language.code).toBe('de');
    expect(report.corpus).toMatchObject({ status: 'succeeded', result: { documents: 3 } });
    expect(report.latency_ms.p99).toBeGreaterThanOrEqual(report.latency_ms.p50);
  });

  test('says what is wrong with its input, and ends with 2', async () => {
    const { code, err } = await start('scripts/demo/main.js', ['--once', '--input', join(folder, 'nowhere')]).ended;
    expect(code).toBe(2);
    expect(err).toMatch(/--input .*nowhere is no folder/);
  });
});

describe('the server', () => {
  test(
    'starts with embedded servers and says so; keeps its tasks over a restart; a secret is made with mode 600',
    { timeout: 120_000 },
    async () => {
      const data = join(folder, 'site');
      const first = await serve(data, ['logging.format=json']);
      const admin = await token(data, '--scope', 'admin');
      expect(statSync(join(data, 'secret')).mode & 0o777).toBe(0o600);
      const call = async (api: string, path: string, init: RequestInit = {}): Promise<Record<string, unknown>> => {
        const headers = { Authorization: `Bearer ${admin}`, 'Content-Type': 'application/json' };
        return (await (await fetch(`${api}${path}`, { ...init, headers })).json()) as Record<string, unknown>;
      };
      const submitted = await call(first.api, '/api/v1/tasks', { method: 'POST', body: '{"type":"echo"}' });
      expect(submitted['status']).toBe('queued');
      const metrics = await (await fetch(first.metrics)).text();
      expect(metrics).toMatch(/orchestrator_queue_tasks\{type="echo",site="primary"\} 1/);
      expect(metrics).toMatch(/orchestrator_dependency_up\{service="postgres",site="primary"\} 1/);
      for (const path of ['', '/tasks', '/assets/main.mjs', '/lib/lit-html/lit-html.js'])
        expect([path, (await fetch(`${first.api}/visualiser${path}`)).status]).toEqual([path, 200]);
      first.child.kill('SIGTERM');
      const { code, err } = await first.ended;
      expect(code).toBe(0);
      expect(err).toMatch(/embedded Redis started/);
      expect(err).toMatch(/embedded PostgreSQL started/);

      const second = await serve(data);
      const task = await call(second.api, `/api/v1/tasks/${String(submitted['id'])}`);
      expect(task).toMatchObject({ type: 'echo', status: 'queued' });
      second.child.kill('SIGINT');
      expect((await second.ended).code).toBe(0);
    },
  );

  test(
    'goes on by itself when its Redis and its PostgreSQL are killed, and has lost nothing',
    { timeout: 120_000 },
    async () => {
      const data = join(folder, 'killed');
      const site = await serve(data, ['logging.format=json']);
      const admin = await token(data, '--scope', 'admin');
      const headers = { Authorization: `Bearer ${admin}`, 'Content-Type': 'application/json' };
      const submit = (): Promise<Response> =>
        fetch(`${site.api}/api/v1/tasks`, { method: 'POST', headers, body: '{"type":"echo"}' });
      const first = (await (await submit()).json()) as { id: string };
      const servers = childrenOf(site.child.pid!);
      expect(servers.length).toBeGreaterThanOrEqual(2);
      for (const pid of servers) process.kill(pid, 'SIGKILL');
      await expect.poll(async () => (await submit()).status, { timeout: 60_000, interval: 200 }).toBe(202);
      await expect
        .poll(
          async () => {
            const answer = await fetch(`${site.api}/api/v1/tasks?type=echo`, { headers });
            return answer.ok ? ((await answer.json()) as { items: { id: string }[] }).items.map(({ id }) => id) : [];
          },
          { timeout: 60_000, interval: 200 },
        )
        .toContain(first.id);
      site.child.kill('SIGTERM');
      const { code, err } = await site.ended;
      expect(code).toBe(0);
      expect(err).toMatch(/embedded server is back/);
    },
  );

  test(
    'SIGHUP takes over what may change, says what waits, and keeps what cannot be used out',
    { timeout: 120_000 },
    async () => {
      const file = join(folder, 'reload.toml');
      const write = (maxAgents: string, more = ''): void =>
        writeFileSync(file, `[orchestrator]\nmax_agents = ${maxAgents}\n[logging]\nformat = "json"\n${more}`);
      write('10');
      const data = join(folder, 'reload');
      const site = await serve(data, [], ['--config', file]);
      const headers = { Authorization: `Bearer ${await token(data, '--scope', 'read')}` };
      const maxAgents = async (): Promise<number> => {
        const answer = await fetch(`${site.api}/api/v1/status`, { headers });
        return ((await answer.json()) as { site: { max_agents: number } }).site.max_agents;
      };
      expect(await maxAgents()).toBe(10);
      write('11', 'level = "DEBUG"\n[auth]\nissuer = "another"\n');
      site.child.kill('SIGHUP');
      await expect.poll(maxAgents, { interval: 100 }).toBe(11);
      write('"many"');
      site.child.kill('SIGHUP');
      await expect.poll(() => site.words(), { interval: 100 }).toContain('not reloaded');
      expect(await maxAgents()).toBe(11);
      site.child.kill('SIGTERM');
      const { code, err } = await site.ended;
      expect(code).toBe(0);
      expect(err).toMatch(/"applied":\["logging.level","orchestrator.max_agents"\].*"reloaded"/);
      expect(err).toMatch(/"settings":\["auth.issuer"\]/);
      expect(err).toMatch(/orchestrator.max_agents: .*expected number/);
    },
  );

  test('a port that is taken is named with its setting', { timeout: 60_000 }, async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    const settings = [
      `data.directory=${join(folder, 'taken')}`,
      `primary_server.port=${port}`,
      'primary_server.host=127.0.0.1',
      'metrics.enabled=false',
    ];
    const { code, err } = await start(
      'scripts/main.js',
      settings.flatMap((setting) => ['--set', setting]),
    ).ended;
    other.close();
    expect(code).toBe(1);
    expect(err).toContain(`port ${port} on 127.0.0.1 is taken`);
    expect(err).toContain('primary_server.port');
  });

  test('a wrong setting is named with the nearest right one', async () => {
    const { code, err } = await start('scripts/main.js', ['--set', 'orchestrator.max_agent=3']).ended;
    expect(code).toBe(1);
    expect(err).toContain('did you mean "max_agents"?');
  });
});

describe('the command line', () => {
  test('help, and wrong words', async () => {
    expect((await start('scripts/orchestrator.js', ['--help']).ended).out).toContain('Examples:');
    const wrong = await start('scripts/orchestrator.js', ['tokken']).ended;
    expect([wrong.code, wrong.out]).toEqual([2, '']);
    expect(wrong.err).toContain('there is no command "tokken"');
    const scope = await start('scripts/orchestrator.js', ['token', '--scope', 'everything']).ended;
    expect(scope.code).toBe(2);
    expect(scope.err).toContain('tasks:submit');
  });

  test('config print shows no password', async () => {
    const args = ['config', 'print', '--set', 'redis.url=rediss://user:hidden@host:1'];
    const { code, out } = await start('scripts/orchestrator.js', args).ended;
    expect(code).toBe(0);
    expect(out).toContain('rediss://[redacted]@host:1');
    expect(out).not.toContain('hidden');
  });
});

test('nothing is left in the folder of the repository', () => {
  expect(existsSync(join(projectRoot, 'secret'))).toBe(false);
});
