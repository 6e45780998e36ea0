/** `orchestrator inspect` against a live server, as it is seen in a terminal of 80 columns. */
import { stripVTControlCharacters } from 'node:util';
import type { Socket } from 'node:net';
import { createWebSocketReceiver, type StatelyActorEvent, type StatelyInspectionEvent } from '@statelyai/inspect';
import { createInspectorServer } from '@statelyai/inspect/server';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { createMachine } from 'xstate';
import { commands } from '../../scripts/cli/commands.ts';
import { runProgram } from '../../scripts/cli/program.ts';
import { freePort } from '../support/freeport.ts';
import { startApi, type ApiSite } from '../support/apisite.ts';
import { registered } from '../support/handwork.ts';

let api: ApiSite;
beforeAll(async () => {
  api = await startApi({ maxAgents: 20 });
});
afterAll(() => api.stop());

async function inspect(...argv: string[]) {
  const [out, err]: [string[], string[]] = [[], []];
  const code = await runProgram(commands, ['inspect', ...argv], {
    env: { ORCHESTRATOR_URL: api.url, ORCHESTRATOR_TOKEN: api.token('read') },
    out: (text) => out.push(text),
    err: (text) => err.push(text),
    columns: 80,
    signal: new AbortController().signal,
  });
  return { code, out: stripVTControlCharacters(out.join('')), err: err.join(''), raw: out.join('') };
}

async function submitted(body: object): Promise<string> {
  return String((await api.call('/api/v1/tasks', { body })).body['id']);
}

test('a task that waits: state, why it waits, what it takes, its history, within 80 columns', async () => {
  const hostile = `\u001b]0;title\u0007\u001b[2J${'long '.repeat(60)}`;
  const id = await submitted({ type: 'nobody', parameters: { hostile } });
  await api.projected();
  const { code, out, raw } = await inspect(id);
  expect(code).toBe(0);
  expect(out).toMatch(new RegExp(`^task/${id}\nIt waits for an agent of type nobody`));
  expect(out).toMatch(/^state +open\.queued$/m);
  expect(out).toMatch(/^It takes .*cancel \(tasks:cancel\)/m);
  expect(out).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} +create +open\.queued +/m);
  for (const line of out.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
  // Colours are its own; what others wrote moves no cursor and sets no title.
  for (const after of raw.split('\u001b').slice(1)) expect(after).toMatch(/^\[\d+m/);
  expect(raw).not.toContain('\u0007');
});

test('an agent by its id, another definition by its address', async () => {
  const { id } = await registered(api, { type: 'shown' });
  expect((await inspect(id)).out).toMatch(new RegExp(`^agent/${id}\n[\\s\\S]*state +`));
  const { out } = await inspect(`agent/${id}`, '--json');
  expect(JSON.parse(out)).toMatchObject({ address: `agent/${id}`, actor: { context: { type: 'shown' } } });
});

test('of a long history the last records are shown, and how the others are had', async () => {
  const id = await submitted({ type: 'nobody' });
  for (let times = 0; times < 20; times++)
    for (const verb of ['pause', 'resume']) await api.call(`/api/v1/tasks/${id}/${verb}`, { method: 'POST' });
  await api.projected();
  const rows = (text: string): number => text.split('\n').filter((line) => /^\d{4}-/.test(line)).length;
  const short = (await inspect(id)).out;
  expect([rows(short), short.endsWith('11 earlier ones: --last 41\n')]).toEqual([30, true]);
  const whole = (await inspect(id, '--last', '41')).out;
  expect([rows(whole), whole.includes('earlier')]).toEqual([41, false]);
  expect(await inspect(id, '--last', '0')).toMatchObject({ code: 2 });
});

test('what is not there, and what is no id', async () => {
  expect(await inspect('t-0-nobody')).toMatchObject({ code: 1, err: 'orchestrator: there is no task/t-0-nobody\n' });
  expect(await inspect('no id')).toMatchObject({ code: 2, err: expect.stringContaining('is no id') });
});

describe('--stately', () => {
  async function inspectorServer() {
    const port = await freePort();
    const server = createInspectorServer({ port, autoOpen: false });
    const url = `ws://127.0.0.1:${port}`;
    const heard: StatelyInspectionEvent[] = [];
    // Its sockets say nothing when they are refused: the server listens a moment later.
    await expect
      .poll(() =>
        fetch(`http://127.0.0.1:${port}`).then(
          ({ ok }) => ok,
          () => false,
        ),
      )
      .toBe(true);
    createWebSocketReceiver({ server: url }).subscribe((event) => void heard.push(event));
    await new Promise((resolve) => setTimeout(resolve, 300));
    return { url, heard, stop: () => server.stop() };
  }

  test('an inspector of Stately is told the past, the present, and what comes until it is over', async () => {
    const { url, heard, stop } = await inspectorServer();
    const id = await submitted({ type: 'nobody' });
    for (const verb of ['pause', 'resume']) await api.call(`/api/v1/tasks/${id}/${verb}`, { method: 'POST' });
    await api.projected();
    const running = inspect(id, '--stately', url);
    await expect.poll(() => heard.length).toBe(7);
    await api.call(`/api/v1/tasks/${id}`, { method: 'DELETE' });
    expect(await running).toMatchObject({ code: 0, err: '' });
    await expect.poll(() => heard.length).toBe(9);
    stop();
    const sessionId = `task/${id}`;
    expect(heard[0]).toMatchObject({ type: '@xstate.actor', sessionId, name: sessionId });
    const { definition } = heard[0] as StatelyActorEvent;
    const machine = createMachine(JSON.parse(definition!) as Parameters<typeof createMachine>[0]);
    expect(Object.keys(machine.states)).toEqual(expect.arrayContaining(['open', 'parked', 'cancelled']));
    expect(
      heard.map((event) => (event.type === '@xstate.actor' ? 'actor' : `${event.type} ${event.event.type}`)),
    ).toEqual([
      'actor',
      ...['create', 'pause', 'resume', 'cancel'].flatMap((name) => [
        `@xstate.event ${name}`,
        `@xstate.snapshot ${name}`,
      ]),
    ]);
    expect(heard[6]).toMatchObject({
      snapshot: { status: 'active', value: { open: 'queued' }, context: { type: 'nobody' } },
    });
    expect(heard[8]).toMatchObject({ snapshot: { status: 'done', value: 'cancelled' } });
  });

  test('an inspector that is not there, goes away, or is no address', async () => {
    const id = await submitted({ type: 'nobody' });
    await api.projected();
    expect(await inspect(id, '--stately', 'http://localhost')).toMatchObject({ code: 2 });
    expect((await inspect(id, '--stately', `ws://127.0.0.1:${await freePort()}`)).err).toContain('cannot be reached');
    const sockets: Socket[] = [];
    const port = await freePort();
    const server = new WebSocketServer({ port, host: '127.0.0.1' });
    server.on('connection', (_, { socket }) => void sockets.push(socket));
    const running = inspect(id, '--stately', `ws://127.0.0.1:${port}`);
    await expect.poll(() => sockets.length).toBe(1);
    for (const socket of sockets) socket.destroy();
    expect(await running).toMatchObject({ code: 1, err: `orchestrator: ws://127.0.0.1:${port} went away\n` });
    server.close();
  });
});
