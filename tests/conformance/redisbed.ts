/** The Redis adapter as a bed: a real server, keys under a prefix of its own. */
import { randomBytes } from 'node:crypto';
import { createSystem } from '../../runtime/host/system.ts';
import type { Log } from '../../runtime/ports.ts';
import { agentGroup, keyspace } from '../../runtime/protocol/keys.ts';
import { openClient, serversOf, type Client } from '../../runtime/redis/client.ts';
import { Connection } from '../../runtime/redis/connection.ts';
import { RedisGates } from '../../runtime/redis/gates.ts';
import { RedisGateway } from '../../runtime/redis/gateway.ts';
import { RedisJournalReader } from '../../runtime/redis/journal.ts';
import { RedisMembership } from '../../runtime/redis/membership.ts';
import { RedisShardStore } from '../../runtime/redis/shardstore.ts';
import { useRedis } from '../support/servers.ts';
import { MemoryLog } from '../support/site.ts';
import type { Bed, RawEntry } from './bed.ts';

type RawAnswer = [id: string, fields: string[]][];

export interface RedisBed extends Bed {
  redis: Client;
  log: MemoryLog;
}

/** @param cluster addresses of nodes; without them the shared Redis */
export async function redisBed(cluster?: readonly string[]): Promise<RedisBed> {
  const url = cluster?.[0] ?? (await useRedis()).url;
  const settings = { url, name: 'conformance', ...(cluster && { cluster }) };
  const redis = openClient(settings, { offlineQueue: true, sendOnce: false });
  const space = keyspace(`c${randomBytes(5).toString('hex')}:`);
  const system = createSystem();
  const log = new MemoryLog();
  const common = { redis: settings, space, system, log: log as Log };
  const store = new RedisShardStore({ ...common, journalReaders: [] });
  const gateway = new RedisGateway(common);
  const journals = new RedisJournalReader(common);
  const membership = new RedisMembership(common);
  const connection = new Connection(common.redis, system, common.log);
  const opened: { close(): void }[] = [store, gateway, journals, membership, connection];
  // The gateway refuses at once while there is no link; give it one first.
  while ((await gateway.snapshot('task/t-0-none').catch(() => 'not yet')) !== undefined) await system.sleep(5);
  return {
    name: cluster ? 'cluster' : 'redis',
    space,
    system,
    redis,
    log,
    store,
    gateway,
    journals,
    membership,
    gates: new RedisGates(space, connection),
    sawAhead: async (shard, byMs) =>
      void (await redis.hset(space.shard(shard).lease, 'gate_seen', system.now() + byMs)),
    janitor: (journalReaders, clock) => {
      const janitor = new RedisShardStore({ ...common, system: clock, journalReaders });
      opened.push(janitor);
      return janitor;
    },
    append: async (key, fields) => (await redis.xadd(key, '*', ...fields))!,
    stream: async (key) => entries((await redis.xrange(key, '-', '+')) as RawAnswer),
    remove: async (key) => void (await redis.del(key)),
    receive: async (inbox, count) => {
      const answer = await redis.xreadgroup('GROUP', agentGroup, 'agent', 'COUNT', count, 'STREAMS', inbox, '>');
      return entries((answer as [string, RawAnswer][] | null)?.[0]?.[1] ?? []);
    },
    acknowledge: async (inbox, ids) => void (await redis.xack(inbox, agentGroup, ...ids)),
    contents: async () => {
      const contents = new Map<string, string>();
      for (const key of await keysOf(redis, space.prefix)) {
        const bytes = await redis.dumpBuffer(key);
        contents.set(key, bytes?.toString('hex') ?? '');
      }
      return contents;
    },
    close: async () => {
      for (const service of opened) service.close();
      for (const key of await keysOf(redis, space.prefix)) await redis.del(key);
      redis.disconnect();
    },
  };
}

async function keysOf(redis: Client, prefix: string): Promise<string[]> {
  return (await Promise.all(serversOf(redis, 'master').map((server) => server.keys(`${prefix}*`)))).flat();
}

function entries(answer: RawAnswer): RawEntry[] {
  return answer.map(([id, fields]) => ({ id, fields }));
}
