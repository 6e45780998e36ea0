/** Everything that the adapter promises on one Redis, on a Redis Cluster: three masters, three replicas. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { configSchema } from '../../config/schema.ts';
import { keyspace } from '../../runtime/protocol/keys.ts';
import { createAgent } from '../../scripts/agents/client/agent.ts';
import { examineRedis } from '../../scripts/doctor/redis.ts';
import { damageSuite } from '../conformance/damage.suite.ts';
import { redisBed, type RedisBed } from '../conformance/redisbed.ts';
import { shardStoreSuite } from '../conformance/shardstore.suite.ts';
import { newSeed } from '../support/chance.ts';
import { runDisturbed } from '../support/disturbed.ts';
import { startProgram } from '../support/program-site.ts';
import { RedisCluster } from '../support/rediscluster.ts';
import { createDatabase } from '../support/servers.ts';

let cluster: RedisCluster;
beforeAll(async () => {
  cluster = await RedisCluster.start();
});
afterAll(() => cluster.dispose());

describe('on a cluster', () => {
  let bed: RedisBed;
  beforeAll(async () => {
    bed = await redisBed(cluster.urls);
  });
  afterAll(() => bed.close());
  shardStoreSuite(() => bed);
  damageSuite(() => bed);
});

test('a whole site on it: REST, agents with users of their own, lists, through a fail-over and a move', async () => {
  const shards = 4;
  const prefix = 'site:';
  const config = configSchema.parse({
    primary_server: { host: '127.0.0.1', port: 0 },
    metrics: { host: '127.0.0.1', port: 0 },
    orchestrator: { shards, max_agents: 20 },
    redis: { cluster: cluster.urls.slice(1, 3), prefix, manage_acl: true },
    postgres: { url: await createDatabase('cluster') },
    rate_limits: { subject_per_minute: 100_000 },
  });
  const site = await startProgram(config);
  const types = Array.from({ length: 8 }, (_, index) => `type${index}`);
  const agents = types.map((type) =>
    createAgent({
      ...{ api: site.running.apiUrl!, token: site.token, type, slots: 4 },
      handler: (task) => Promise.resolve(task.parameters),
    }),
  );
  const work = async (round: number): Promise<void> => {
    const submit = async (type: string): Promise<string> => {
      let answer: Record<string, unknown> = {};
      const headers = { 'Idempotency-Key': `${type}-${round}`, Prefer: 'respond-async' };
      const body = { type, parameters: { round } };
      await expect
        .poll(async () => (answer = await site.call('/tasks', body, headers))['id'], { timeout: 40_000 })
        .toEqual(expect.any(String));
      return String(answer['id']);
    };
    const ids = await Promise.all(types.map(submit));
    for (const id of ids) {
      let task: Record<string, unknown> = {};
      // Whoever is asked while a master is away says so; the task goes on.
      await expect
        .poll(
          async () => {
            task = await site.call(`/tasks/${id}`, undefined, { Prefer: 'wait=5' });
            return task['status'];
          },
          { timeout: 40_000 },
        )
        .toBe('succeeded');
      expect(task['result']).toEqual({ round });
    }
  };
  try {
    await Promise.all(agents.map((agent) => agent.start()));
    await work(1);
    const space = keyspace(prefix);
    expect(await cluster.moveSlot(space.shard(1).lease, 0)).toBeGreaterThan(3);
    await work(2);
    const killed = await cluster.failOver(space.shard(0).lease);
    await work(3);
    await cluster.restart(killed);
    await cluster.whole();
    await work(4);
    await expect
      .poll(async () => ((await site.call('/tasks?limit=100'))['items'] as unknown[]).length)
      .toBe(4 * types.length);
  } finally {
    await Promise.all(agents.map((agent) => agent.stop()));
    await site.stop();
  }
}, 120_000);

test('the doctor looks at every node that is named', async () => {
  const named = cluster.urls.slice(0, 2);
  const config = configSchema.parse({ redis: { cluster: named } });
  const found = await examineRedis(config);
  for (const node of named) {
    const own = found.filter(({ what }) => what.endsWith(new URL(node).host));
    expect(own.map(({ what }) => what.split(' ')[0])).toEqual(expect.arrayContaining(['Redis', 'clock']));
    expect(own.filter(({ outcome }) => outcome === 'failed')).toEqual([]);
  }
  const away = configSchema.parse({ redis: { cluster: ['redis://127.0.0.1:1'] } });
  expect(await examineRedis(away)).toMatchObject([{ outcome: 'failed', what: 'Redis 127.0.0.1:1' }]);
});

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test(
  'R1 R5 R7 R9 R11: masters are killed, slots move and runtimes die under load: nothing is lost or applied twice',
  { timeout: 120_000 },
  async () => {
    await runDisturbed({
      seed: newSeed(),
      tasks: 1_500,
      overMs: 18_000,
      url: cluster.urls[0]!,
      cluster: cluster.urls,
      disturb: async (fleet, chance, space) => {
        await pause(1_000);
        const killed = await cluster.failOver(space.shard(chance.below(8)).lease);
        await pause(1_000);
        await cluster.restart(killed);
        await cluster.whole();
        // Slot by slot and key by key, with a runtime killed meanwhile.
        for (let shard = 0; shard < 3; shard++) {
          const moving = cluster.moveSlot(space.shard(shard).lease, 50);
          if (shard === 1) await fleet.replace(chance.below(3));
          expect(await moving).toBeGreaterThan(5);
        }
        const again = await cluster.failOver(space.shard(0).lease);
        await fleet.replace(chance.below(3));
        await cluster.restart(again);
        await cluster.whole();
      },
    });
  },
);
