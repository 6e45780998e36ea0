/** The loss of all of Redis, drilled on a running orchestrator: what stops, what comes back, what is lost. */
import { appendFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { agentProjection } from '../../actors/agent/projection.ts';
import { createRegistry } from '../../actors/application.ts';
import { scheduleProjection } from '../../actors/schedule/projection.ts';
import { taskProjection } from '../../actors/task/projection.ts';
import type { Config } from '../../config/schema.ts';
import { rebuild } from '../../runtime/host/rebuild.ts';
import { createSystem } from '../../runtime/host/system.ts';
import { PostgresArchive } from '../../runtime/postgres/archive.ts';
import { checkBackup } from '../../runtime/postgres/backup.ts';
import { Pool } from '../../runtime/postgres/pool.ts';
import { cutHistory } from '../../runtime/postgres/retreat.ts';
import { PostgresProjectionStore } from '../../runtime/postgres/projector.ts';
import { PostgresSiteRegister } from '../../runtime/postgres/site.ts';
import { keyspace } from '../../runtime/protocol/keys.ts';
import { RedisJournalReader } from '../../runtime/redis/journal.ts';
import { RedisSiteStore } from '../../runtime/redis/sitestore.ts';
import { backup, restore } from '../../scripts/cli/backup.ts';
import { prune, rebuildPostgres } from '../../scripts/cli/rebuild.ts';
import type { Stores } from '../../scripts/cli/stores.ts';
import { freshFolder } from '../support/folders.ts';
import { siteConfig, startProgram, type ProgramSite } from '../support/program-site.ts';
import { createDatabase, startPrivateRedis, type PrivateServer } from '../support/servers.ts';
import { MemoryLog } from '../support/site.ts';

// Whole programs, started and stopped several times a test.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 60_000 });

const shards = 2;
const space = keyspace();
const system = createSystem();
const registry = createRegistry();
const log = new MemoryLog();

let server: PrivateServer<unknown>;
let redis: Redis;
let config: Config;
let site: ProgramSite | undefined;
let pool: Pool;
let store: RedisSiteStore;

beforeAll(async () => {
  server = await startPrivateRedis();
  redis = new Redis(server.url);
});
afterAll(async () => {
  redis.disconnect();
  await server.dispose();
});
beforeEach(async () => {
  await redis.flushall();
  config = siteConfig(server.url, await createDatabase('recovery'), shards);
  pool = new Pool({ url: config.postgres.url!, log });
  store = new RedisSiteStore({ redis: { url: server.url, name: 'recovery' }, space, system, log });
});
afterEach(async () => {
  await site?.stop();
  site = undefined;
  store.close();
  await pool.close();
});

const until = async (what: string, holds: () => Promise<boolean> | boolean, deadlineMs = 30_000): Promise<void> => {
  const end = performance.now() + deadlineMs;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await system.sleep(20);
  }
};

const projected = (): Promise<void> =>
  until('PostgreSQL has the journals', async () => {
    const rows = await pool.query<{ shard: number; position: string }>('SELECT shard, position FROM watermarks');
    const stored = new Map(rows.map(({ shard, position }) => [shard, position]));
    const ends = await store.journalEnds(shards);
    return ends.every((end, shard) => end === '0-0' || stored.get(shard) === end);
  });

/** Snapshots, mailboxes and relay counters of every shard. */
const contents = async (): Promise<{ snapshots: Record<string, string> }[]> =>
  Promise.all(
    Array.from({ length: shards }, async (_, shard) => {
      const keys = space.shard(shard);
      return {
        snapshots: await redis.hgetall(keys.snapshots),
        mailboxes: (await redis.smembers(keys.mailboxes)).sort(),
        sent: await redis.hgetall(keys.sent),
        relayed: await redis.hgetall(keys.relayed),
      };
    }),
  );

interface Streams {
  id: string;
  redis: { inbox: string; outbox: string };
}

const registered = async (type: string): Promise<Streams> =>
  (await site!.call('/agents', { type, id: `${type}-1`, slots: 2 })) as unknown as Streams;

const nextAssignment = async ({ redis: { inbox } }: Streams): Promise<Record<string, string>> => {
  let found: Record<string, string> | undefined;
  await until('an assignment', async () => {
    const read = (await redis.xreadgroup('GROUP', 'agent', 'hand', 'COUNT', 1, 'STREAMS', inbox, '>')) as
      [string, [string, string[]][]][] | null;
    const fields = read?.[0]?.[1][0]?.[1] ?? [];
    const message: Record<string, string> = {};
    for (let at = 0; at + 1 < fields.length; at += 2) message[fields[at]!] = fields[at + 1]!;
    if (message['kind'] === 'assign') found = message;
    return found !== undefined;
  });
  return found!;
};

const report = (agent: Streams, fields: Record<string, string>): Promise<unknown> =>
  redis.xadd(agent.redis.outbox, '*', ...Object.entries({ agent: agent.id, ...fields }).flat());

const settled = (task: string, status: string): Promise<void> =>
  until(`${task} is ${status}`, async () => (await site!.call(`/tasks/${task}`))['status'] === status);

/** Agents of three types in two shards, tasks of every kind of state: done, running, queued, failed. */
async function work(): Promise<{ agent: Streams; task: string; token: string }> {
  const agents = await Promise.all(['alpha', 'beta', 'gamma'].map(registered));
  for (const agent of agents) {
    const type = agent.id.split('-')[2]!;
    await site!.call(
      '/tasks',
      [1, 2, 3].map((parameters) => ({ type, parameters, priority: 5 })),
    );
    const { task = '', token = '' } = await nextAssignment(agent);
    await report(agent, { kind: 'completed', task, token, result: '{"done":true}' });
    await settled(task, 'succeeded');
  }
  await site!.call('/tasks', { type: 'nobody', parameters: { text: 'ü\u2028"' } });
  const agent = agents[0]!;
  const { task = '', token = '' } = await nextAssignment(agent);
  await report(agent, { kind: 'started', task, token });
  await settled(task, 'running');
  return { agent, task, token };
}

describe('FLUSHALL under a running orchestrator', () => {
  test('it stops loudly; a rebuild brings every actor back to the byte, and the work goes on', async () => {
    site = await startProgram(config);
    const { agent, task, token } = await work();
    await projected();
    const before = await contents();
    await redis.flushall();

    await until('the shards are let go', () => site!.log.lines.some(({ message }) => message === 'shard lost'));
    await until('every shard is refused', () => {
      const refused = site!.log.lines.filter(({ message }) => message === 'shard cannot be taken');
      return new Set(refused.map(({ fields }) => (fields as { shard: number }).shard)).size === shards;
    });
    const said = site.log.lines.find(({ message }) => message === 'shard cannot be taken')!.fields;
    expect((said as { error: string }).error).toContain('orchestrator rebuild');
    expect(await redis.hlen(space.shard(0).snapshots)).toBe(0);

    // What the agent says meanwhile is kept, and counts when its shard is back: its token is still worth something.
    await report(agent, { kind: 'completed', task, token, result: '42' });
    const identity = (await new PostgresSiteRegister(pool, system).site())!;
    const archive = new PostgresArchive(pool);
    const outcome = await rebuild({ store, archive, registry, identity });
    expect(outcome.drift).toEqual([]);
    expect(outcome.shards.reduce((sum, { actors }) => sum + actors, 0)).toBeGreaterThan(10);

    await settled(task, 'succeeded');
    // Nobody but that task and its agent has moved.
    const after = await contents();
    for (const [shard, { snapshots }] of before.entries())
      for (const [address, text] of Object.entries(snapshots))
        if (/^task\//.test(address) && !text.includes('"alpha"')) expect(after[shard]!.snapshots[address]).toBe(text);
    const next = await site.call('/tasks', { type: 'alpha' });
    await settled(String(next['id']), 'assigned');
  });

  test('a rebuild that nobody works on gives the same bytes in every key', async () => {
    site = await startProgram(config);
    await work();
    await projected();
    await site.stop();
    site = undefined;
    const before = await contents();
    const ends = await store.journalEnds(shards);
    await redis.flushall();
    const identity = (await new PostgresSiteRegister(pool, system).site())!;
    await rebuild({ store, archive: new PostgresArchive(pool), registry, identity });
    expect(await contents()).toEqual(before);
    expect(await store.journalEnds(shards)).toEqual(ends);
  });
});

describe('a start', () => {
  test('with an empty Redis rebuilds the site by itself', async () => {
    site = await startProgram(config);
    const { agent, task, token } = await work();
    await projected();
    await site.stop();
    const before = await contents();
    await redis.flushall();
    site = await startProgram(config);
    expect(site.log.lines.some(({ message }) => message.includes('Redis has lost this site'))).toBe(true);
    const { snapshots } = before[Number(task.split('-')[1])]!;
    expect(await redis.hget(space.shard(Number(task.split('-')[1])).snapshots, `task/${task}`)).toBe(
      snapshots[`task/${task}`],
    );
    await report(agent, { kind: 'completed', task, token, result: '1' });
    await settled(task, 'succeeded');
  });

  test('with the Redis of another site is refused', async () => {
    site = await startProgram(config);
    await site.stop();
    site = undefined;
    await redis.flushall();
    const other = siteConfig(server.url, await createDatabase('other'), shards);
    const foreign = await startProgram(other);
    await foreign.stop();
    await expect(startProgram(config)).rejects.toThrow('do not belong together');
  });

  test('with a Redis that is older than PostgreSQL is refused', async () => {
    site = await startProgram(config);
    await work();
    await projected();
    await site.stop();
    site = undefined;
    for (let shard = 0; shard < shards; shard++) await redis.del(space.shard(shard).journal);
    await expect(startProgram(config)).rejects.toThrow('restored from an older copy');
  });

  test('with another number of shards is refused', async () => {
    site = await startProgram(config);
    await site.stop();
    site = undefined;
    await expect(startProgram(siteConfig(server.url, config.postgres.url!, 3))).rejects.toThrow('born with 2 shards');
  });
});

const stores = (to: Config): { opened: Stores; close: () => Promise<void> } => {
  const own = new Pool({ url: to.postgres.url!, log });
  const journals = new RedisJournalReader({ redis: { url: server.url, name: 'recovery' }, space, system, log });
  const opened = {
    ...{ system, log, registry, pool: own, store, journals },
    register: new PostgresSiteRegister(own, system),
    archive: new PostgresArchive(own),
    projection: new PostgresProjectionStore(own, [taskProjection, agentProjection, scheduleProjection]),
  };
  return {
    opened,
    close: async () => {
      journals.close();
      await own.close();
    },
  };
};

/** What lists say; when a row was written last is not in a snapshot. */
const lists = async (from: Pool): Promise<Record<string, unknown[]>> => {
  const rows: Record<string, unknown[]> = {};
  for (const table of ['tasks', 'agents', 'actors', 'schedules'])
    rows[table] = (await from.query<Record<string, unknown>>(`SELECT * FROM ${table} ORDER BY 1`)).map(
      ({ updated_at: _, ...row }) => row,
    );
  return rows;
};

describe('the loss of PostgreSQL', () => {
  test('at a start: lists come from Redis, work goes on, and Redis can be brought back from there', async () => {
    site = await startProgram(config);
    const { agent, task, token } = await work();
    await site.call('/schedules', { name: 'hourly', cron: '0 * * * *', task: { type: 'nobody' } });
    await projected();
    await site.stop();
    site = undefined;
    await projected();
    const lost = await lists(pool);
    expect(lost['tasks']!.length).toBeGreaterThan(9);
    // Long ago: what was projected has left the journals.
    for (let shard = 0; shard < shards; shard++) await redis.xtrim(space.shard(shard).journal, 'MAXLEN', 0);
    const fresh = siteConfig(server.url, await createDatabase('empty'), shards);
    const own = new Pool({ url: fresh.postgres.url!, log });
    site = await startProgram(fresh);
    expect(site.log.lines.filter(({ message }) => message.startsWith('PostgreSQL was lost'))).toHaveLength(shards);
    expect(await lists(own)).toEqual(lost);
    expect(await own.query('SELECT 1 FROM transitions WHERE actor = $1', [`task/${task}`])).toEqual([]);

    await report(agent, { kind: 'completed', task, token, result: '1' });
    await settled(task, 'succeeded');
    const next = String((await site.call('/tasks', { type: 'afterwards' }))['id']);
    await site.stop();
    site = undefined;
    const before = await contents();
    const identity = (await new PostgresSiteRegister(own, system).site())!;
    expect(identity).toEqual(await new PostgresSiteRegister(pool, system).site());
    await until('PostgreSQL has the rest', async () => {
      const rows = await own.query<{ id: string }>('SELECT id FROM tasks WHERE id = $1', [next]);
      return rows.length === 1;
    });
    await redis.flushall();
    const archive = new PostgresArchive(own);
    await expect(rebuild({ store, archive, registry, identity, untilMs: Date.parse('2020-01-01') })).rejects.toThrow(
      /the archive of shard \d begins at/,
    );
    expect((await rebuild({ store, archive, registry, identity })).drift).toEqual([]);
    expect(await contents()).toEqual(before);
    await own.close();
  });

  test('by hand, not while somebody works, and not over what is there', async () => {
    site = await startProgram(config);
    await work();
    const { opened, close } = stores(config);
    await expect(rebuildPostgres(opened, true)).rejects.toThrow('stop the orchestrator first');
    await site.stop();
    site = undefined;
    await expect(rebuildPostgres(opened, false)).rejects.toThrow('PostgreSQL holds the site');
    const before = await lists(pool);
    await pool.query('TRUNCATE tasks, agents, actors');
    expect(await rebuildPostgres(opened, true)).toMatch(/shard 0: \d+ actors, up to [\s\S]*\nlost: /);
    expect(await lists(pool)).toEqual(before);
    await close();
  });
});

test('a pruned archive gives the same Redis, and goes back as far as it says', async () => {
  site = await startProgram(config);
  const { agent, task, token } = await work();
  await projected();
  const middle = Date.now();
  await system.sleep(20);
  await report(agent, { kind: 'completed', task, token, result: '1' });
  await settled(task, 'succeeded');
  const { opened, close } = stores(config);
  await projected();
  const count = async () => (await pool.query('SELECT 1 FROM journal')).length;
  const [entries, rows] = [await count(), await lists(pool)];
  // Beside the running orchestrator.
  expect(await prune(opened, shards, Date.parse('2020-01-01'))).toBe('nothing is older\n');
  expect(await prune(opened, shards, middle)).toMatch(/shard \d: \d+ entries removed, \d+ actors kept/);
  expect(await count()).toBeLessThan(entries);
  expect(await count()).toBeGreaterThan(0);
  await site.stop();
  site = undefined;
  await projected();
  const before = await contents();
  await redis.flushall();
  const identity = (await opened.register.site())!;
  expect((await rebuild({ ...opened, identity })).drift).toEqual([]);
  expect(await contents()).toEqual(before);
  // Back to the checkpoint: what was listed before is still listed, and the task runs again.
  const history = async () => (await pool.query('SELECT 1 FROM transitions')).length;
  const whole = await history();
  await cutHistory({ ...opened, shards, untilMs: middle });
  expect(await history()).toBeLessThan(whole);
  expect(await history()).toBeGreaterThan(0);
  const [former, now] = [rows['tasks'] as { id: string; status: string }[], (await lists(pool))['tasks']];
  expect(now).toEqual(former.map((row) => (row.id === task ? expect.objectContaining({ status: 'running' }) : row)));
  await close();
});

test('a rebuild touches nothing that is there, or held', async () => {
  site = await startProgram(config);
  await work();
  const identity = (await new PostgresSiteRegister(pool, system).site())!;
  const settings = { store, archive: new PostgresArchive(pool), registry, identity };
  await expect(rebuild({ ...settings, force: true })).rejects.toThrow('stop the orchestrator first');
  await site.stop();
  site = undefined;
  const before = await contents();
  await expect(rebuild(settings)).rejects.toThrow('--force');
  expect(await contents()).toEqual(before);
  await rebuild({ ...settings, force: true });
});

describe('a backup', () => {
  const tables = async (from: Pool): Promise<Record<string, unknown[]>> => {
    const rows: Record<string, unknown[]> = {};
    for (const table of ['tasks', 'agents', 'actors', 'transitions', 'journal', 'site'])
      rows[table] = await from.query(`SELECT * FROM ${table} ORDER BY 1, 2, 3`);
    return rows;
  };

  test('of a running site is restored elsewhere: the same rows, the same actors, and the work goes on', async () => {
    site = await startProgram(config);
    const { agent, task, token } = await work();
    const folder = join(await freshFolder('backup'), 'one');
    const source = stores(config);
    const manifest = await backup(source.opened, folder);
    await expect(backup(source.opened, folder)).rejects.toThrow('is not empty');
    await source.close();
    expect(manifest.positions).not.toEqual({});
    await site.stop();
    site = undefined;
    const [rows, before] = [await tables(pool), await contents()];
    await redis.flushall();

    const other = siteConfig(server.url, await createDatabase('restored'), shards);
    const target = stores(other);
    const report = await restore(target.opened, folder, await checkBackup(folder), {
      untilMs: undefined,
      force: false,
    });
    expect(report.drift).toEqual([]);
    const restored = await tables(target.opened.pool);
    expect(restored['tasks']).toHaveLength(rows['tasks']!.length);
    // What came after the backup (heartbeats that were missed, say) is not in it; everything that is in it is as it was.
    for (const table of ['transitions', 'journal', 'site'])
      expect(restored[table]!.filter((row) => !rows[table]!.some((each) => isDeepStrictEqual(each, row)))).toEqual([]);
    const shard = Number(task.split('-')[1]);
    expect(await redis.hget(space.shard(shard).snapshots, `task/${task}`)).toBe(
      before[shard]!.snapshots[`task/${task}`],
    );
    await expect(restore(target.opened, folder, manifest, { untilMs: undefined, force: false })).rejects.toThrow(
      '--force',
    );

    site = await startProgram(other);
    await finish(agent, task, token);
    await target.close();
  });

  test('--until takes history, lists and actors back to a time', async () => {
    site = await startProgram(config);
    await work();
    await system.sleep(20);
    const untilMs = system.now();
    await system.sleep(20);
    const late = String((await site.call('/tasks', { type: 'late' }))['id']);
    const folder = join(await freshFolder('backup'), 'two');
    const { opened, close } = stores(config);
    const manifest = await backup(opened, folder);
    await site.stop();
    site = undefined;
    await restore(opened, folder, manifest, { untilMs, force: true });
    await close();
    const rows = await pool.query<{ at: Date }>('SELECT at FROM transitions');
    expect(rows.length).toBeGreaterThan(20);
    expect(rows.filter(({ at }) => at.getTime() > untilMs)).toEqual([]);
    expect(await pool.query('SELECT id FROM tasks WHERE id = $1', [late])).toEqual([]);
    expect(await pool.query('SELECT id FROM tasks')).toHaveLength(10);
    expect(await redis.hget(space.shard(Number(late.split('-')[1])).snapshots, `task/${late}`)).toBeNull();
    site = await startProgram(config);
    await settled(String((await site.call('/tasks', { type: 'late' }))['id']), 'queued');
  });

  test('that was changed or cut short is refused, and nothing is touched', async () => {
    site = await startProgram(config);
    await work();
    const folder = join(await freshFolder('backup'), 'three');
    const { opened, close } = stores(config);
    const manifest = await backup(opened, folder);
    await expect(restore(opened, folder, manifest, { untilMs: undefined, force: true })).rejects.toThrow(
      'stop the orchestrator first',
    );
    await close();
    await appendFile(join(folder, 'tasks.ndjson.gz'), 'x');
    await expect(checkBackup(folder)).rejects.toThrow(/tasks\.ndjson\.gz is not what was written/);
    await rm(join(folder, 'manifest.json'));
    await expect(checkBackup(folder)).rejects.toThrow('cut short');
  });
});

async function finish(agent: Streams, task: string, token: string): Promise<void> {
  await report(agent, { kind: 'completed', task, token, result: '1' });
  await settled(task, 'succeeded');
}
