/**
 * The orchestrator's side of `throughput`: producer, runtime and agents in this one process, on the Redis that is named.
 * Submits go in bulk through the gateway, agents work on raw streams, and a task counts as done when the journal says so.
 * Prints one JSON line: a Measurement, what was verified, and with --profile where the time went.
 */
import { parseArgs } from 'node:util';
import type { Redis } from 'ioredis';
import { createRegistry } from '../../actors/application.ts';
import { limits } from '../../config/limits.ts';
import { createSystem } from '../../runtime/host/system.ts';
import type { Command } from '../../runtime/protocol/envelope.ts';
import { address, makeId } from '../../runtime/protocol/ids.ts';
import { keyspace } from '../../runtime/protocol/keys.ts';
import { RedisShardStore } from '../../runtime/redis/shardstore.ts';
import { laneShard, MemoryLog, startSite } from '../support/site.ts';
import { BenchAgent } from './agent.ts';
import type { Measurement } from './measurement.ts';
import { profiled, type SelfTime } from './profile.ts';
import { JournalProgress } from './progress.ts';
import { verify, type Verified } from './verify.ts';

const type = 'text_processing';
const bulk = 500;

export interface ThroughputResult extends Measurement {
  verified: Verified;
  profile?: SelfTime[];
}

async function redisCpuUs(redis: Redis): Promise<number> {
  const text = await redis.info('cpu');
  const seconds = (field: string): number => Number(new RegExp(`^${field}:([\\d.]+)`, 'm').exec(text)?.[1]);
  return (seconds('used_cpu_user') + seconds('used_cpu_sys')) * 1e6;
}

async function main(): Promise<ThroughputResult> {
  const { values } = parseArgs({
    options: {
      url: { type: 'string' },
      tasks: { type: 'string', default: '50000' },
      warmup: { type: 'string', default: '5000' },
      agents: { type: 'string', default: '5' },
      slots: { type: 'string', default: '100' },
      profile: { type: 'string' },
    },
  });
  if (values.url === undefined) throw new Error('--url is missing: redis://127.0.0.1:PORT');
  const { url, profile: profileFile } = values;
  const tasks = Number(values.tasks);
  const slots = Number(values.slots);

  const system = createSystem();
  const prefix = 'bench:';
  const space = keyspace(prefix);
  const log = new MemoryLog();
  // A reader that never acknowledges: the journal stays whole, so that it can be replayed afterwards.
  const store = new RedisShardStore({
    redis: { url, name: 'bench' },
    space,
    journalReaders: ['bench'],
    system,
    log,
  });
  const site = await startSite({ url, prefix, shards: limits.shardsDefault, settings: { store, log } });
  const shard = laneShard(type, site.shards);
  const progress = new JournalProgress(url, space.shard(shard).journal);

  let failed = (_error: unknown): void => undefined;
  const failure = new Promise<never>((_, reject) => {
    failed = reject;
  });
  failure.catch(() => undefined);
  const agents: BenchAgent[] = [];
  for (let index = 0; index < Number(values.agents); index++) {
    const id = makeId('a', shard, `bench${index}`);
    const to = address('agent', id);
    await site.send({ id: system.ulid(), to, input: { type, slots, max_agents: 1_000 } });
    await site.until(to, (view) => JSON.stringify(view.state).includes('idle'));
    const agent = new BenchAgent({ url, id, slots, inbox: space.inbox(shard, id), outbox: space.outbox(shard, id) });
    agent.start(failed);
    agents.push(agent);
  }

  let submitted = 0;
  const run = async (count: number): Promise<void> => {
    const total = submitted + count;
    const done = progress.until(total);
    done.catch(failed);
    while (submitted < total) {
      const commands: Command[] = [];
      for (let left = Math.min(bulk, total - submitted); left > 0; left--) {
        const id = system.ulid();
        const priority = 1 + (submitted++ % 10);
        commands.push({
          id,
          to: address('task', makeId('t', shard, id)),
          input: { type, parameters: { text: 'hello' }, priority },
        });
      }
      await Promise.race([site.gateway.publish(shard, commands), failure]);
    }
    await Promise.race([done, failure]);
  };

  await run(Number(values.warmup));
  const redisBefore = await redisCpuUs(site.redis);
  const clientBefore = process.cpuUsage();
  const startedMs = performance.now();
  let profile: SelfTime[] | undefined;
  if (profileFile === undefined) await run(tasks);
  else profile = await profiled(profileFile, () => run(tasks));
  const seconds = (performance.now() - startedMs) / 1000;
  const client = process.cpuUsage(clientBefore);
  const redisAfter = await redisCpuUs(site.redis);

  for (const agent of agents) await agent.stop();
  progress.close();
  await site.supervisor.stop();
  const verified = await verify(shard, store, site.journals, createRegistry());
  if (verified.succeeded !== submitted)
    throw new Error(`${submitted} tasks were submitted, ${verified.succeeded} snapshots say succeeded`);
  const [line] = log.lines;
  if (line) throw new Error(`the runtime complained: ${line.message} ${JSON.stringify(line.fields)}`);
  store.close();
  await site.stop();
  return {
    tasks,
    seconds,
    clientCpuUs: client.user + client.system,
    redisCpuUs: redisAfter - redisBefore,
    verified,
    ...(profile && { profile: profile.slice(0, 60) }),
  };
}

console.log(JSON.stringify(await main()));
