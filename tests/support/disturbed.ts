/** One run under fire: load, agents and runtime processes, disturbed for a time, then the audit of what stands. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { expect } from 'vitest';
import { createRegistry } from '../../actors/application.ts';
import { createSystem } from '../../runtime/host/system.ts';
import { keyspace, type Keyspace } from '../../runtime/protocol/keys.ts';
import { openClient } from '../../runtime/redis/client.ts';
import { RedisGateway } from '../../runtime/redis/gateway.ts';
import { Chance } from './chance.ts';
import { rootDir } from './folders.ts';
import { quiet, settledTasks, startAgents, submitLoad, submitTallies, tallyDifferences } from './load.ts';
import { replaySite } from './replay.ts';
import { RuntimeFleet } from './runtimes.ts';
import { MemoryLog } from './site.ts';
import { definitions } from './tally.ts';

const shards = 8;
const types = ['red', 'orange', 'yellow', 'green', 'blue', 'violet'];

export interface Run {
  seed: number;
  tasks: number;
  overMs: number;
  url: string;
  /** Addresses of nodes, where it is a Redis Cluster. */
  cluster?: readonly string[];
  /** Where the runtimes find Redis, if by another way; agents and commands always come by the straight one. */
  runtimeUrl?: string;
  disturb: (fleet: RuntimeFleet, chance: Chance, space: Keyspace) => Promise<void>;
}

/** Every task ends, nothing is applied twice, nothing is left over, and nobody logs an error. */
export async function runDisturbed({ seed, tasks, overMs, url, cluster, runtimeUrl, disturb }: Run): Promise<void> {
  const prefix = `c${randomBytes(5).toString('hex')}:`;
  const space = keyspace(prefix);
  const chance = new Chance(seed);
  const nodes = cluster && { cluster };
  const settings = { url, name: 'disturbed', ...nodes };
  const gateway = new RedisGateway({ redis: settings, space, system: createSystem(), log: new MemoryLog() });
  const redis = openClient(settings, { offlineQueue: true, sendOnce: false });
  redis.on('error', () => undefined);
  const fleet = new RuntimeFleet({
    ...{ url: runtimeUrl ?? url, prefix, shards, ...nodes },
    leaseTtlMs: 600,
    memberTtlMs: 600,
    balanceEveryMs: 150,
    definitions: join(rootDir, '.build/tests/support/tally.js'),
  });
  const failed: string[] = [];
  try {
    await fleet.start(3);
    const agents = await startAgents({ url, ...nodes, space, shards, types, count: 20, chance });
    const [ids, sent] = await Promise.all([
      submitLoad({ gateway, shards, types, tasks, overMs, chance }),
      submitTallies({ gateway, shards, overMs, chance }),
      disturb(fleet, chance, space),
    ]);
    const open = await settledTasks(redis, space, shards, ids, 60_000);
    await Promise.all(agents.map((agent) => agent.stop()));
    const left = await quiet(redis, space, shards, 10_000);
    await fleet.stop();
    const report = await replaySite(redis, space, shards, createRegistry(definitions));
    const differences = await tallyDifferences(redis, space, sent);
    const { violations, setAside, ...counts } = report;
    console.log(
      `seed ${seed}: ${JSON.stringify({ ...counts, runtimes: fleet.started, registrations: agents.reduce((sum, agent) => sum + agent.registrations, 0) })}`,
    );
    if (left > 0) failed.push(`${left} entries are left over`);
    failed.push(...differences, ...open.slice(0, 20), ...violations, ...setAside.slice(0, 20));
    failed.push(...fleet.errors.slice(0, 20).map((line) => JSON.stringify(line)), ...fleet.ends);
    const ended = Object.entries(report.tasks).reduce((sum, [, count]) => sum + count, 0);
    if (ended !== tasks) failed.push(`${ended} tasks of ${tasks}`);
  } finally {
    await fleet.stop();
    gateway.close();
    redis.disconnect();
  }
  expect(failed, `repeat with TEST_SEED=${seed}`).toEqual([]);
}
