/**
 * The promise of the runtime under fire: whatever is killed, cut or restarted, every task that was accepted comes to its
 * end, and no transition is applied twice. `TEST_SEED` repeats a run; `CRASH_SECONDS` makes the first one longer or shorter.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createRegistry } from '../../actors/application.ts';
import { createSystem } from '../../runtime/host/system.ts';
import { keyspace } from '../../runtime/protocol/keys.ts';
import { RedisGateway } from '../../runtime/redis/gateway.ts';
import { Chance, newSeed } from '../support/chance.ts';
import { FaultProxy, type Fault } from '../support/faultproxy.ts';
import { quiet, settledTasks, startAgents, submitLoad, submitTallies, tallyDifferences } from '../support/load.ts';
import { rootDir } from '../support/folders.ts';
import { replaySite } from '../support/replay.ts';
import { RuntimeFleet } from '../support/runtimes.ts';
import { startPrivateRedis, type PrivateServer } from '../support/servers.ts';
import { MemoryLog } from '../support/site.ts';
import { definitions } from '../support/tally.ts';
import type { RunningRedis } from '../../runtime/embedded/redis.ts';

const shards = 8;
const types = ['red', 'orange', 'yellow', 'green', 'blue', 'violet'];
const killEveryMs = 300;
const seconds = Number(process.env['CRASH_SECONDS'] ?? 60);

let server: PrivateServer<RunningRedis>;
beforeAll(async () => {
  server = await startPrivateRedis({ appendfsync: 'always' });
});
afterAll(() => server.dispose());

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

interface Run {
  seed: number;
  tasks: number;
  overMs: number;
  /** Where the runtimes find Redis; agents and commands always come by the straight way. */
  runtimeUrl: string;
  disturb: (fleet: RuntimeFleet, chance: Chance) => Promise<void>;
}

async function run({ seed, tasks, overMs, runtimeUrl, disturb }: Run): Promise<void> {
  const prefix = `c${randomBytes(5).toString('hex')}:`;
  const space = keyspace(prefix);
  const chance = new Chance(seed);
  const gateway = new RedisGateway({
    redis: { url: server.url, name: 'crash-test' },
    space,
    system: createSystem(),
    log: new MemoryLog(),
  });
  const redis = new Redis(server.url, { maxRetriesPerRequest: null });
  redis.on('error', () => undefined);
  const fleet = new RuntimeFleet({
    url: runtimeUrl,
    prefix,
    shards,
    leaseTtlMs: 600,
    memberTtlMs: 600,
    balanceEveryMs: 150,
    definitions: join(rootDir, '.build/tests/support/tally.js'),
  });
  const failed: string[] = [];
  try {
    await fleet.start(3);
    const agents = await startAgents({ url: server.url, space, shards, types, count: 20, chance });
    const [ids, sent] = await Promise.all([
      submitLoad({ gateway, shards, types, tasks, overMs, chance }),
      submitTallies({ gateway, shards, overMs, chance }),
      disturb(fleet, chance),
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

test(
  'R1 R5 R9 R11: kill -9 every 300 ms, and of Redis in the middle: every task ends, nothing is applied twice',
  { timeout: seconds * 1_000 + 120_000 },
  async () => {
    await run({
      seed: newSeed(),
      tasks: Math.round((5_000 * seconds) / 60),
      overMs: seconds * 1_000 - 3_000,
      runtimeUrl: server.url,
      disturb: async (fleet, chance) => {
        const end = performance.now() + seconds * 1_000;
        const middle = performance.now() + seconds * 500;
        let redisKilled = false;
        while (performance.now() < end) {
          await pause(killEveryMs);
          if (!redisKilled && performance.now() > middle) {
            redisKilled = true;
            await server.kill('SIGKILL');
            await server.restart();
          }
          await fleet.replace(chance.below(3));
        }
      },
    });
  },
);

test(
  'R1 R5 R9 R11: replies cut, delayed and swallowed between runtime and Redis: nothing is lost or applied twice',
  { timeout: 150_000 },
  async () => {
    const seed = newSeed();
    const proxy = new FaultProxy(server.port, new Chance(seed));
    const port = await proxy.start();
    const runMs = Math.min(20_000, seconds * 1_000);
    try {
      await run({
        seed,
        tasks: 1_500,
        overMs: runMs - 2_000,
        runtimeUrl: `redis://127.0.0.1:${port}`,
        disturb: async (_fleet, chance) => {
          const faults: Fault[] = [
            { mode: 'cut-before-reply', probability: 0.02 },
            { mode: 'cut-before-reply', probability: 0.2 },
            { mode: 'delay', ms: 20 },
            { mode: 'delay', ms: 300 },
            { mode: 'black-hole' },
            { mode: 'refuse' },
            { mode: 'pass' },
          ];
          const end = performance.now() + runMs;
          // In turns from a random start, so that every run has every fault.
          for (let turn = chance.below(faults.length); performance.now() < end; turn++) {
            proxy.set(faults[turn % faults.length]!);
            await pause(200 + chance.below(800));
          }
          proxy.set({ mode: 'pass' });
        },
      });
      expect(proxy.cuts, `cut replies; repeat with TEST_SEED=${seed}`).toBeGreaterThan(10);
    } finally {
      await proxy.stop();
    }
  },
);
