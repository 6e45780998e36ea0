/** Redis: reachable, new enough, durable, allowed to do what is needed, and with a clock that agrees. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import type { Config } from '../../config/schema.ts';
import { findRedisServer } from '../../runtime/embedded/redis.ts';
import { projectRoot } from '../root.ts';
import { isRedisEmbedded } from '../servers.ts';
import { dataDirectory } from '../settings.ts';
import { Transport } from '../transport.ts';
import { failed, messageOf, ok, warning, type Diagnosis } from './diagnosis.ts';

const deadlineMs = 3_000;
const clockDriftMsMax = 2_000;

/** Settings that promises depend on: what they must be, and what is lost otherwise. */
const settings: Record<string, { wanted: string; consequence: string; worst: typeof failed }> = {
  appendonly: { wanted: 'yes', consequence: 'a restart of Redis loses what was accepted', worst: failed },
  appendfsync: { wanted: 'always', consequence: 'a power cut loses about the last second', worst: warning },
  'maxmemory-policy': { wanted: 'noeviction', consequence: 'Redis throws keys away when it is full', worst: failed },
};

export async function examineRedis(config: Config): Promise<Diagnosis[]> {
  const { url = embeddedUrl(config), cluster } = config.redis;
  // Of a cluster each node that is named: a setting that one has wrong is wrong.
  if (cluster) return (await Promise.all(cluster.map((node) => examineAddress(config, node, hostOf(node))))).flat();
  return url === undefined ? [await embeddedProgram()] : examineAddress(config, url);
}

function hostOf(address: string): string {
  return ` ${new URL(address).host}`;
}

async function examineAddress(config: Config, url: string, suffix = ''): Promise<Diagnosis[]> {
  const what = `Redis${suffix}`;
  let client: Redis | undefined;
  try {
    const { redis: tls } = new Transport(config);
    client = new Redis(url, {
      ...{ lazyConnect: true, retryStrategy: () => null, maxRetriesPerRequest: 0, connectTimeout: deadlineMs },
      ...{ commandTimeout: deadlineMs, enableReadyCheck: false },
      ...(tls && { tls }),
    });
    let last = '';
    client.on('error', (error: Error) => {
      last = error.message;
    });
    await client.connect().catch((error: unknown) => {
      throw new Error(last || messageOf(error));
    });
    return (await examineServer(client, config)).map((one) => ({ ...one, what: `${one.what}${suffix}` }));
  } catch (error) {
    const detail = messageOf(error);
    if (isRedisEmbedded(config) && detail.includes('ECONNREFUSED')) return [await embeddedProgram()];
    return [failed(what, detail, remedyOf(detail))];
  } finally {
    client?.disconnect();
  }
}

/** The embedded Redis, where one was started before. */
function embeddedUrl(config: Config): string | undefined {
  const folder = join(dataDirectory(config), 'redis');
  try {
    const port = /^port (\d+)$/m.exec(readFileSync(join(folder, 'redis.conf'), 'utf8'))?.[1];
    const password = readFileSync(join(folder, 'password'), 'utf8').trim();
    return port === undefined ? undefined : `redis://default:${encodeURIComponent(password)}@127.0.0.1:${port}`;
  } catch {
    return undefined;
  }
}

async function embeddedProgram(): Promise<Diagnosis> {
  const what = 'Redis';
  try {
    const { version, path } = await findRedisServer({ cacheDir: join(projectRoot, '.cache', 'redis') });
    return ok(what, `embedded, not running; ${path} ${version} starts with the server`);
  } catch (error) {
    return failed(what, messageOf(error), 'install Redis 7.0 or newer, or set [redis] url');
  }
}

function remedyOf(detail: string): string {
  if (/ECONNREFUSED|ETIMEDOUT|ENOTFOUND|timed out|EAI_AGAIN/.test(detail)) return 'start Redis, or mend [redis] url';
  if (/WRONGPASS|NOAUTH/.test(detail)) return 'put the right user and password into [redis] url';
  if (/NOPERM/.test(detail)) return 'give the user of [redis] url all commands and keys';
  return 'look at [redis] url, and at the log of Redis';
}

async function examineServer(client: Redis, config: Config): Promise<Diagnosis[]> {
  const found: Diagnosis[] = [];
  const version = /^redis_version:(\S+)/m.exec(await client.info('server'))?.[1] ?? 'unknown';
  const [major = 0] = version.split('.').map(Number);
  found.push(
    major >= 7
      ? ok('Redis', version)
      : failed('Redis', `${version} is too old`, 'install Redis 7.0 or newer: functions and selectors are needed'),
  );
  for (const [name, { wanted, consequence, worst }] of Object.entries(settings)) {
    const [, value = ''] = (await client.config('GET', name)) as string[];
    found.push(
      value === wanted
        ? ok(`Redis ${name}`, value)
        : worst(
            `Redis ${name}`,
            `${value || 'unknown'}: ${consequence}`,
            `CONFIG SET ${name} ${wanted}, and in redis.conf`,
          ),
    );
  }
  const [seconds = '0', micros = '0'] = (await client.time()).map(String);
  const driftMs = Math.round(Math.abs(Number(seconds) * 1000 + Number(micros) / 1000 - Date.now()));
  found.push(
    driftMs <= clockDriftMsMax
      ? ok('clock', `${driftMs} ms from that of Redis`)
      : failed(
          'clock',
          `${driftMs} ms from that of Redis`,
          'run an NTP client (chrony, systemd-timesyncd) on both machines',
        ),
  );
  found.push(await functions(client));
  if (config.redis.manage_acl ?? isRedisEmbedded(config)) found.push(await users(client));
  return found;
}

async function functions(client: Redis): Promise<Diagnosis> {
  const libraries = (await client.call('FUNCTION', 'LIST', 'LIBRARYNAME', 'orchestrator_*')) as unknown[];
  return ok(
    'Redis functions',
    libraries.length > 0 ? `${libraries.length} loaded` : 'none yet: the first start loads them',
  );
}

async function users(client: Redis): Promise<Diagnosis> {
  try {
    const names = (await client.call('ACL', 'USERS')) as string[];
    return ok('Redis users', `${names.length}; agents get their own`);
  } catch (error) {
    return failed('Redis users', messageOf(error), 'allow ACL to the user of [redis] url, or set manage_acl = false');
  }
}
