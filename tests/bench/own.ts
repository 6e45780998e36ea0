/**
 * One run of the orchestrator on the servers that are named. Every measure verifies what it counted; a run that does not verify
 * is an error and no number. Prints one JSON line.
 */
import { parseArgs } from 'node:util';
import { createRegistry } from '../../actors/application.ts';
import { startSite } from '../support/site.ts';
import type { Figures } from './measurement.ts';
import { profiled, type SelfTime } from './profile.ts';
import { Stage } from './stage.ts';
import { Standby } from './standby.ts';
import { verify } from './verify.ts';

const { values } = parseArgs({
  options: {
    measure: { type: 'string', default: 'throughput' },
    redis: { type: 'string' },
    postgres: { type: 'string' },
    'postgres-pid': { type: 'string' },
    tasks: { type: 'string', default: '50000' },
    warmup: { type: 'string', default: '5000' },
    rate: { type: 'string', default: '500' },
    seconds: { type: 'string', default: '10' },
    agents: { type: 'string', default: '5' },
    slots: { type: 'string', default: '100' },
    'shards-used': { type: 'string', default: '1' },
    /** Tasks with tenants, concurrency keys and labels. */
    demands: { type: 'boolean', default: false },
    /** Redis of the other site: the orchestrator is the active site of a pair. */
    'peer-redis': { type: 'string' },
    /** A standby runs there, in a process of its own. */
    standby: { type: 'boolean', default: false },
    /** Characters of the parameters of a task. */
    text: { type: 'string', default: '5' },
    profile: { type: 'string' },
  },
});

export interface OwnOutcome {
  figures: Figures;
  profile?: SelfTime[];
}

if (values.redis === undefined) throw new Error('--redis is missing: redis://127.0.0.1:PORT');
const url = values.redis;
const tasks = Number(values.tasks);
const stageOptions = {
  url,
  ...(values.postgres !== undefined && { postgres: { url: values.postgres, pid: Number(values['postgres-pid']) } }),
  agents: Number(values.agents),
  slots: Number(values.slots),
  shardsUsed: Number(values['shards-used']),
  text: 'x'.repeat(Number(values.text)),
  demands: values.demands,
  ...(values['peer-redis'] !== undefined && { peerUrl: values['peer-redis'] }),
  keepJournal: values.measure === 'throughput' && values.postgres === undefined,
};

/** Ends clients and loops, and looks whether what was counted is so. */
async function verifiedEnd(stage: Stage): Promise<Figures> {
  await stage.dismiss();
  await stage.site.supervisor.stop();
  const sums = { succeeded: 0, records: 0, bytes: 0 };
  for (const { shard } of stageOptions.keepJournal ? stage.types : []) {
    const verified = await verify(shard, stage.store, stage.site.journals, createRegistry());
    sums.succeeded += verified.succeeded;
    sums.records += verified.journalRecords;
    sums.bytes += verified.journalBytes;
  }
  if (stageOptions.keepJournal && sums.succeeded !== stage.submitted)
    throw new Error(`${stage.submitted} tasks were submitted, ${sums.succeeded} snapshots say succeeded`);
  await stage.close();
  return stageOptions.keepJournal
    ? { journalRecords: sums.records / stage.submitted, journalBytes: sums.bytes / stage.submitted }
    : {};
}

async function throughput(): Promise<OwnOutcome> {
  const stage = await Stage.set(stageOptions);
  await stage.order({ order: 'agents' });
  await stage.run(Number(values.warmup));
  let profile: SelfTime[] | undefined;
  const { profile: file } = values;
  const figures = await stage.measured(tasks, async () => {
    if (file === undefined) await stage.run(tasks);
    else profile = await profiled(file, () => stage.run(tasks));
  });
  return { figures: { ...figures, ...(await verifiedEnd(stage)) }, ...(profile && { profile: profile.slice(0, 60) }) };
}

/** The same at the active site of a pair, with a standby that follows or with none. */
async function mirror(): Promise<OwnOutcome> {
  const stage = await Stage.set(stageOptions);
  const standby = values.standby ? await Standby.start(stageOptions.url, stageOptions.peerUrl!, stage) : undefined;
  await stage.order({ order: 'agents' });
  await stage.run(Number(values.warmup));
  await standby?.equal();
  await standby?.figures(1);
  const figures = await stage.measured(tasks, () => stage.run(tasks));
  const followed = standby && { caughtUpMs: await standby.equal(), ...(await standby.figures(tasks)) };
  await stage.dismiss();
  await stage.site.supervisor.stop();
  await standby?.equal();
  await standby?.stop();
  await stage.close();
  return { figures: { ...figures, ...followed } };
}

async function latency(): Promise<OwnOutcome> {
  const stage = await Stage.set(stageOptions);
  const rate = Number(values.rate);
  await stage.order({ order: 'agents' });
  await stage.run(rate * 2, rate);
  await stage.order({ order: 'report' });
  const count = rate * Number(values.seconds);
  const cost = await stage.measured(count, () => stage.run(count, rate));
  const { startMs } = stage;
  if (startMs.length !== count) throw new Error(`${count} tasks were submitted, ${startMs.length} were started`);
  const at = (share: number): number => startMs[Math.min(count - 1, Math.floor(count * share))]!;
  await verifiedEnd(stage);
  return { figures: { ...cost, p50Ms: at(0.5), p99Ms: at(0.99), p999Ms: at(0.999) } };
}

/** Until the owner has taken in everything that was submitted. */
async function takenIn(stage: Stage): Promise<void> {
  for (const { shard } of stage.types)
    while ((await stage.site.redis.xlen(stage.site.space.shard(shard).commands)) > 0)
      await new Promise((resolve) => setTimeout(resolve, 20));
}

function heapBytes(): number {
  globalThis.gc?.();
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

/** Tasks wait while no agent works; then all are done. What one that waits takes, and what the queue costs dispatch. */
async function backlog(): Promise<OwnOutcome> {
  const stage = await Stage.set(stageOptions);
  const before = { heap: heapBytes(), redis: await stage.usedMemory() };
  const done = stage.store.until(tasks, 600_000);
  await stage.order({ order: 'submit', tasks });
  await takenIn(stage);
  const after = { heap: heapBytes(), redis: await stage.usedMemory() };
  const figures = await stage.measured(tasks, async () => {
    await stage.order({ order: 'agents' });
    await done;
  });
  await stage.dismiss();
  await stage.site.supervisor.stop();
  await stage.close();
  return {
    figures: {
      ...figures,
      runtimeBytesPerTask: (after.heap - before.heap) / tasks,
      redisBytesPerTask: (after.redis - before.redis) / tasks,
    },
  };
}

/** Another owner takes a shard with a backlog: from asking for its lease to the first assignment in an inbox. */
async function takeover(): Promise<OwnOutcome> {
  const stage = await Stage.set(stageOptions);
  const { shard, agents } = stage.types[0]!;
  await stage.order({ order: 'submit', tasks });
  await takenIn(stage);
  const { redis, space } = stage.site;
  // What fits into the slots is assigned already: the first message after this moment is the next owner's.
  await stage.site.supervisor.stop();
  const lengths = await Promise.all(agents.map((id) => redis.xlen(space.inbox(shard, id))));
  await stage.order({ order: 'agents' });
  const begunMs = performance.now();
  const next = await startSite({ url, prefix: space.prefix, shards: stage.site.shards });
  const grown = async (): Promise<boolean> => {
    const now = await Promise.all(agents.map((id) => redis.xlen(space.inbox(shard, id))));
    return now.some((length, index) => length > lengths[index]!);
  };
  while (!(await grown())) await new Promise((resolve) => setTimeout(resolve, 2));
  const firstDispatchMs = performance.now() - begunMs;
  await stage.dismiss();
  await next.stop();
  await stage.close();
  return { figures: { firstDispatchMs } };
}

const measures: Record<string, () => Promise<OwnOutcome>> = { throughput, mirror, latency, backlog, takeover };
const measure = measures[values.measure];
if (!measure) throw new Error(`--measure ${values.measure}: known are ${Object.keys(measures).join(', ')}`);
console.log(JSON.stringify(await measure()));
process.exit(0);
