/** A runtime over a real Redis, in the test's own process: supervisor, gateway and journals under a fresh key prefix. */
import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { application, createRegistry } from '../../actors/application.ts';
import type { Definition } from '../../runtime/core/definition.ts';
import { viewOfStored } from '../../runtime/protocol/snapshot.ts';
import type { ActorView } from '../../runtime/protocol/snapshot.ts';
import { Supervisor, type SupervisorSettings } from '../../runtime/host/supervisor.ts';
import { createSystem } from '../../runtime/host/system.ts';
import type { Log, Telemetry } from '../../runtime/ports.ts';
import type { Command } from '../../runtime/protocol/envelope.ts';
import { dataShards, parseAddress, shardOfLane, type Address } from '../../runtime/protocol/ids.ts';
import { keyspace, type Keyspace } from '../../runtime/protocol/keys.ts';
import { RedisGateway } from '../../runtime/redis/gateway.ts';
import { RedisJournalReader } from '../../runtime/redis/journal.ts';
import { RedisMembership } from '../../runtime/redis/membership.ts';
import { RedisShardStore } from '../../runtime/redis/shardstore.ts';
import { patienceMs } from './patience.ts';

export const silentTelemetry: Telemetry = {
  committed: () => undefined,
  transition: () => undefined,
  outcome: () => undefined,
  measured: () => undefined,
  takenUp: () => undefined,
  readAge: () => undefined,
};

/** Warnings and errors are kept, so that a test can say that there were none. */
export class MemoryLog implements Log {
  readonly lines: { level: string; fields: object; message: string }[] = [];
  debug(f: object, m: string): void {
    if (process.env['LOUD']) console.log(m, f);
  }
  info(f: object, m: string): void {
    if (process.env['LOUD']) console.log(m, f);
  }
  warn(fields: object, message: string): void {
    if (process.env['LOUD']) console.log(message, fields);
    this.lines.push({ level: 'warn', fields, message });
  }
  error(fields: object, message: string): void {
    if (process.env['LOUD']) console.log(message, fields);
    this.lines.push({ level: 'error', fields, message });
  }
}

export interface Site {
  space: Keyspace;
  shards: number;
  redis: Redis;
  gateway: RedisGateway;
  journals: RedisJournalReader;
  store: RedisShardStore;
  supervisor: Supervisor;
  log: MemoryLog;
  send(command: Command): Promise<void>;
  view(address: Address): Promise<ActorView | undefined>;
  /** Waits until the actor's view fulfils the condition. */
  until(address: Address, condition: (view: ActorView) => boolean, deadlineMs?: number): Promise<ActorView>;
  stop(): Promise<void>;
}

export interface SiteOptions {
  url: string;
  shards?: number;
  prefix?: string;
  definitions?: readonly Definition[];
  settings?: Partial<SupervisorSettings>;
}

export async function startSite({ url, shards = 2, prefix, definitions = [], settings }: SiteOptions): Promise<Site> {
  const space = keyspace(prefix ?? `t${randomBytes(5).toString('hex')}:`);
  const system = createSystem();
  const log = new MemoryLog();
  const common = { redis: { url, name: 'test' }, space, system, log };
  const store = new RedisShardStore({ ...common, journalReaders: [] });
  const gateway = new RedisGateway(common);
  const journals = new RedisJournalReader(common);
  const membership = new RedisMembership(common);
  const supervisor = new Supervisor({
    store,
    membership,
    registry: createRegistry(definitions),
    application,
    system,
    telemetry: silentTelemetry,
    log,
    siteEpoch: 11,
    shards: dataShards(shards),
    owner: `test-${system.ulid()}`,
    attach: () => [],
    ...settings,
  });
  const redis = new Redis(url);
  await supervisor.start();
  const view = async (address: Address): Promise<ActorView | undefined> => {
    const text = await gateway.snapshot(address);
    return text === undefined ? undefined : viewOfStored(parseAddress(address)!.id, text);
  };
  return {
    space,
    shards,
    redis,
    gateway,
    journals,
    store,
    supervisor,
    log,
    view,
    send: (command) => gateway.publish(parseAddress(command.to)!.shard, [command]),
    until: async (address, condition, deadlineMs = patienceMs) => {
      const end = performance.now() + deadlineMs;
      let last: ActorView | undefined;
      while (performance.now() < end) {
        last = await view(address);
        if (last && condition(last)) return last;
        await system.sleep(5);
      }
      throw new Error(`${address} did not get there within ${deadlineMs} ms; last seen ${JSON.stringify(last)}`);
    },
    stop: async () => {
      await supervisor.stop();
      store.close();
      gateway.close();
      journals.close();
      membership.close();
      redis.disconnect();
    },
  };
}

export function laneShard(type: string, shards: number): number {
  return shardOfLane(type, 0, shards);
}
