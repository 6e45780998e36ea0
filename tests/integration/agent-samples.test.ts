/** The samples in Python and shell, against the same peer as the TypeScript client. */
import { afterEach, describe, expect, test } from 'vitest';
import { startPrivateRedis } from '../support/servers.ts';
import { about, launch, pythonAgent, shellAgent, started, type Program, type Sample } from './agent-sample.ts';

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(program: Program, args: readonly string[] = [], url?: string): Promise<Sample> {
  const sample = await launch({ ...program, args: [...program.args, ...args] }, url);
  cleanups.push(() => sample.stop());
  await started(sample);
  return sample;
}

// Skipped where there is neither python3-redis nor apt-get to fetch it.
describe.skipIf(pythonAgent === undefined)('the Python sample', () => {
  const startPython = (args: readonly string[] = [], url?: string) => start(pythonAgent!, args, url);

  test('reports parts of a result as it goes, where the task asks for that', async () => {
    const { peer } = await startPython();
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
    const { peer } = await startPython(['--id', 'a-0-python']);
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
    const { peer } = await startPython();
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
    const { peer } = await startPython();
    await peer.post({ kind: 'cancel', task: 't1', token: 'token-t1', attempt: 1 });
    await peer.report(about('cancelled', 't1'));
    await peer.post({ kind: 'drain' });
    await peer.assign('t2', { text: 'x' });
    await peer.report(about('released', 't2'));
  });

  test('registers anew when its heartbeat is refused', async () => {
    const { peer } = await startPython();
    await peer.post({ kind: 'refused', report: 'heartbeat', reason: 'lost' });
    await peer.report(({ kind, generation }) => kind === 'heartbeat' && generation === 2);
    expect(peer.registrations[1]).toMatchObject({ id: 'a-0-peer' });
  });

  test('leaves on SIGTERM with a goodbye and exit code 0, and on shutdown', async () => {
    const first = await startPython();
    first.process.kill('SIGTERM');
    expect(await first.exit).toBe(0);
    await first.peer.report(({ kind }) => kind === 'goodbye');
    const second = await startPython();
    await second.peer.post({ kind: 'shutdown' });
    expect(await second.exit).toBe(0);
  });

  test('goes on after Redis was killed and came back', async () => {
    const server = await startPrivateRedis({ appendfsync: 'always' });
    cleanups.push(() => server.dispose());
    const { peer } = await startPython([], server.url);
    await server.kill('SIGKILL');
    await server.restart();
    await peer.assign('t1', { text: 'Back again.' });
    await peer.report(about('completed', 't1'));
  });
});

// Skipped where there is no redis-cli or no curl.
describe.skipIf(shellAgent === undefined)('the shell sample', () => {
  const startShell = (url?: string) => start(shellAgent!, [], url);

  test('answers each task with its parameters, long ones too', async () => {
    const { peer } = await startShell();
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
    const { peer } = await startShell(server.url);
    await peer.assign('t1', 1);
    await peer.report(about('completed', 't1'));
  });

  test('registers anew when its heartbeat is refused, gives work back while it drains, and leaves on SIGTERM', async () => {
    const { peer, process, exit } = await startShell();
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
