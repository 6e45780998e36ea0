/** The log: levels, files that are reopened, and no secret in any line. */
import { chmodSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import jwt from 'jsonwebtoken';
import { afterAll, describe, expect, test } from 'vitest';
import { createLog, type LogOptions, type RunningLog } from '../../runtime/telemetry/log.ts';
import { secretsOfAddress } from '../../runtime/telemetry/redaction.ts';

const folder = mkdtempSync(join(tmpdir(), 'log-'));
afterAll(() => rmSync(folder, { recursive: true }));

function memoryLog(options: Partial<LogOptions> = {}): { log: RunningLog; lines: string[] } {
  const lines: string[] = [];
  const log = createLog({
    level: 'DEBUG',
    format: 'json',
    ...options,
    destination: { write: (line) => lines.push(line) },
  });
  return { log, lines };
}

test('lines are JSON with a time, a level, fields and a message', () => {
  const { log, lines } = memoryLog();
  log.warn({ task: 't-0-x', shard: 1 }, 'it happened');
  expect(JSON.parse(lines[0]!)).toEqual({
    level: 'warn',
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as string,
    task: 't-0-x',
    shard: 1,
    msg: 'it happened',
  });
});

test.each([
  ['DEBUG', ['debug', 'info', 'warn', 'error']],
  ['INFO', ['info', 'warn', 'error']],
  ['WARNING', ['warn', 'error']],
  ['ERROR', ['error']],
] as const)('%s shows %j, also when it is set while it runs', (level, shown) => {
  for (const first of [level, 'ERROR', 'DEBUG'] as const) {
    const { log, lines } = memoryLog({ level: first });
    log.setLevel(level);
    expect(log.verbose).toBe(level === 'DEBUG');
    for (const at of ['debug', 'info', 'warn', 'error'] as const) log[at]({}, at);
    expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual(shown);
  }
});

describe('files', () => {
  const read = (directory: string, name: string): string[] =>
    readFileSync(join(directory, name), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => (JSON.parse(line) as { msg: string }).msg);

  test('one has everything and one the errors; both can be read by everybody, and are appended to', () => {
    const directory = join(folder, 'deep/er');
    for (const round of [1, 2]) {
      const { log } = memoryLog({ directory, level: 'INFO' });
      log.debug({}, `debug ${round}`);
      log.info({}, `info ${round}`);
      log.error({}, `error ${round}`);
    }
    expect(read(directory, 'orchestrator.log')).toEqual(['info 1', 'error 1', 'info 2', 'error 2']);
    expect(read(directory, 'orchestrator.error.log')).toEqual(['error 1', 'error 2']);
    for (const name of ['orchestrator.log', 'orchestrator.error.log'])
      expect(statSync(join(directory, name)).mode & 0o777).toBe(0o644);
  });

  test('after a rotation it goes on in new files', async () => {
    const directory = join(folder, 'rotated');
    const { log } = memoryLog({ directory });
    log.error({}, 'before');
    for (const name of ['orchestrator.log', 'orchestrator.error.log'])
      renameSync(join(directory, name), join(directory, `${name}.1`));
    log.error({}, 'in between');
    log.reopen();
    log.error({}, 'after');
    await new Promise((resolve) => setTimeout(resolve, 20));
    log.error({}, 'later');
    for (const name of ['orchestrator.log', 'orchestrator.error.log']) {
      expect(read(directory, `${name}.1`)).toEqual(['before', 'in between']);
      expect(read(directory, name)).toEqual(['after', 'later']);
    }
  });

  test('a folder that cannot be one is an error at the start', () => {
    writeFileSync(join(folder, 'a-file'), '');
    expect(() => memoryLog({ directory: join(folder, 'a-file') })).toThrow(/EEXIST|ENOTDIR/);
    chmodSync(join(folder, 'a-file'), 0o600);
  });
});

describe('secrets', () => {
  const token = jwt.sign({ sub: 'x' }, 'y'.repeat(40));

  test.each<[string, object, string]>([
    ['a field that is named like one', { password: 'hunter2', authorization: 'hunter2' }, 'hunter2'],
    ['one inside of a field', { request: { token: 'hunter2' } }, 'hunter2'],
    ['the password of an address', { error: 'no link to redis://user:hunter2@h:1/0' }, 'hunter2'],
    ['one with a slash', { error: 'redis://:hun/ter2@h' }, 'ter2'],
    ['one with an at', { error: 'postgres://u:a@hunter2@h/d' }, 'hunter2'],
    ['one with a question mark', { error: 'postgres://u:?hunter2@h/d' }, 'hunter2'],
    ['an address deep inside', { a: { b: { c: ['x', 'rediss://:hunter2@h'] } } }, 'hunter2'],
    ['a token', { error: `Bearer ${token} is not good` }, token.split('.')[2]!],
    ['a token in an address', { path: `/x?y=1&token=${token}` }, token.split('.')[1]!],
    ['a ticket', { path: '/api/v1/events?ticket=hunter2&x=1' }, 'hunter2'],
    ['a secret in an error with a stack', { error: new Error('redis://:hunter2@h').stack }, 'hunter2'],
  ])('%s is not shown', (_, fields, secret) => {
    const { log, lines } = memoryLog();
    log.error(fields, 'failed');
    expect(lines[0]).not.toContain(secret);
    expect(() => JSON.parse(lines[0]!) as unknown).not.toThrow();
    const inMessage = memoryLog();
    inMessage.log.error({}, `failed: ${JSON.stringify(fields)}`);
    if (!('password' in fields || 'request' in fields)) expect(inMessage.lines[0]).not.toContain(secret);
  });

  test('what is known is not shown, wherever and however it is written', () => {
    const { log, lines } = memoryLog();
    const secret = 'p@ss/w:rd %"\\ü';
    log.hide(secret, 'abc');
    for (const form of [secret, encodeURIComponent(secret), encodeURI(secret), JSON.stringify(secret)])
      log.error({ text: `before ${form} after` }, `message ${form}`);
    for (const line of lines) {
      expect(() => JSON.parse(line) as unknown).not.toThrow();
      expect(line).toContain('[redacted]');
      expect(line).not.toMatch(/w:rd|w%3Ard/);
    }
    // Too short to be hidden without taking other words apart.
    log.error({}, 'abcdef');
    expect(lines.at(-1)).toContain('abcdef');
    expect(log.redacted(`x ${secret} y`)).toBe('x [redacted] y');
  });

  test('addresses without a password, and words, stay as they are', () => {
    const { log, lines } = memoryLog();
    for (const text of ['redis://localhost:6379', 'http://[::1]:8000/api?limit=1', 'a@b.c', 'tokens of limits']) {
      log.info({ text }, 'shown');
      expect(lines.at(-1)).toContain(text);
    }
  });

  test.each<[string | undefined, string[]]>([
    ['redis://:hunter2@h', ['hunter2', 'hunter2']],
    ['postgres://u:a%40b@h/d', ['a%40b', 'a@b']],
    ['postgres://u:100%@h/d', ['100%']],
    ['redis://:a/b@c@h', ['a/b@c', 'a/b@c']],
    ['redis://h:6379', []],
    ['redis://user@h', []],
    [undefined, []],
  ])('of %s', (address, secrets) => {
    expect(secretsOfAddress(address)).toEqual(secrets);
  });
});
