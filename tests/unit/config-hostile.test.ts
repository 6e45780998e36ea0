/** Configuration from careless hands: nothing is guessed, nothing secret is shown. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'smol-toml';
import { afterAll, describe, expect, test } from 'vitest';
import { ConfigError, loadConfig, printConfig, type ConfigSources } from '../../config/load.ts';
import { nearest } from '../../config/nearest.ts';
import { configSchema, secretKeys, type Config } from '../../config/schema.ts';

const folder = mkdtempSync(join(tmpdir(), 'config-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = (text: string, name: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};
const load = (sources: Partial<ConfigSources>): Config =>
  loadConfig({ defaultFile: join(folder, 'absent.toml'), env: {}, set: [], ...sources });
function problems(sources: Partial<ConfigSources>): string {
  try {
    load(sources);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error('it was taken');
}

describe('names of every object', () => {
  test.each<[string, Partial<ConfigSources>, string]>([
    ['a section', { set: ['__proto__.polluted=1'] }, 'no section "__proto__"'],
    ['another one', { set: ['constructor.name=1'] }, 'no section "constructor"'],
    ['a key', { set: ['redis.constructor=1'] }, 'no key "constructor"'],
    ['a key of the environment', { env: { ORCHESTRATOR_REDIS__TOSTRING: '1' } }, 'no key "tostring"'],
    ['a key of the file', { file: file('[redis]\n"__proto__" = 1', 'a.toml') }, 'no key "__proto__"'],
    ['a section of the file', { file: file('["__proto__"]\npolluted = 1', 'b.toml') }, '[__proto__] is not known'],
  ])('%s', (_, sources, message) => {
    expect(problems(sources)).toContain(message);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });
});

describe('the environment', () => {
  test('a file gives a number where a number is wanted', () => {
    const env = { ORCHESTRATOR_PRIMARY_SERVER__PORT_FILE: file('81\n', 'port') };
    expect(load({ env }).primary_server.port).toBe(81);
  });

  test('a file that is not there is named with its variable', () => {
    expect(problems({ env: { ORCHESTRATOR_REDIS__URL_FILE: '/nowhere' } })).toContain(
      'environment ORCHESTRATOR_REDIS__URL_FILE: /nowhere cannot be read',
    );
  });

  test.each([0, 1])('a value and a file for one setting are an error, in either order', (first) => {
    const pair: [string, string][] = [
      ['ORCHESTRATOR_REDIS__URL', 'redis://a'],
      ['ORCHESTRATOR_REDIS__URL_FILE', file('redis://b', 'url')],
    ];
    const env = Object.fromEntries(first === 0 ? pair : pair.reverse());
    expect(problems({ env })).toMatch(/ORCHESTRATOR_REDIS__URL(_FILE)? is set as well; set one of them/);
  });

  test('credentials of systemd come before variables and after flags', () => {
    file('redis://:word@credential\n', 'redis.url');
    const env = { CREDENTIALS_DIRECTORY: folder, ORCHESTRATOR_REDIS__URL: 'redis://variable' };
    expect(load({ env }).redis.url).toBe('redis://:word@credential');
    expect(load({ env, set: ['redis.url=redis://flag'] }).redis.url).toBe('redis://flag');
    expect(load({ env }).postgres.url).toBeUndefined();
  });
});

test('an item of a list is named with the place that the list came from', () => {
  expect(problems({ set: ['orchestrator.roles=api,boss'] })).toContain(
    '--set orchestrator.roles: orchestrator.roles: ',
  );
});

test('a value may contain an equals sign or a line end', () => {
  expect(load({ set: ['redis.url=redis://h/?a=b'] }).redis.url).toBe('redis://h/?a=b');
  expect(load({ set: ['data.directory=a\nb'] }).data.directory).toBe('a\nb');
});

test('no message shows a secret, wherever it was put by mistake', () => {
  for (const sources of [
    { set: ['redis.urll=redis://:hunter2@h'] },
    { set: ['redisurl=redis://:hunter2@h'] },
    { set: ['REDIS.URL=redis://:hunter2@h'] },
    { env: { ORCHESTRATOR_REDIS__URLL: 'redis://:hunter2@h' } },
    { env: { ORCHESTRATOR_REDIS: 'redis://:hunter2@h' } },
    { set: [`redis.url=${'redis://:hunter2@h'.padEnd(3_000, 'x')}`] },
    { file: file('[redis]\nurl = ["redis://:hunter2@h"]', 'c.toml') },
    { file: file('[redis]\nurl = "redis://:hunter2@h', 'd.toml') },
  ])
    expect(problems(sources)).not.toContain('hunter2');
});

describe('config print', () => {
  test('is a file that loads to the same configuration', () => {
    const config = load({
      set: ['orchestrator.max_agents=7', 'data.directory=a "quoted" \\ path\t', 'redis.prefix=p:'],
    });
    expect(load({ file: file(printConfig(config), 'e.toml') })).toEqual(config);
  });

  test.each([
    ['//:hunter2@h:6379/1', '//[redacted]@h:6379/1'],
    ['//user:hunter2@h', '//[redacted]@h'],
    ['//:hun/ter2@h', '//[redacted]@h'],
    ['//:hun?ter2@h', '//[redacted]@h'],
    ['//:a@hunter2@h', '//[redacted]@h'],
    ['//h:6379', '//h:6379'],
    ['//h/d?sslmode=require&password=hunter2', '//h/d?sslmode=require&password=[redacted]'],
    ['//h/d?Password=hunter2&x=1', '//h/d?Password=[redacted]&x=1'],
  ])('shows %s as %s', (address, shown) => {
    const text = printConfig(load({ set: [`redis.url=redis:${address}`, `postgres.url=postgres:${address}`] }));
    const printed = parse(text) as unknown as Config;
    expect([printed.redis.url, printed.postgres.url]).toEqual([`redis:${shown}`, `postgres:${shown}`]);
  });

  test('every setting that may hold a password is a secret', () => {
    const keys = Object.entries(configSchema.shape).flatMap(([section, table]) =>
      Object.keys(table.unwrap().shape).map((key) => `${section}.${key}`),
    );
    expect(keys.filter((key) => /url$|cluster$|^peer\.redis$|password|token|secret$/.test(key))).toEqual([
      ...secretKeys,
    ]);
  });
});

test('the nearest word is near, or none', () => {
  for (const [wrong, best] of [
    ['prioritty', 'priority'],
    ['hots', 'host'],
    ['URL', undefined],
    ['', undefined],
    ['\u202e', undefined],
    ['x'.repeat(100_000), undefined],
  ] as const)
    expect(nearest(wrong, ['priority', 'host', 'directory'])).toBe(best);
});
