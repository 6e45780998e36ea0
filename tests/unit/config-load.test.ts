/** Configuration: file < environment < flags; what is wrong is named with its place and the nearest known word. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadConfig, printConfig, ConfigError, type ConfigSources } from '../../config/load.ts';
import { configReference } from '../../config/reference.ts';
import { rootDir } from '../support/folders.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'config-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
const file = (text: string): string => {
  const path = join(folder, `${++files}.toml`);
  writeFileSync(path, text);
  return path;
};
const load = (sources: Partial<ConfigSources> = {}) =>
  loadConfig({ defaultFile: join(folder, 'absent.toml'), env: {}, set: [], ...sources });
const problemsOf = (sources: Partial<ConfigSources>): string => {
  try {
    load(sources);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message;
  }
  throw new Error('it was taken');
};

describe('defaults', () => {
  test('the names and values of the seed, without a file', () => {
    expect(load()).toMatchObject({
      primary_server: { host: 'localhost', port: 8000 },
      secondary_server: { host: 'localhost', port: 8010 },
      orchestrator: { sync_interval: 60, max_agents: 10, task_timeout: 3600, shards: 16, site: 'primary' },
      logging: { level: 'INFO' },
      metrics: { port: 9090 },
      redis: {},
      postgres: {},
    });
  });

  test('the file that is shipped says the same', () => {
    expect(load({ file: join(rootDir, 'config/orchestrator.toml') })).toEqual(load());
  });

  test('the reference in config/README.md is the one of the schema', () => {
    expect(readFileSync(join(rootDir, 'config/README.md'), 'utf8')).toContain(configReference());
    expect(configReference()).not.toMatch(/\|\s*\|$/m);
  });
});

describe('precedence', () => {
  const path = () =>
    file('[orchestrator]\nmax_agents = 20\ntask_timeout = 60\nsync_interval = 5\n[logging]\nlevel = "debug"\n');

  test('file < environment < flags', () => {
    const config = load({
      file: path(),
      env: { ORCHESTRATOR_ORCHESTRATOR__MAX_AGENTS: '30', ORCHESTRATOR_ORCHESTRATOR__TASK_TIMEOUT: '90' },
      set: ['orchestrator.max_agents=40'],
    });
    expect(config.orchestrator).toMatchObject({ max_agents: 40, task_timeout: 90, sync_interval: 5 });
    expect(config.logging.level).toBe('DEBUG');
  });

  test('the file can come from the environment; the flag wins', () => {
    expect(load({ env: { ORCHESTRATOR_CONFIG: path() } }).orchestrator.max_agents).toBe(20);
    const other = file('[orchestrator]\nmax_agents = 21\n');
    expect(load({ file: other, env: { ORCHESTRATOR_CONFIG: path() } }).orchestrator.max_agents).toBe(21);
  });

  test('types follow the key: numbers, flags, lists, text that looks like a number', () => {
    const config = load({
      env: { ORCHESTRATOR_METRICS__ENABLED: 'false', ORCHESTRATOR_REDIS__PREFIX: '42' },
      set: ['orchestrator.roles=api, runtime', 'primary_server.port=0', 'logging.level=warning'],
    });
    expect(config.metrics.enabled).toBe(false);
    expect(config.redis.prefix).toBe('42');
    expect(config.orchestrator.roles).toEqual(['api', 'runtime']);
    expect(config.primary_server.port).toBe(0);
    expect(config.logging.level).toBe('WARNING');
  });

  test('variables of the programs, of others and unset ones are no settings', () => {
    expect(
      load({
        env: { ORCHESTRATOR_TOKEN: 'x', ORCHESTRATOR_API: 'y', PATH: '/bin', ORCHESTRATOR_REDIS__URL: undefined },
      }),
    ).toEqual(load());
  });
});

describe('secrets', () => {
  test('a value can stand in a file, or in the directory of systemd credentials', () => {
    const path = file('redis://user:word@host:1\n');
    expect(load({ env: { ORCHESTRATOR_REDIS__URL_FILE: path } }).redis.url).toBe('redis://user:word@host:1');
    const credentials = join(folder, 'credentials');
    mkdirSync(credentials);
    writeFileSync(join(credentials, 'postgres.url'), 'postgres://a:b@c/d\n');
    expect(load({ env: { CREDENTIALS_DIRECTORY: credentials } }).postgres.url).toBe('postgres://a:b@c/d');
    expect(load({ env: { ORCHESTRATOR_AUTH__SECRET_FILE: '/run/secret' } }).auth.secret_file).toBe('/run/secret');
  });

  test('what is printed is TOML without them', () => {
    const set = [
      'redis.url=rediss://user:word@host:1/0',
      'postgres.url=postgres://host/db?user=u&password=word&sslmode=require',
    ];
    const text = printConfig(load({ set }));
    expect(text).not.toContain('word@');
    expect(text).not.toContain('=word');
    expect(text).toContain('url = "rediss://[redacted]@host:1/0"');
    expect(text).toContain('password=[redacted]&sslmode=require');
    expect(load({ file: file(text) }).orchestrator).toEqual(load().orchestrator);
  });

  test('no message quotes them', () => {
    const message = problemsOf({
      set: ['redis.url=http://user:word@host'],
      env: { ORCHESTRATOR_POSTGRES__URL: 'mysql://u:word@h' },
    });
    expect(message).not.toContain('word');
    expect(message).toContain('--set redis.url: redis.url: is an address like redis://localhost:6379');
    expect(message).toContain('environment ORCHESTRATOR_POSTGRES__URL: postgres.url: is an address like postgres://');
  });
});

describe('what is wrong', () => {
  test.each([
    [
      'an unknown key',
      '[orchestrator]\nmax_agent = 1',
      'TOML: [orchestrator] has no key "max_agent"; did you mean "max_agents"?',
    ],
    [
      'an unknown key, nothing near',
      '[redis]\ncolour = 1',
      'TOML: [redis] has no key "colour"; known: url, cluster, agent_url, prefix',
    ],
    [
      'an unknown section',
      '[primary_servr]\nport = 1',
      'TOML: [primary_servr] is not known; did you mean "primary_server"?',
    ],
    ['a value outside of a section', 'max_agents = 1', 'TOML: "max_agents" is a table, as [max_agents]'],
    ['an array of tables', '[[orchestrator]]\nmax_agents = 1', 'TOML: "orchestrator" is a table'],
    ['a wrong type', '[orchestrator]\nmax_agents = "10"', 'TOML: orchestrator.max_agents: '],
    ['a fraction', '[orchestrator]\nmax_agents = 1.5', 'TOML: orchestrator.max_agents: '],
    ['out of range', '[primary_server]\nport = 70000', 'TOML: primary_server.port: '],
    ['a wrong word', '[logging]\nlevel = "LOUD"', 'TOML: logging.level: '],
    ['a nested table', '[orchestrator.max_agents]\nx = 1', 'TOML: orchestrator.max_agents: '],
    ['a date', '[logging]\nlevel = 2026-01-01', 'TOML: logging.level: '],
    ['__proto__', '[orchestrator]\n__proto__ = 1', 'TOML: [orchestrator] has no key "__proto__"'],
    ['a syntax error', '[orchestrator]\nmax_agents = = 1', 'TOML:2:14: '],
    ['a key twice', '[logging]\nlevel = "INFO"\nlevel = "INFO"', 'TOML:3:'],
    ['an unclosed text', '[logging]\nlevel = "INFO', 'TOML:2:'],
  ])('%s', (_name, text, expected) => {
    const path = file(text);
    expect(problemsOf({ file: path })).toContain(expected.replace('TOML', path));
  });

  test.each([
    [{ ORCHESTRATOR_REDIS_URI: 'x' }, 'environment: ORCHESTRATOR_REDIS_URI is no setting'],
    [
      { ORCHESTRATOR_REDIS__URI: 'x' },
      'environment ORCHESTRATOR_REDIS__URI: [redis] has no key "uri"; did you mean "url"?',
    ],
    [{ ORCHESTRATOR_REDS__URL: 'x' }, 'there is no section "reds"; did you mean "redis"?'],
    [{ ORCHESTRATOR_METRICS__ENABLED: 'yes' }, 'environment ORCHESTRATOR_METRICS__ENABLED: metrics.enabled: '],
    [
      { ORCHESTRATOR_ORCHESTRATOR__MAX_AGENTS: '1e3' },
      'environment ORCHESTRATOR_ORCHESTRATOR__MAX_AGENTS: orchestrator.max_agents: ',
    ],
    [{ ORCHESTRATOR_ORCHESTRATOR__MAX_AGENTS: '' }, 'orchestrator.max_agents: '],
    [{ ORCHESTRATOR_REDIS__URL_FILE: '/nowhere/at/all' }, '/nowhere/at/all cannot be read'],
    [{ ORCHESTRATOR_CONFIG: '/nowhere/x.toml' }, '/nowhere/x.toml cannot be read'],
    [{ ORCHESTRATOR___PROTO____X: '1' }, 'is no setting'],
  ] as const)('the environment %j', (env, expected) => {
    expect(problemsOf({ env })).toContain(expected);
  });

  test.each([
    ['max_agents=1', 'settings look like --set orchestrator.max_agents=20'],
    ['orchestrator.max_agents', 'settings look like'],
    [
      'orchestrator.max_agent=1',
      '--set orchestrator.max_agent: [orchestrator] has no key "max_agent"; did you mean "max_agents"?',
    ],
    ['redis.url=', '--set redis.url: redis.url: is an address'],
    ['redis.cluster=redis://h:1,rediss://h:2', 'redis.cluster: all nodes are spoken to alike'],
    [`redis.cluster=${Array.from({ length: 65 }, (_, node) => `redis://h:${node}`).join(',')}`, 'redis.cluster: '],
    ['constructor.name=x', 'there is no section "constructor"'],
    ['__proto__.polluted=x', 'there is no section "__proto__"'],
  ])('--set %s', (set, expected) => {
    expect(problemsOf({ set: [set] })).toContain(expected);
  });

  test('a Redis and a Redis Cluster', () => {
    expect(problemsOf({ set: ['redis.url=redis://h', 'redis.cluster=redis://h:1'] })).toContain(
      'stands instead of url',
    );
    expect(load({ set: ['redis.cluster=redis://h:1, redis://h:2'] }).redis.cluster).toEqual([
      'redis://h:1',
      'redis://h:2',
    ]);
  });

  test('all problems are named at once', () => {
    const message = problemsOf({ file: file('[logging]\nlevl = 1\n[nothing]\n'), set: ['redis.ur=1'] });
    expect(message.split('\n')).toHaveLength(4);
  });
});
