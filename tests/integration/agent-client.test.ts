import { afterEach, describe, expect, test } from 'vitest';
import { createAgent, type Agent, type AgentOptions, type Handler } from '../../scripts/agents/client/agent.ts';
import { handleTextTask } from '../../scripts/agents/text-agent.ts';
import { startProgram } from '../support/program.ts';
import { startPrivateRedis, useRedis } from '../support/servers.ts';
import { startPeer, type Peer, type PeerReport } from './agent-peer.ts';

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

let names = 0;

async function given(handler: Handler, options: Partial<AgentOptions> = {}, url?: string): Promise<[Peer, Agent]> {
  names += 1;
  const peer = await startPeer(url ?? (await useRedis()).url, `agent-client-${process.pid}-${names}`, options.slots);
  cleanups.push(() => peer.close());
  const agent = createAgent({
    api: peer.api,
    token: 'secret',
    type: 'echo',
    slots: 2,
    stopGraceMs: 2_000,
    handler,
    ...options,
  });
  cleanups.push(() => agent.stop());
  return [peer, agent];
}

const about = (kind: string, task: string) => (report: PeerReport) => report.kind === kind && report.task === task;
const echo: Handler = ({ parameters }) => parameters;
/** Works until it is told to stop. */
const endless: Handler = (_, signal) =>
  new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('stopped'))));

describe('an agent', () => {
  test('registers, reports started and completed with the token, acknowledges, beats', async () => {
    const [peer, agent] = await given(echo, { id: 'a-0-mine', capabilities: ['x'] });
    await agent.start();
    await peer.assign('t1', { a: [1, 'ü'] });
    const done = await peer.report(about('completed', 't1'));
    expect(done).toMatchObject({ token: 'token-t1', agent: 'a-0-mine', generation: 1, result: { a: [1, 'ü'] } });
    expect(peer.reports.findIndex(about('started', 't1'))).toBeLessThan(
      peer.reports.findIndex(about('completed', 't1')),
    );
    expect(peer.registrations[0]).toMatchObject({
      ...{ authorization: 'Bearer secret', type: 'echo', slots: 2, id: 'a-0-mine', capabilities: ['x'] },
    });
    await peer.report((report) => report.kind === 'heartbeat');
    await expect.poll(() => peer.pending()).toBe(0);
  });

  test('lists what runs in its heartbeats', async () => {
    const [peer, agent] = await given(endless);
    await agent.start();
    await peer.assign('t1', {});
    const beat = await peer.report((report) => report.kind === 'heartbeat' && report.attempts?.length === 1);
    expect(beat.attempts).toEqual([{ task: 't1', token: 'token-t1' }]);
  });

  test('sends reports that come together as one batch', async () => {
    const [peer, agent] = await given(echo, { slots: 50 });
    for (let index = 0; index < 50; index++) await peer.assign(`t${index}`, index).catch(() => undefined);
    await agent.start();
    for (let index = 0; index < 50; index++) await peer.report(about('completed', `t${index}`));
    expect(peer.entries.length).toBeLessThan(20);
    expect(peer.reports.filter(({ kind }) => kind === 'completed')).toHaveLength(50);
  });

  test('fails an attempt when the handler throws, and says whether another try may help', async () => {
    const [peer, agent] = await given(({ parameters }) => {
      throw Object.assign(new Error('broken'), parameters === 'hard' ? { retryable: false, code: 'hard' } : {});
    });
    await agent.start();
    await peer.assign('t1', 'soft');
    await peer.assign('t2', 'hard');
    expect(await peer.report(about('failed', 't1'))).toMatchObject({ retryable: true, error: { message: 'broken' } });
    expect(await peer.report(about('failed', 't2'))).toMatchObject({ retryable: false, error: { code: 'hard' } });
  });

  test('refuses to send a result that the server would refuse', async () => {
    const [peer, agent] = await given(() => 'x'.repeat(256 * 1024));
    await agent.start();
    await peer.assign('t1', null);
    expect(await peer.report(about('failed', 't1'))).toMatchObject({
      retryable: false,
      error: { code: 'result_too_large' },
    });
  });

  test('stops an attempt on cancel and reports it cancelled once', async () => {
    const [peer, agent] = await given(endless);
    await agent.start();
    await peer.assign('t1', null);
    await peer.report(about('started', 't1'));
    await peer.post({ kind: 'cancel', task: 't1', token: 'token-t1', attempt: 1 });
    await peer.report(about('cancelled', 't1'));
    await peer.post({ kind: 'cancel', task: 't9', token: 'token-t9', attempt: 1 });
    await peer.report(about('cancelled', 't9'));
    expect(peer.reports.filter(({ kind, task }) => task === 't1' && kind !== 'started')).toHaveLength(1);
  });

  test('fails an attempt at its deadline', async () => {
    const [peer, agent] = await given(endless);
    await agent.start();
    await peer.assign('t1', null, { deadline: Date.now() + 150 });
    expect(await peer.report(about('failed', 't1'))).toMatchObject({ retryable: true, error: { code: 'deadline' } });
  });

  test('does an assignment that is delivered twice once', async () => {
    const [peer, agent] = await given(echo);
    await agent.start();
    await peer.assign('t1', 1);
    await peer.assign('t1', 1);
    await peer.assign('t2', 2);
    await peer.report(about('completed', 't2'));
    await peer.report(about('completed', 't1'));
    expect(peer.reports.filter(({ kind, task }) => kind === 'completed' && task === 't1')).toHaveLength(1);
  });

  test('first takes what was delivered to it before it was started', async () => {
    const [peer, agent] = await given(echo, { id: 'a-0-again' });
    const name = `agent-client-${process.pid}-${names}:inbox`;
    await peer.redis.xgroup('CREATE', name, 'agent', '0', 'MKSTREAM');
    await peer.assign('t1', 'pending');
    await peer.redis.xreadgroup('GROUP', 'agent', 'a-0-again', 'COUNT', 10, 'STREAMS', name, '>');
    await agent.start();
    expect(await peer.report(about('completed', 't1'))).toMatchObject({ result: 'pending' });
    await expect.poll(() => peer.pending()).toBe(0);
  });

  test('gives work back while it drains and beyond its slots, and takes work again on resume', async () => {
    const [peer, agent] = await given(endless, { slots: 1, stopGraceMs: 100 });
    await agent.start();
    await peer.assign('t1', null);
    await peer.assign('t2', null);
    expect(await peer.report(about('released', 't2'))).toMatchObject({ reason: 'no free slot' });
    await peer.post({ kind: 'cancel', task: 't1', token: 'token-t1', attempt: 1 });
    await peer.post({ kind: 'drain' });
    await peer.report(about('cancelled', 't1'));
    await peer.assign('t3', null);
    await peer.report(about('released', 't3'));
    await peer.post({ kind: 'resume' });
    await peer.assign('t4', null);
    await peer.report(about('started', 't4'));
  });

  test('finishes what runs when it is stopped, gives the rest back, says goodbye last', async () => {
    const [peer, agent] = await given(
      ({ parameters }, signal) =>
        parameters === 'short'
          ? new Promise((resolve) => setTimeout(() => resolve('done'), 200))
          : endless({} as never, signal, {} as never),
      { stopGraceMs: 600 },
    );
    await agent.start();
    await peer.assign('t1', 'short');
    await peer.assign('t2', 'long');
    await peer.report(about('started', 't2'));
    await agent.stop();
    await peer.report((report) => report.kind === 'goodbye');
    expect(peer.reports.find(about('completed', 't1'))).toMatchObject({ result: 'done' });
    expect(peer.reports.find(about('released', 't2'))).toBeDefined();
    expect(peer.reports.at(-1)?.kind).toBe('goodbye');
  });

  test('goes when the server says shutdown', async () => {
    const [peer, agent] = await given(echo);
    await agent.start();
    await peer.post({ kind: 'shutdown' });
    await agent.stopped;
    await peer.report((report) => report.kind === 'goodbye');
  });

  test('registers anew under its id when its heartbeat is refused, and drops its old attempts without a word', async () => {
    const [peer, agent] = await given(({ parameters }, signal, report) =>
      parameters === 'old' ? endless({} as never, signal, report) : 'new',
    );
    await agent.start();
    await peer.assign('t1', 'old');
    await peer.report(about('started', 't1'));
    await peer.post({ kind: 'refused', report: 'heartbeat', reason: 'the agent is lost' });
    await peer.report((report) => report.kind === 'heartbeat' && report.generation === 2);
    await peer.assign('t2', 'new');
    expect(await peer.report(about('completed', 't2'))).toMatchObject({ generation: 2 });
    expect(peer.registrations[1]).toMatchObject({ id: 'a-0-peer' });
    expect(peer.reports.filter(({ task }) => task === 't1').map(({ kind }) => kind)).toEqual(['started']);
  });

  test('registers anew when its inbox is gone', async () => {
    const [peer, agent] = await given(echo);
    await agent.start();
    await peer.redis.del(`agent-client-${process.pid}-${names}:inbox`);
    await expect.poll(() => agent.identity?.generation).toBe(2);
    await peer.assign('t1', 7);
    await peer.report(about('completed', 't1'));
  });

  test('waits for a server that is busy, and gives up at one that refuses', async () => {
    const [busy, agent] = await given(echo);
    busy.refuseWith = 503;
    const started = agent.start();
    await expect.poll(() => busy.registrations.length).toBeGreaterThan(1);
    busy.refuseWith = undefined;
    await started;
    const [refusing, other] = await given(echo);
    refusing.refuseWith = 401;
    await expect(other.start()).rejects.toThrow(/401.*by the test/u);
  });

  test('goes on after Redis was killed and came back, and no report is lost', async () => {
    const server = await startPrivateRedis({ appendfsync: 'always' });
    cleanups.push(() => server.dispose());
    let finish: (value: string) => void = () => undefined;
    const [peer, agent] = await given(
      ({ parameters }) => (parameters === 'slow' ? new Promise((resolve) => (finish = resolve)) : parameters),
      {},
      server.url,
    );
    await agent.start();
    await peer.assign('t1', 'slow');
    await peer.report(about('started', 't1'));
    await server.kill('SIGKILL');
    finish('while Redis was away');
    await server.restart();
    expect(await peer.report(about('completed', 't1'))).toMatchObject({ result: 'while Redis was away' });
    await peer.assign('t2', 'after');
    await peer.report(about('completed', 't2'));
  });

  test('needs no more rights than its own inbox and outbox', async () => {
    const server = await startPrivateRedis();
    cleanups.push(() => server.dispose());
    const own = server.url.replace('redis://', 'redis://agent-1:word@');
    const [peer, agent] = await given(echo, { redisUrl: own }, server.url);
    const name = `agent-client-${process.pid}-${names}`;
    await peer.redis.call(
      ...([
        'ACL',
        'SETUSER',
        'agent-1',
        'on',
        '>word',
        'resetchannels',
        '-@all',
        '+ping',
        '+hello',
        '+client|setname',
      ] as const),
      ...[`(+xreadgroup +xack +xautoclaim ~${name}:inbox)`, `(+xadd %W~${name}:outbox)`],
    );
    await agent.start();
    await peer.assign('t1', 'mine');
    await peer.report(about('completed', 't1'));
    await agent.stop();
    await peer.report((report) => report.kind === 'goodbye');
  });

  test('replaces a connection that a frozen Redis keeps silent', async () => {
    const server = await startPrivateRedis();
    cleanups.push(() => server.dispose());
    const [peer, agent] = await given(echo, {}, server.url);
    await agent.start();
    await server.kill('SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    await server.kill('SIGCONT');
    await peer.assign('t1', 'thawed');
    await peer.report(about('completed', 't1'));
  });

  test('reads texts and puts their reports together', async () => {
    const [peer, agent] = await given(handleTextTask, { type: 'text_processing' });
    await agent.start();
    await peer.assign(
      't1',
      { name: 'a.md', text: '# Title\n\nThe agent reads the text and answers.' },
      { type: 'text_processing' },
    );
    const { result } = await peer.report(about('completed', 't1'));
    expect(result).toMatchObject({ name: 'a.md', words: 8, sentences: 2, language: { code: 'en' } });
    await peer.assign('t2', { reports: [{ name: 'a.md', report: result }] }, { type: 'corpus_report' });
    expect((await peer.report(about('completed', 't2'))).result).toMatchObject({
      documents: 1,
      words: 8,
      languages: { en: 1 },
    });
    await peer.assign('t3', { txt: 1 }, { type: 'text_processing' });
    expect(await peer.report(about('failed', 't3'))).toMatchObject({
      retryable: false,
      error: { code: 'bad_parameters' },
    });
  });

  test('runs as a process of its own that leaves on SIGTERM', async () => {
    names += 1;
    const peer = await startPeer((await useRedis()).url, `agent-client-${process.pid}-${names}`);
    cleanups.push(() => peer.close());
    const program = startProgram('scripts/agents/text-agent.ts', ['--api', peer.api, '--slots', '2'], {
      ...{ ORCHESTRATOR_TOKEN: 'secret', LOG_LEVEL: 'silent' },
    });
    const exit = new Promise((resolve) => program.once('exit', resolve));
    cleanups.push(async () => {
      program.kill('SIGKILL');
      await exit;
    });
    await peer.assign('t1', { text: 'It runs.' }, { type: 'text_processing' });
    await peer.report(about('completed', 't1'));
    program.kill('SIGTERM');
    expect(await exit).toBe(0);
    await peer.report((report) => report.kind === 'goodbye');
  });
});
