/**
 * A runtime in a process of its own, for tests that kill, freeze or cut it off. Started compiled, because it must be up in
 * a fraction of a second; it ends with the process that started it.
 */
import { pathToFileURL } from 'node:url';
import { application, createRegistry } from '../../actors/application.ts';
import type { Definition } from '../../runtime/core/definition.ts';
import { Supervisor } from '../../runtime/host/supervisor.ts';
import { createSystem } from '../../runtime/host/system.ts';
import type { Log } from '../../runtime/ports.ts';
import { keyspace } from '../../runtime/protocol/keys.ts';
import { RedisMembership } from '../../runtime/redis/membership.ts';
import { RedisShardStore } from '../../runtime/redis/shardstore.ts';
import { dataShards } from '../../runtime/protocol/ids.ts';

export interface RuntimeProcessSettings {
  url: string;
  /** Addresses of nodes, where it is a Redis Cluster. */
  cluster?: readonly string[];
  prefix: string;
  shards: number;
  owner: string;
  leaseTtlMs: number;
  memberTtlMs: number;
  balanceEveryMs: number;
  /** Path of a compiled module whose export `definitions` is registered beside the built-in ones. */
  definitions?: string;
}

const settings = JSON.parse(process.argv[2] ?? '{}') as RuntimeProcessSettings;

function line(level: string): (fields: object, message: string) => void {
  return (fields, message) => {
    process.stdout.write(`${JSON.stringify({ level, owner: settings.owner, message, ...fields })}\n`);
  };
}

const log: Log = { debug: () => undefined, info: line('info'), warn: line('warn'), error: line('error') };
const loaded = settings.definitions
  ? ((await import(pathToFileURL(settings.definitions).href)) as { definitions: readonly Definition[] })
  : { definitions: [] };

const system = createSystem();
const common = {
  redis: { url: settings.url, name: settings.owner, ...(settings.cluster && { cluster: settings.cluster }) },
  space: keyspace(settings.prefix),
  system,
  log,
};
// A reader that never acknowledges keeps the whole journal, so that it can be replayed.
const store = new RedisShardStore({ ...common, journalReaders: ['replay'] });
const membership = new RedisMembership(common);
const supervisor = new Supervisor({
  store,
  membership,
  registry: createRegistry(loaded.definitions),
  application,
  system,
  telemetry: {
    committed: () => undefined,
    transition: () => undefined,
    outcome: () => undefined,
    measured: () => undefined,
    takenUp: () => undefined,
    readAge: () => undefined,
  },
  log,
  siteEpoch: 1,
  shards: dataShards(settings.shards),
  owner: settings.owner,
  attach: () => [],
  leaseTtlMs: settings.leaseTtlMs,
  memberTtlMs: settings.memberTtlMs,
  balanceEveryMs: settings.balanceEveryMs,
});

process.stdin.on('end', () => process.exit(0)).resume();
process.once('SIGTERM', () => {
  void supervisor.stop().then(() => {
    store.close();
    membership.close();
    process.exit(0);
  });
});

await supervisor.start();
log.info({ shards: supervisor.shards }, 'runtime started');
