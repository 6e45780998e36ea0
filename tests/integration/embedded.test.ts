import { chmod, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EmbeddedServerError } from '../../runtime/embedded/error.ts';
import { freePort } from '../../runtime/embedded/ports.ts';
import { startPostgres } from '../../runtime/embedded/postgres.ts';
import { findRedisServer, startRedis } from '../../runtime/embedded/redis.ts';
import type { RedisServer } from '../../runtime/embedded/redis-binary.ts';
import { freshFolder, postgresTemplateDir, redisCacheDir } from '../support/folders.ts';
import { alive, firstLine, startProgram } from '../support/program.ts';
import { createDatabase, startPrivatePostgres, startPrivateRedis, usePostgres, useRedis } from '../support/servers.ts';

const isRoot = process.getuid?.() === 0;

let folder: string;
let server: RedisServer;

beforeAll(async () => {
  folder = await freshFolder('embedded');
  server = await findRedisServer({ cacheDir: redisCacheDir });
});

afterAll(() => rm(folder, { recursive: true, force: true }));

async function failure(attempt: Promise<unknown>): Promise<EmbeddedServerError> {
  const error = await attempt.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(EmbeddedServerError);
  return error as EmbeddedServerError;
}

async function redisDo<T>(url: string, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url, { lazyConnect: true, maxRetriesPerRequest: 0, enableReadyCheck: false });
  redis.on('error', () => undefined);
  try {
    await redis.connect();
    return await work(redis);
  } finally {
    redis.disconnect();
  }
}

/** What a client without a login is answered. */
function rawAnswer(port: number, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port }, () => socket.write(`${line}\r\n`));
    socket.on('error', reject);
    socket.once('data', (chunk) => {
      socket.destroy();
      resolve(chunk.toString());
    });
  });
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows.map((row) => Object.values(row)[0]);
  } finally {
    await client.end();
  }
}

async function withPortTaken(work: (port: number) => Promise<void>): Promise<void> {
  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
  try {
    await work((holder.address() as { port: number }).port);
  } finally {
    await new Promise((resolve) => holder.close(resolve));
  }
}

describe('embedded Redis', () => {
  test('starts, keeps its data over a stop and over a kill, and stops twice without complaint', async () => {
    const redis = await startPrivateRedis({ appendfsync: 'always' });
    await redisDo(redis.url, (client) => client.set('a', '1'));
    await redis.stop();
    await redis.stop();
    await redis.restart();
    await redisDo(redis.url, (client) => client.set('b', '2'));
    await redis.kill('SIGKILL');
    await redis.restart();
    expect(await redisDo(redis.url, (client) => client.mget('a', 'b'))).toEqual(['1', '2']);
    await redis.dispose();
    expect(await alive(redis.current.pid)).toBe(false);
  });

  test('is frozen by SIGSTOP, thawed by SIGCONT, and stops even when frozen', async () => {
    const redis = await startPrivateRedis();
    await redis.kill('SIGSTOP');
    await expect.poll(() => readFile(`/proc/${redis.current.pid}/status`, 'utf8')).toMatch(/^State:\s+T/m);
    await redis.kill('SIGCONT');
    expect(await redisDo(redis.url, (client) => client.ping())).toBe('PONG');
    await redis.kill('SIGSTOP');
    await redis.dispose();
    expect(await alive(redis.current.pid)).toBe(false);
  });

  test('makes a password that is neither readable by others nor in the process list', async () => {
    const dataDir = join(folder, 'redis-password');
    const redis = await startRedis({ server, dataDir });
    try {
      const password = decodeURIComponent(new URL(redis.url).password);
      expect(password.length).toBeGreaterThanOrEqual(32);
      for (const name of ['password', 'redis.conf']) expect((await stat(join(dataDir, name))).mode & 0o077).toBe(0);
      expect(await readFile(`/proc/${redis.pid}/cmdline`, 'utf8')).not.toContain(password);
      expect(await redisDo(redis.url, (client) => client.ping())).toBe('PONG');
      expect(await rawAnswer(redis.port, 'GET a')).toMatch(/^-NOAUTH/);
    } finally {
      await redis.stop();
    }
  });

  test('keeps users in an ACL file', async () => {
    const dataDir = join(folder, 'redis-acl');
    const options = { server, dataDir, aclFile: join(dataDir, 'users.acl') };
    const first = await startRedis(options);
    await redisDo(first.url, async (client) => {
      await client.acl('SETUSER', 'a1', 'on', '>pw', '~x', '+get');
      await client.acl('SAVE');
    });
    await first.stop();
    const second = await startRedis(options);
    try {
      expect(await redisDo(`redis://a1:pw@127.0.0.1:${second.port}`, (client) => client.get('x'))).toBeNull();
      expect(await redisDo(second.url, (client) => client.acl('USERS'))).toEqual(['a1', 'default']);
    } finally {
      await second.stop();
    }
  });

  test('refuses a port that is taken, by number', async () => {
    await withPortTaken(async (port) => {
      const error = await failure(startRedis({ server, dataDir: join(folder, 'redis-port'), port }));
      expect(error.failure).toBe('port-taken');
      expect(error.message).toContain(`127.0.0.1:${port}`);
    });
  });

  test('refuses data that another running server holds', async () => {
    const redis = await startPrivateRedis();
    const error = await failure(startRedis({ server, dataDir: redis.dataDir, password: false }));
    expect(error.failure).toBe('data-in-use');
    expect(error.message).toContain(redis.dataDir);
    expect(await redisDo(redis.url, (client) => client.ping())).toBe('PONG');
    await redis.dispose();
  });

  test('gives the last words of a server that cannot start', async () => {
    const broken = startRedis({ server, dataDir: join(folder, 'redis-broken'), extraArgs: ['--maxmemory', 'plenty'] });
    const error = await failure(broken);
    expect(error.failure).toBe('exited');
    expect(error.message).toContain('maxmemory');
  });

  test('two starters at the same time get a server each', async () => {
    const both = await Promise.all([startPrivateRedis(), startPrivateRedis(), startPrivateRedis()]);
    expect(new Set(both.map((one) => one.port)).size).toBe(3);
    await Promise.all(both.map((one) => one.dispose()));
  });
});

describe('finding a Redis server', () => {
  test('one error names what was tried and the command that mends it', async () => {
    const cacheDir = join(folder, 'no-cache');
    const error = await failure(findRedisServer({ cacheDir, searchPath: '', aptGet: '/nonexistent/apt-get' }));
    expect(error.failure).toBe('not-found');
    expect(error.message).toContain('on PATH');
    expect(error.message).toContain('/nonexistent/apt-get');
    expect(error.message.match(/Mend it with: .*redis/g)).toHaveLength(1);
  });

  test('a configured path that does not work is an error, not a reason to take another', async () => {
    const error = await failure(findRedisServer({ cacheDir: redisCacheDir, configuredPath: '/nonexistent/redis' }));
    expect(error.message).toContain('/nonexistent/redis');
  });

  test.each([
    ['redis-server', 'Redis server v=6.0.16 sha=0', 'not-found'],
    ['redis-server', 'Redis server v=7.2.4 sha=0', '7.2.4'],
    ['valkey-server', 'Valkey server v=8.0.1 sha=0', '8.0.1'],
  ])('%s that answers "%s" gives %s', async (name, answer, expected) => {
    const bin = join(folder, `bin-${answer.replaceAll(/\W/g, '')}`);
    await mkdir(bin);
    await writeFile(join(bin, name), `#!/bin/sh\necho '${answer}'\n`);
    await chmod(join(bin, name), 0o755);
    const search = { cacheDir: join(folder, 'no-cache'), searchPath: bin, aptGet: '/nonexistent/apt-get' };
    if (expected === 'not-found') expect((await failure(findRedisServer(search))).message).toContain('6.0.16');
    else expect(await findRedisServer(search)).toMatchObject({ version: expected, source: 'path' });
  });

  test('a cached copy that does not run is not used', async () => {
    const cacheDir = join(folder, 'broken-cache');
    await mkdir(join(cacheDir, 'copy/usr/bin'), { recursive: true });
    await writeFile(join(cacheDir, 'copy/usr/bin/redis-server'), 'not a program', { mode: 0o755 });
    const error = await failure(findRedisServer({ cacheDir, searchPath: '', aptGet: '/nonexistent/apt-get' }));
    expect(error.failure).toBe('not-found');
  });
});

describe('embedded PostgreSQL', () => {
  test('starts, keeps its data over a stop and over a kill, and stops twice without complaint', async () => {
    const postgres = await startPrivatePostgres({ fsync: true });
    await query(postgres.url, 'CREATE TABLE t (n int)');
    await postgres.stop();
    await postgres.stop();
    await postgres.restart();
    await query(postgres.url, 'INSERT INTO t VALUES (7)');
    await postgres.kill('SIGKILL');
    await postgres.restart();
    expect(await query(postgres.url, 'SELECT n FROM t')).toEqual([7]);
    await postgres.dispose();
    expect(await alive(postgres.current.pid)).toBe(false);
  });

  test('is UTF-8, compares bytes, asks for the password and makes the database asked for', async () => {
    const postgres = await startPrivatePostgres({ database: 'Odd "name"' });
    expect(await query(postgres.url, 'SHOW server_encoding')).toEqual(['UTF8']);
    const collation = 'SELECT datcollate FROM pg_database WHERE datname = current_database()';
    expect(await query(postgres.url, collation)).toEqual(['C']);
    expect(await query(postgres.url, 'SELECT current_database()')).toEqual(['Odd "name"']);
    const forged = new URL(postgres.url);
    forged.password = 'wrong';
    await expect(query(forged.toString(), 'SELECT 1')).rejects.toThrow(/password/);
    expect((await stat(join(postgres.dataDir, 'cluster/password'))).mode & 0o077).toBe(0);
    await postgres.dispose();
  });

  test('makes a cluster of its own where no template is given', async () => {
    const postgres = await startPrivatePostgres();
    const own = await startPostgres({ dataDir: join(folder, 'postgres-own'), fsync: false });
    try {
      expect(new URL(own.url).password).not.toBe(new URL(postgres.url).password);
      expect(await query(own.url, 'SELECT 1')).toEqual([1]);
    } finally {
      await own.stop();
      await postgres.dispose();
    }
  });

  test('starts over the pid file of a killed server, even when that pid is somebody else now', async () => {
    const postgres = await startPrivatePostgres();
    await postgres.stop();
    const pidFile = join(postgres.dataDir, 'cluster/data/postmaster.pid');
    await writeFile(pidFile, `${process.ppid}\n${postgres.dataDir}\n1700000000\n${postgres.port}\n\n127.0.0.1\n`);
    await postgres.restart();
    expect(await query(postgres.url, 'SELECT 1')).toEqual([1]);
    await postgres.dispose();
  });

  test('refuses a port that is taken and data that another running server holds', async () => {
    const postgres = await startPrivatePostgres();
    await withPortTaken(async (port) => {
      const error = await failure(startPostgres({ dataDir: join(folder, 'postgres-port'), port }));
      expect(error.failure).toBe('port-taken');
      expect(error.message).toContain(`127.0.0.1:${port}`);
    });
    const busy = await failure(startPostgres({ dataDir: postgres.dataDir, port: await freePort() }));
    expect(busy.failure).toBe('data-in-use');
    expect(await query(postgres.url, 'SELECT 1')).toEqual([1]);
    await postgres.dispose();
  });

  test('gives the last words of a server that cannot start', async () => {
    const settings = { no_such_setting: '1' };
    const dataDir = join(folder, 'postgres-broken');
    const error = await failure(startPostgres({ dataDir, templateDir: postgresTemplateDir, settings }));
    expect(error.failure).toBe('exited');
    expect(error.message).toContain('no_such_setting');
  });

  // Only root has a choice of how to run it.
  test.skipIf(!isRoot)('runs for root in a user namespace and as nobody on the same data', async () => {
    const dataDir = join(folder, 'postgres-modes');
    let seen: unknown[] = [];
    for (const runAs of ['nobody', 'namespace', 'nobody'] as const) {
      const postgres = await startPostgres({ dataDir, templateDir: postgresTemplateDir, fsync: false, runAs });
      await query(postgres.url, 'CREATE TABLE IF NOT EXISTS runs (mode text)');
      await query(postgres.url, `INSERT INTO runs VALUES ('${runAs}')`);
      seen = await query(postgres.url, 'SELECT mode FROM runs');
      await postgres.stop();
    }
    expect(seen).toEqual(['nobody', 'namespace', 'nobody']);
  });
});

describe('shared servers of the test run', () => {
  test('are one Redis and one PostgreSQL, with a database for each who asks', async () => {
    const [first, second] = [await useRedis(), await useRedis()];
    expect(second.pid).toBe(first.pid);
    expect(await redisDo(first.url, (client) => client.config('GET', 'appendfsync'))).toContain('everysec');
    const [a, b] = await Promise.all([createDatabase('one'), createDatabase('one')]);
    expect(a).not.toBe(b);
    expect(await query(a, 'SHOW fsync')).toEqual(['off']);
    expect((await usePostgres()).pid).toBe((await usePostgres()).pid);
  });
});

// The kernel's parent-death signal exists on Linux alone.
describe.skipIf(process.platform !== 'linux')('a parent that is killed', () => {
  test('leaves no server behind, and the data can be started again at once', async () => {
    const home = join(folder, 'orphans');
    const parent = startProgram('tests/support/embedded-parent.ts', [home]);
    const pids = JSON.parse(await firstLine(parent)) as number[];
    expect(await Promise.all(pids.map(alive))).toEqual([true, true]);
    parent.kill('SIGKILL');
    await expect.poll(() => Promise.all(pids.map(alive))).toEqual([false, false]);
    const redis = await startRedis({ server, dataDir: join(home, 'redis'), password: false });
    const postgres = await startPostgres({ dataDir: join(home, 'postgres'), fsync: false });
    await Promise.all([redis.stop(), postgres.stop()]);
  });
});
