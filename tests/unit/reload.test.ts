import { expect, test } from 'vitest';
import { limits } from '../../config/limits.ts';
import { configChange } from '../../config/reload.ts';
import { configSchema, type Config } from '../../config/schema.ts';
import type { RunningLog } from '../../runtime/telemetry/log.ts';
import { Reload } from '../../scripts/reload.ts';
import { feedWatchdog, serviceManager, type Assignment, type ServiceManager } from '../../scripts/systemd.ts';

const base = configSchema.parse({});

function configured(change: Record<string, Record<string, unknown>>): Config {
  return configSchema.parse(change);
}

interface Line {
  level: string;
  fields: Record<string, unknown>;
  message: string;
}

function recorder(): { log: RunningLog; lines: Line[]; levels: string[] } {
  const lines: Line[] = [];
  const levels: string[] = [];
  const at =
    (level: string) =>
    (fields: object, message: string): void => {
      lines.push({ level, fields: { ...fields }, message });
    };
  const log = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    setLevel: (level: string) => levels.push(level),
    reopen: () => undefined,
  } as unknown as RunningLog;
  return { log, lines, levels };
}

test('a change is split into what holds at once and what waits, by name alone', () => {
  const after = configured({
    logging: { level: 'DEBUG' },
    orchestrator: { max_agents: 20, shards: 4 },
    redis: { url: 'redis://user:hidden@host:1' },
  });
  expect(configChange(base, after)).toEqual({
    applied: ['logging.level', 'orchestrator.max_agents'],
    waiting: ['orchestrator.shards', 'redis.url'],
  });
  expect(JSON.stringify(configChange(base, after))).not.toContain('hidden');
  expect(configChange(base, base)).toEqual({ applied: [], waiting: [] });
});

test('a reload takes the configuration over, and names what waits until it is restarted', async () => {
  const { log, lines, levels } = recorder();
  const taken: Config[] = [];
  const told: Assignment[][] = [];
  const manager = { tell: async (...assignments: Assignment[]) => void told.push(assignments) };
  let next = configured({ logging: { level: 'DEBUG' }, orchestrator: { shards: 4 } });
  const reload = new Reload({ config: base, read: () => next, log });

  await reload.ask(manager);
  expect(told).toEqual([]);

  reload.serve({ reload: async (config) => void taken.push(config) });
  await reload.ask(manager);
  expect(taken).toEqual([next]);
  expect(levels).toEqual(['DEBUG']);
  expect(told).toEqual([['RELOADING=1'], ['READY=1', 'STATUS=reloaded; waits for a restart: orchestrator.shards']]);
  expect(lines.find(({ level }) => level === 'info')?.fields).toEqual({ applied: ['logging.level'] });

  next = configured({ logging: { level: 'DEBUG' }, orchestrator: { shards: 4, max_agents: 11 } });
  await reload.ask(manager);
  expect(lines.filter(({ level }) => level === 'warn').map(({ fields }) => fields)).toEqual([
    { settings: ['orchestrator.shards'] },
    { settings: ['orchestrator.shards'] },
  ]);
});

test('a configuration that cannot be used changes nothing, and the service is ready again', async () => {
  const { log, lines, levels } = recorder();
  const told: Assignment[][] = [];
  const reload = new Reload({
    config: base,
    read: () => {
      throw new Error('[logging] has no key "levle"');
    },
    log,
  });
  let taken = 0;
  reload.serve({ reload: async () => void taken++ });
  await reload.ask({ tell: async (...assignments) => void told.push(assignments) });
  expect([taken, levels]).toEqual([0, []]);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatchObject({ level: 'error', fields: { error: '[logging] has no key "levle"' } });
  expect(told.at(-1)?.[0]).toBe('READY=1');
});

test('the watchdog is fed while every shard comes round, and not one millisecond longer', () => {
  const { log, lines } = recorder();
  const feed = (readAgeMs: number): Assignment[] => {
    const told: Assignment[] = [];
    const manager: ServiceManager = {
      watchdogMs: 3_600_000,
      tell: async (...assignments) => void told.push(...assignments),
    };
    feedWatchdog({ manager, readAgeMs: () => readAgeMs, log })();
    return told;
  };
  expect(feed(limits.watchdogReadAgeMs)).toEqual(['WATCHDOG=1']);
  expect(lines).toEqual([]);
  expect(feed(limits.watchdogReadAgeMs + 1)).toEqual(['STATUS=a shard does not come round']);
  expect(lines).toHaveLength(1);
});

test('only the process that the watchdog means feeds it; without a service manager nothing is told', async () => {
  const { log, lines } = recorder();
  const env = { NOTIFY_SOCKET: '/run/none', WATCHDOG_USEC: '20000000', WATCHDOG_PID: '17' };
  expect(serviceManager(env, 17, log).watchdogMs).toBe(20_000);
  expect(serviceManager(env, 18, log).watchdogMs).toBeUndefined();
  expect(serviceManager({ ...env, WATCHDOG_PID: undefined }, 18, log).watchdogMs).toBe(20_000);
  expect(serviceManager({ NOTIFY_SOCKET: '/run/none' }, 17, log).watchdogMs).toBeUndefined();
  await serviceManager({}, 17, log).tell('READY=1');
  expect(lines).toEqual([]);
});
