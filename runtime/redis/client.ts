/**
 * A client of one Redis, or of a Redis Cluster: the same commands on both. On a cluster a call goes to the master that has
 * its keys, follows them when they move, and is sent again where the master went away, unless it must be sent once only.
 */
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { limits } from '../../config/limits.ts';

export interface RedisSettings {
  url: string;
  /** Addresses of some nodes of a cluster, which name the others; `url` is then one of them. */
  cluster?: readonly string[];
  /** For `rediss://`: read anew at each connection, so that a certificate can be renewed in place. */
  tls?: RedisOptions['tls'];
  /** Shown in CLIENT LIST. */
  name: string;
}

export interface LinkOptions {
  /** Keep calls back while there is no link, instead of refusing them. */
  offlineQueue: boolean;
  /** End a call whose link ends, instead of sending it again on the next one. */
  sendOnce: boolean;
}

export type Client = Redis | Cluster;

export function openClient(settings: RedisSettings, options: LinkOptions): Client {
  return settings.cluster ? openCluster(settings, settings.cluster, options) : openRedis(settings, options);
}

function linkOptions({ name, tls }: RedisSettings): Pick<RedisOptions, 'connectionName' | 'connectTimeout' | 'tls'> {
  return { connectionName: name, connectTimeout: limits.callDeadlineMs, ...(tls && { tls }) };
}

function openRedis(settings: RedisSettings, { offlineQueue, sendOnce }: LinkOptions): Redis {
  return new Redis(settings.url, {
    ...linkOptions(settings),
    keepAlive: 10_000,
    enableOfflineQueue: offlineQueue,
    maxRetriesPerRequest: sendOnce ? 0 : null,
    retryStrategy: (tries) => Math.min(50 * 2 ** Math.min(tries, 5), 1_000),
  });
}

function openCluster(settings: RedisSettings, nodes: readonly string[], options: LinkOptions): Cluster {
  const addresses = nodes.map((node) => new URL(node));
  // Nodes that are found later have the same users as those that are named.
  const { username = '', password = '', protocol } = addresses[0] ?? {};
  return new Cluster(
    addresses.map(({ hostname, port }) => ({ host: hostname, port: Number(port || 6379) })),
    {
      enableOfflineQueue: options.offlineQueue,
      // What ended with its link may have been done; what was redirected was not.
      ...(options.sendOnce && { retryDelayOnFailover: 0 }),
      clusterRetryStrategy: (tries) => Math.min(50 * 2 ** Math.min(tries, 5), 1_000),
      slotsRefreshTimeout: limits.callDeadlineMs,
      slotsRefreshInterval: limits.clusterRefreshEveryMs,
      // Certificates name hosts, not the addresses that these have at the moment.
      dnsLookup: (host, callback) => callback(null, host),
      redisOptions: {
        ...linkOptions(settings),
        keepAlive: 10_000,
        ...(username !== '' && { username: decodeURIComponent(username) }),
        ...(password !== '' && { password: decodeURIComponent(password) }),
        ...(protocol === 'rediss:' && { tls: settings.tls ?? {} }),
      },
    },
  );
}

/** Every server behind the client that is known at present: what is not kept by keys is asked and told each of them. */
export function serversOf(client: Client, role: 'master' | 'all'): Redis[] {
  return client instanceof Cluster ? client.nodes(role) : [client];
}
