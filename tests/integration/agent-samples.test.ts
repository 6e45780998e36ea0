/** The samples in Python and shell, against the same peer as the TypeScript client. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { findPython } from '../../scripts/agents/python/find.ts';
import { redisCacheDir, rootDir } from '../support/folders.ts';
import { startPrivateRedis, useRedis } from '../support/servers.ts';
import { startPeer, type Peer, type PeerReport } from './agent-peer.ts';

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const about = (kind: string, task: string) => (report: PeerReport) => report.kind === kind && report.task === task;

interface Sample {
  peer: Peer;
  process: ChildProcess;
  exit: Promise<number | null>;
}

let names = 0;

async function started(
  command: string,
  args: readonly string[],
  env: Record<string, string>,
  url?: string,
): Promise<Sample> {
  names += 1;
  const peer = await startPeer(url ?? (await useRedis()).url, `agent-samples-${process.pid}-${names}`);
  cleanups.push(() => peer.close());
  const child = spawn(command, [...args, '--api', peer.api], {
    env: { ...process.env, ORCHESTRATOR_TOKEN: 'secret', ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve));
  cleanups.push(async () => {
    child.kill('SIGKILL');
    await exit;
  });
  await peer
    .report(({ kind }) => kind === 'heartbeat')
    .catch((error: unknown) => {
      throw new Error(`the sample did not come up, it said: ${said}`, { cause: error });
    });
  return { peer, process: child, exit };
}

const python = await findPython({ cacheDir: join(rootDir, '.cache'), allowDownload: true });

// Skipped where there is neither python3-redis nor apt-get to fetch it.
describe.skipIf(python === undefined)('the Python sample', () => {
  const start = (args: readonly string[] = [], url?: string) =>
    started(
      python!.python,
      [join(rootDir, 'scripts/agents/python/agent.py'), '--slots', '2', ...args],
      python!.env,
      url,
    );

  test('reports parts of a result as it goes, where the task asks for that', async () => {
    const { peer } = await start();
    await peer.assign('t1', { text: 'The fishing boats leave the harbour before sunrise.', stream: true });
    await peer.report(about('completed', 't1'));
    const chunks = peer.reports.filter(about('chunk', 't1'));
    expect(chunks).toMatchObject([
      { token: 'token-t1', number: '1', attempt: '1' },
      { token: 'token-t1', number: '2', attempt: '1' },
    ]);
    expect(chunks[0]?.chunk).toMatchObject({ language: { code: 'en' } });
  });

  test('reads a text and reports it under its token', async () => {
    const { peer } = await start(['--id', 'a-0-python']);
    await peer.assign('t1', {
      name: 'a.md',
      text: '# Boats\n\nThe fishing boats leave the harbour before sunrise. The fishing boats come back at noon, and the fish is sold.\n\n```\ncode\n```\n',
    });
    const done = await peer.report(about('completed', 't1'));
    expect(done).toMatchObject({ token: 'token-t1', agent: 'a-0-python', generation: 1 });
    expect(done.result).toMatchObject({ name: 'a.md', words: 21, sentences: 3, language: { code: 'en' } });
    const result = done.result as { keyphrases: { phrase: string }[]; summary: string[] };
    expect(result.keyphrases[0]?.phrase).toMatch(/^fishing boats/u);
    expect(result.summary).toContain('The fishing boats leave the harbour before sunrise.');
    expect(peer.reports.some(about('started', 't1'))).toBe(true);
    expect(peer.registrations[0]).toMatchObject({ authorization: 'Bearer secret', type: 'text_processing', slots: 2 });
    await expect.poll(() => peer.pending()).toBe(0);
  });

  test('reads any text, and refuses what is none for good', async () => {
    const { peer } = await start();
    await peer.assign('t1', { text: '' });
    await peer.report(about('completed', 't1'));
    await peer.assign('t2', { text: '\u0001 👩‍👩‍👧 漢字仮名交じり文。 ```\n[[[[ | --- <!--' });
    await peer.report(about('completed', 't2'));
    await peer.assign('t3', { text: 'The cat is on the mat and it sleeps. '.repeat(7_000) });
    await peer.report(about('completed', 't3'));
    await peer.assign('t4', { txt: 1 });
    expect(await peer.report(about('failed', 't4'))).toMatchObject({ retryable: false });
  });

  test('answers a cancellation of what it has not seen, and gives work back while it drains', async () => {
    const { peer } = await start();
    await peer.post({ kind: 'cancel', task: 't1', token: 'token-t1', attempt: 1 });
    await peer.report(about('cancelled', 't1'));
    await peer.post({ kind: 'drain' });
    await peer.assign('t2', { text: 'x' });
    await peer.report(about('released', 't2'));
  });

  test('registers anew when its heartbeat is refused', async () => {
    const { peer } = await start();
    await peer.post({ kind: 'refused', report: 'heartbeat', reason: 'lost' });
    await peer.report(({ kind, generation }) => kind === 'heartbeat' && generation === 2);
    expect(peer.registrations[1]).toMatchObject({ id: 'a-0-peer' });
  });

  test('leaves on SIGTERM with a goodbye and exit code 0, and on shutdown', async () => {
    const first = await start();
    first.process.kill('SIGTERM');
    expect(await first.exit).toBe(0);
    await first.peer.report(({ kind }) => kind === 'goodbye');
    const second = await start();
    await second.peer.post({ kind: 'shutdown' });
    expect(await second.exit).toBe(0);
  });

  test('goes on after Redis was killed and came back', async () => {
    const server = await startPrivateRedis({ appendfsync: 'always' });
    cleanups.push(() => server.dispose());
    const { peer } = await start([], server.url);
    await server.kill('SIGKILL');
    await server.restart();
    await peer.assign('t1', { text: 'Back again.' });
    await peer.report(about('completed', 't1'));
  });
});

const copy = join(redisCacheDir, 'copy');
const privateCli = join(copy, 'usr/bin/redis-cli');
const systemCli = spawnSync('redis-cli', ['--version']).status === 0 ? 'redis-cli' : undefined;
const cli = systemCli ?? (existsSync(privateCli) ? privateCli : undefined);
const tools = cli !== undefined && spawnSync('curl', ['--version']).status === 0;

// Skipped where there is no redis-cli or no curl.
describe.skipIf(!tools)('the shell sample', () => {
  const start = (url?: string) =>
    started(
      'bash',
      [join(rootDir, 'scripts/agents/shell/agent.sh'), '--id', 'a-0-shell'],
      {
        REDIS_CLI: cli!,
        LD_LIBRARY_PATH: join(copy, `usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`),
      },
      url,
    );

  test('answers each task with its parameters, long ones too', async () => {
    const { peer } = await start();
    await peer.assign('t1', {
      a: 'one two',
      b: ['"quoted"', 'line\nbreak', 'ü', '1-1', 'Error: NOGROUP Could not connect'],
    });
    await peer.assign('t2', 'x'.repeat(200_000));
    await peer.assign('t3', []);
    const first = await peer.report(about('completed', 't1'));
    expect(first).toMatchObject({
      token: 'token-t1',
      agent: 'a-0-shell',
      result: { a: 'one two', b: ['"quoted"', 'line\nbreak', 'ü', '1-1', 'Error: NOGROUP Could not connect'] },
    });
    expect((await peer.report(about('completed', 't2'))).result).toHaveLength(200_000);
    expect((await peer.report(about('completed', 't3'))).result).toEqual([]);
    expect(peer.reports.some(about('started', 't1'))).toBe(true);
    await expect.poll(() => peer.pending()).toBe(0);
  });

  test('logs in with the password of its address', async () => {
    const server = await startPrivateRedis({ password: 'secret-word' });
    cleanups.push(() => server.dispose());
    const { peer } = await start(server.url);
    await peer.assign('t1', 1);
    await peer.report(about('completed', 't1'));
  });

  test('registers anew when its heartbeat is refused, gives work back while it drains, and leaves on SIGTERM', async () => {
    const { peer, process, exit } = await start();
    await peer.post({ kind: 'refused', report: 'heartbeat', reason: 'lost' });
    await peer.report(({ kind, generation }) => kind === 'heartbeat' && generation === 2);
    await peer.post({ kind: 'drain' });
    await peer.assign('t1', 1);
    await peer.report(about('released', 't1'));
    process.kill('SIGTERM');
    expect(await exit).toBe(0);
    await peer.report(({ kind }) => kind === 'goodbye');
  });
});
