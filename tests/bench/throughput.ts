/**
 * The orchestrator's side of `throughput`: producer, runtime and agents in this one process, on the Redis that is named.
 * Submits go in bulk through the gateway, agents work on raw streams, and a task counts when its completion is stored.
 * Prints one JSON line: a Measurement, what was verified, and with --profile where the time went.
 */
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import type { Redis } from 'ioredis';
import { createRegistry } from '../../actors/application.ts';
import { limits } from '../../config/limits.ts';
import { createSystem } from '../../runtime/host/system.ts';
import { address, makeId } from '../../runtime/protocol/ids.ts';
import { keyspace } from '../../runtime/protocol/keys.ts';
import { laneShard, MemoryLog, startSite } from '../support/site.ts';
import type { ClientsData, ClientsOrder } from './clients.ts';
import type { Measurement } from './measurement.ts';
import { profiled, type SelfTime } from './profile.ts';
import { CountingStore } from './progress.ts';
import { verify, type Verified } from './verify.ts';

const type = 'text_processing';

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
  const store = new CountingStore({
    redis: { url, name: 'bench' },
    space,
    journalReaders: ['bench'],
    system,
    log,
  });
  const site = await startSite({
    ...{ url, prefix, shards: limits.shardsDefault },
    settings: { store, log },
  });
  const shard = laneShard(type, site.shards);
  const agents: string[] = [];
  for (let index = 0; index < Number(values.agents); index++) {
    const id = makeId('a', shard, `bench${index}`);
    const to = address('agent', id);
    await site.send({ id: system.ulid(), to, input: { type, slots, batch: true, max_agents: 1_000 } });
    await site.until(to, (view) => JSON.stringify(view.state).includes('idle'));
    agents.push(id);
  }
  const data: ClientsData = { url, prefix, type, shard, agents, slots };
  const clients = new Worker(new URL('clients.js', import.meta.url), { workerData: data });
  const failure = once(clients, 'error').then(([error]) => Promise.reject(error as Error));
  failure.catch(() => undefined);
  const tell = (order: ClientsOrder): void => clients.postMessage(order);

  let submitted = 0;
  const run = async (count: number): Promise<void> => {
    submitted += count;
    const done = store.until(submitted);
    tell({ submit: count });
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

  tell('stop');
  await once(clients, 'exit');
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
