/** Who owns a shard, and what becomes of an owner that does not know yet that it is none. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createRegistry } from '../../actors/application.ts';
import { createSystem } from '../../runtime/host/system.ts';
import type { Membership, ShardStore } from '../../runtime/ports.ts';
import { keyspace, runtimeGroup, type Keyspace } from '../../runtime/protocol/keys.ts';
import { RedisGateway } from '../../runtime/redis/gateway.ts';
import { RedisShardStore } from '../../runtime/redis/shardstore.ts';
import { Chance } from '../support/chance.ts';
import { rootDir } from '../support/folders.ts';
import { quiet, submitTallies, tallyDifferences } from '../support/load.ts';
import { replaySite } from '../support/replay.ts';
import { RuntimeProcess, type RuntimeSettings } from '../support/runtimes.ts';
import { useRedis } from '../support/servers.ts';
import { MemoryLog, startSite } from '../support/site.ts';
import { definitions, tallyAddress, tallyOf } from '../support/tally.ts';
import { patienceMs } from '../support/patience.ts';

const shards = 8;
const leaseTtlMs = 600;

let url: string;
let redis: Redis;
let gateway: RedisGateway;
let space: Keyspace;
let settings: RuntimeSettings;
let running: RuntimeProcess[];
let started = 0;

beforeAll(async () => {
  ({ url } = await useRedis());
});
beforeEach(() => {
  const prefix = `o${randomBytes(5).toString('hex')}:`;
  space = keyspace(prefix);
  redis = new Redis(url);
  gateway = new RedisGateway({ redis: { url, name: 'takeover' }, space, system: createSystem(), log: new MemoryLog() });
  settings = {
    url,
    prefix,
    shards,
    leaseTtlMs,
    memberTtlMs: leaseTtlMs,
    balanceEveryMs: 150,
    definitions: join(rootDir, '.build/tests/support/tally.js'),
  };
  running = [];
});
afterEach(async () => {
  await Promise.all(running.map((runtime) => runtime.kill()));
  gateway.close();
  redis.disconnect();
});
async function launch(changes: Partial<RuntimeSettings> = {}): Promise<RuntimeProcess> {
  const runtime = new RuntimeProcess({ ...settings, ...changes }, `owner-${++started}`);
  running.push(runtime);
  return runtime.started();
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Owner -> number of shards whose lease it holds now. */
async function holdings(): Promise<Record<string, number>> {
  const [seconds] = await redis.time();
  const held: Record<string, number> = {};
  for (let shard = 0; shard < shards; shard++) {
    const [owner, expires] = await redis.hmget(space.shard(shard).lease, 'owner', 'expires');
    if (owner && Number(expires) > Number(seconds) * 1_000) held[owner] = (held[owner] ?? 0) + 1;
  }
  return held;
}

async function sorted(): Promise<number[]> {
  return Object.values(await holdings()).sort();
}

/** @returns milliseconds until the leases were spread like this */
async function spread(wanted: Record<string, number>, deadlineMs = patienceMs): Promise<number> {
  const from = performance.now();
  for (;;) {
    const held = await holdings();
    const same = Object.keys({ ...held, ...wanted }).every((owner) => held[owner] === wanted[owner]);
    const ms = performance.now() - from;
    if (same) return ms;
    if (ms > deadlineMs)
      throw new Error(`after ${deadlineMs} ms ${JSON.stringify(held)}, not ${JSON.stringify(wanted)}`);
    await pause(20);
  }
}

async function auditAfterwards(sent: readonly number[]): Promise<void> {
  expect(await quiet(redis, space, shards, 15_000)).toBe(0);
  await Promise.all(running.map((runtime) => runtime.stop()));
  expect(await tallyDifferences(redis, space, sent)).toEqual([]);
  const report = await replaySite(redis, space, shards, createRegistry(definitions));
  expect(report.violations).toEqual([]);
  expect(report.setAside).toEqual([]);
  expect(running.flatMap((runtime) => runtime.lines).filter((line) => line.level === 'error')).toEqual([]);
}

test('R5 R7: processes share the shards evenly as they come, and take over from one that is killed', async () => {
  const first = await launch();
  await spread({ [first.owner]: 8 });
  const second = await launch();
  await spread({ [first.owner]: 4, [second.owner]: 4 });
  const third = await launch();
  await expect.poll(sorted).toEqual([2, 3, 3]);
  await first.kill();
  await third.kill();
  await spread({ [second.owner]: 8 });
});

test('R7: a process that stops in good order gives its shards back at once, whatever its lease', async () => {
  const slow = { leaseTtlMs: 60_000, memberTtlMs: 60_000 };
  const first = await launch(slow);
  const second = await launch(slow);
  await spread({ [first.owner]: 4, [second.owner]: 4 });
  expect(await first.stop()).toBe('0');
  const ms = await spread({ [second.owner]: 8 });
  expect(ms).toBeLessThan(slow.leaseTtlMs / 2);
});

/** Shard -> the longest time between two commits of its journal, in milliseconds of the clock of Redis. */
async function longestPauses(): Promise<number[]> {
  return Promise.all(
    Array.from({ length: shards }, async (_, shard) => {
      const entries = await redis.xrange(space.shard(shard).journal, '-', '+');
      const times = entries.map(([id]) => Number(id.split('-')[0]));
      return Math.max(...times.slice(1).map((time, index) => time - times[index]!));
    }),
  );
}

test(
  'R1 R5 R7: shards move as processes join and leave under load: no pause beyond a lease, nothing lost',
  { timeout: 90_000 },
  async () => {
    // As far apart as in a deployment, so that a lease that had to run out would show.
    const leased = { leaseTtlMs: 4_000, memberTtlMs: 4_000 };
    const first = await launch(leased);
    await spread({ [first.owner]: 8 });
    const changes = async (): Promise<void> => {
      const second = await launch(leased);
      await spread({ [first.owner]: 4, [second.owner]: 4 });
      const third = await launch(leased);
      await expect.poll(sorted).toEqual([2, 3, 3]);
      await second.stop();
      await spread({ [first.owner]: 4, [third.owner]: 4 });
    };
    const [sent] = await Promise.all([
      submitTallies({ gateway, shards, overMs: 12_000, chance: new Chance(1) }),
      changes(),
    ]);
    const pauses = await longestPauses();
    console.log(`longest pause of each shard: ${pauses.join(', ')} ms`);
    expect(Math.max(...pauses)).toBeLessThan(leased.leaseTtlMs);
    await auditAfterwards(sent);
  },
);

test(
  'R1 R5 R7 R9: an owner that is frozen beyond its lease writes nothing when it wakes',
  { timeout: 60_000 },
  async () => {
    const [first, second] = [await launch(), await launch()];
    await spread({ [first.owner]: 4, [second.owner]: 4 });
    const load = submitTallies({ gateway, shards, overMs: 12_000, chance: new Chance(1) });
    for (let round = 0; round < 4; round++) {
      const [frozen, other] = round % 2 === 0 ? [first, second] : [second, first];
      await pause(300);
      frozen.freeze();
      await spread({ [other.owner]: 8 });
      await pause(200);
      frozen.thaw();
      await spread({ [first.owner]: 4, [second.owner]: 4 });
    }
    const sent = await load;
    const lost = [first, second].flatMap(({ lines }) => lines).filter((line) => line.message === 'shard lost');
    expect(lost.length).toBeGreaterThanOrEqual(8);
    await auditAfterwards(sent);
  },
);

/** An owner that takes its lease for renewed although nobody was asked: only Redis can stop it. */
function deluded(store: ShardStore, outcomes: string[]): ShardStore {
  return new Proxy(store, {
    get: (target, name: keyof ShardStore) => {
      if (name === 'renew') return () => Promise.resolve(true);
      if (name !== 'commit') return (target[name] as (...args: unknown[]) => unknown).bind(target);
      return async (...args: Parameters<ShardStore['commit']>) => {
        const outcome = await target.commit(...args);
        outcomes.push(outcome.outcome);
        return outcome;
      };
    },
  });
}

test('R5 R7: commits of an owner that believes in a lease it lost are refused, and what it read is not lost', async () => {
  const { prefix } = settings;
  const alone: Membership = { join: (member) => Promise.resolve([member]), leave: () => Promise.resolve() };
  const common = { redis: { url, name: 'deluded' }, space, system: createSystem(), log: new MemoryLog() };
  const store = new RedisShardStore({ ...common, journalReaders: ['replay'] });
  const outcomes: string[] = [];
  const times = { leaseTtlMs: 400, balanceEveryMs: 100, membership: alone };
  const stale = await startSite({
    url,
    shards,
    prefix,
    definitions,
    settings: { ...times, store: deluded(store, outcomes) },
  });
  const sent = Array.from({ length: shards }, () => 0);
  const add = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index++) {
      const shard = index % shards;
      const next = tallyOf((shard + 1) % shards);
      const id = `stale-${shard}-${++sent[shard]!}`;
      await gateway.publish(shard, [{ id, to: tallyAddress(tallyOf(shard)), event: { type: 'add', next } }]);
    }
  };
  await add(40);
  expect(await quiet(redis, space, shards, 5_000)).toBe(0);
  await pause(500);
  const present = await startSite({ url, shards, prefix, definitions, settings: times });
  try {
    expect(present.supervisor.shards).toHaveLength(shards);
    await add(200);
    await auditAfterwards(sent);
    expect(outcomes).toContain('committed');
    expect(outcomes).toContain('stale');
    expect(stale.supervisor.shards).toEqual([]);
  } finally {
    await stale.stop();
    await present.stop();
    store.close();
  }
}, 30_000);

test(
  'R1: entries that another consumer read and never committed are claimed, late but once',
  { timeout: 30_000 },
  async () => {
    await launch();
    // Reads as an owner would that froze at the wrong moment: before the present one, and without committing.
    const zombie = new Redis(url);
    const { commands } = space.shard(1);
    try {
      const stolen = zombie.xreadgroup(
        'GROUP',
        runtimeGroup,
        'zombie',
        'COUNT',
        3,
        'BLOCK',
        10_000,
        'STREAMS',
        commands,
        '>',
      );
      await pause(1_200);
      const sent = Array.from({ length: shards }, () => 0);
      for (let number = 0; number < 40; number++) {
        // From shard 0 through the relay into shard 1, whose present owner sees the later ones first.
        const next = tallyOf(1);
        await gateway.publish(0, [
          { id: `steal-${number}`, to: tallyAddress(tallyOf(0)), event: { type: 'add', next } },
        ]);
        sent[0]!++;
        await pause(5);
      }
      expect(JSON.stringify(await stolen)).toContain('relayed');
      await auditAfterwards(sent);
    } finally {
      zombie.disconnect();
    }
  },
);
