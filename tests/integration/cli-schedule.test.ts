/** `orchestrator schedule …` against a site. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { commands } from '../../scripts/cli/commands.ts';
import { runProgram } from '../../scripts/cli/program.ts';
import { startApi, type ApiSite } from '../support/apisite.ts';

let api: ApiSite;
const folder = mkdtempSync(join(tmpdir(), 'cli-schedule-'));
beforeAll(async () => {
  api = await startApi();
  writeFileSync(join(folder, 'token'), api.token('read', 'schedules:control'), { mode: 0o600 });
});
afterAll(async () => {
  await api.stop();
  rmSync(folder, { recursive: true });
});

async function run(...argv: string[]) {
  const [out, err]: [string[], string[]] = [[], []];
  const code = await runProgram(commands, [...argv, '--url', api.url, '--token-file', join(folder, 'token')], {
    env: {},
    out: (text) => out.push(text),
    err: (text) => err.push(text),
    columns: undefined,
    signal: new AbortController().signal,
  });
  return { code, out: out.join(''), err: err.join('') };
}

test('a schedule from its creation to its end', async () => {
  const made = await run(
    'schedule',
    'create',
    'nightly',
    'report',
    '--cron',
    '30 2 * * *',
    '--timezone',
    'Europe/Berlin',
    '--parameters',
    '{"a":1}',
    '--json',
  );
  expect(made).toMatchObject({ code: 0, err: '' });
  const { id } = JSON.parse(made.out) as { id: string };
  expect((await run('schedule', 'trigger', id)).out).toBe(`${id}  active\n`);
  const shown = (await run('schedule', 'get', id)).out;
  expect(shown).toMatch(/timezone +Europe\/Berlin/);
  expect(shown).toMatch(/\btrigger +running +t-/);
  expect(await run('schedule', 'trigger', id)).toMatchObject({
    code: 1,
    err: expect.stringContaining('legal now: pause'),
  });
  expect((await run('schedule', 'pause', id)).out).toBe(`${id}  paused\n`);
  await api.projected();
  expect((await run('schedule', 'list', '--status', 'paused')).out).toMatch(
    new RegExp(`${id} +paused +30 2 \\* \\* \\* +report`),
  );
  expect((await run('schedule', 'resume', id)).code).toBe(0);
  expect((await run('schedule', 'delete', id)).out).toBe(`${id}  removed\n`);
  expect((await run('schedule', 'get', id)).code).toBe(1);
});

test('a file, with options on top; what is wrong is named and is exit code 2', async () => {
  const file = join(folder, 'body.json');
  writeFileSync(file, JSON.stringify({ interval_ms: 5_000, overlap: 'allow', task: { type: 'poll', priority: 3 } }));
  const { out } = await run(
    'schedule',
    'create',
    'poll',
    '--file',
    file,
    '--overlap',
    'queue',
    '--every',
    '60',
    '--json',
  );
  expect(JSON.parse(out)).toMatchObject({ interval_ms: 60_000, overlap: 'queue', task: { type: 'poll', priority: 3 } });
  const bad = await run('schedule', 'create', 'bad', 'x', '--cron', '0 25 * * *');
  expect(bad).toMatchObject({ code: 2, err: expect.stringContaining('field 2 (hour) "25"') });
  writeFileSync(file, '[]');
  expect((await run('schedule', 'create', 'bad', 'x', '--file', file)).err).toContain('is no JSON object');
});
