/** What the orchestrator's programs of the bench stand on: a site in this process, registered agents, clients in another. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { agentProjection } from '../../actors/agent/projection.ts';
import { taskProjection } from '../../actors/task/projection.ts';
import { limits } from '../../config/limits.ts';
import { Projector, projectorReader } from '../../runtime/host/projector.ts';
import type { SupervisorSettings } from '../../runtime/host/supervisor.ts';
import { createSystem } from '../../runtime/host/system.ts';
import { address, makeId, shardOfLane } from '../../runtime/protocol/ids.ts';
import { keyspace } from '../../runtime/protocol/keys.ts';
import { migrate } from '../../runtime/postgres/migrate.ts';
import { Pool } from '../../runtime/postgres/pool.ts';
import { PostgresProjectionStore } from '../../runtime/postgres/projector.ts';
import { RedisJournalReader } from '../../runtime/redis/journal.ts';
import { PairSite } from '../support/pair.ts';
import { MemoryLog, startSite, type Site } from '../support/site.ts';
import { familyCpuUs, redisCpuUs } from './cpu.ts';
import type { ClientsData, ClientsOrder, ClientsReport } from './clients.ts';
import { labelsOf } from './demands.ts';
import type { Figures } from './measurement.ts';
import { CountingStore } from './progress.ts';

export interface StageOptions {
  url: string;
  /** With it, journals are projected, and a task is done when PostgreSQL has it. */
  postgres?: { url: string; pid: number };
  /** Agents altogether, spread over the shards that are used. */
  agents: number;
  slots: number;
  /** Shards that tasks go to, each by a type of its own. */
  shardsUsed: number;
  text: string;
  /** Tasks belong to tenants, and ask for concurrency keys and labels. */
  demands: boolean;
  /** Keeps the whole journal, so that it can be replayed afterwards. */
  keepJournal: boolean;
  /** With it, the site is the active one of a pair, and the other one's Redis is here. */
  peerUrl?: string;
}

/** CPU since the processes began, in microseconds. */
interface Cpu {
  client: number;
  runtime: number;
  redis: number;
  postgres: number;
}

export const incarnation = 'bench';
const siteEpoch = 11;
/** Of all keys of the bench. */
export const prefix = 'bench:';

export class Stage {
  readonly site: Site;
  readonly store: CountingStore;
  readonly log: MemoryLog;
  readonly types: ClientsData['types'];
  readonly #options: StageOptions;
  readonly #projectors: ReadonlyMap<number, Projector>;
  readonly #projection: PostgresProjectionStore | undefined;
  readonly #closing: (() => Promise<void> | void)[];
  readonly #clients: ChildProcess;
  readonly #failed: Promise<never>;
  readonly #delays = monitorEventLoopDelay({ resolution: 1 });
  submitted = 0;
  /** Milliseconds from submit to start, sorted; of the tasks that were last submitted at a rate and measured. */
  startMs: readonly number[] = [];

  private constructor(
    options: StageOptions,
    parts: Pick<Stage, 'site' | 'store' | 'log' | 'types'>,
    projectors: ReadonlyMap<number, Projector>,
    projection: PostgresProjectionStore | undefined,
    closing: (() => Promise<void> | void)[],
  ) {
    ({ site: this.site, store: this.store, log: this.log, types: this.types } = parts);
    this.#options = options;
    this.#projectors = projectors;
    this.#projection = projection;
    this.#closing = closing;
    const data: ClientsData = {
      ...{ url: options.url, prefix, types: this.types, slots: options.slots, text: options.text },
      demands: options.demands,
    };
    this.#clients = fork(fileURLToPath(new URL('clients.js', import.meta.url)), [JSON.stringify(data)], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#failed = once(this.#clients, 'exit').then(([code]) => {
      throw new Error(`the clients ended with ${String(code)}`);
    });
    this.#failed.catch(() => undefined);
  }

  static async set(options: StageOptions): Promise<Stage> {
    const { url, postgres, shardsUsed } = options;
    const system = createSystem();
    const space = keyspace(prefix);
    const log = new MemoryLog();
    const closing: (() => Promise<void> | void)[] = [];
    const readers = [...(options.keepJournal ? ['bench'] : []), ...(postgres ? [projectorReader] : [])];
    const common = { redis: { url, name: 'bench' }, space, system, log };
    const store = new CountingStore({
      ...common,
      journalReaders: readers,
      ...(options.peerUrl !== undefined && { incarnation }),
    });
    const projectors = new Map<number, Projector>();
    let projection: PostgresProjectionStore | undefined;
    if (postgres) {
      const pool = new Pool({ url: postgres.url, log });
      await migrate(pool, log);
      projection = new PostgresProjectionStore(pool, [taskProjection, agentProjection]);
      closing.push(() => pool.close());
    }
    const journals = new RedisJournalReader(common);
    closing.push(() => journals.close());
    const attach = (shard: number): Projector[] => {
      if (!projection) return [];
      const projector = new Projector({ shard, journals, store: projection, system, log });
      projectors.set(shard, projector);
      return [projector];
    };
    const shards = Math.max(limits.shardsDefault, shardsUsed);
    const pair = options.peerUrl === undefined ? {} : await openActive(url, options.peerUrl, shards);
    const site = await startSite({ url, prefix, shards, settings: { store, log, attach, ...pair } });
    const types = await registered(site, options);
    const stage = new Stage(options, { site, store, log, types }, projectors, projection, closing);
    await stage.#answer();
    return stage;
  }

  async #answer(): Promise<ClientsReport> {
    const [report] = (await Promise.race([once(this.#clients, 'message'), this.#failed])) as [ClientsReport];
    return report;
  }

  async order(order: ClientsOrder): Promise<ClientsReport> {
    this.#clients.send(order);
    return this.#answer();
  }

  /** Submits, and resolves when all tasks are done. */
  async run(tasks: number, perSecond?: number): Promise<void> {
    this.submitted += tasks;
    const done = this.store.until(this.submitted);
    const order: ClientsOrder = perSecond ? { order: 'rate', tasks, perSecond } : { order: 'submit', tasks };
    await Promise.all([this.order(order), Promise.race([done, this.#failed])]);
    if (this.#projection) await this.#projected(this.#projection);
  }

  async #projected(projection: PostgresProjectionStore): Promise<void> {
    const system = createSystem();
    for (const { shard } of this.types) {
      const last = await this.site.journals.last(shard);
      while ((await projection.watermark(shard)) !== last) {
        this.#projectors.get(shard)?.kick();
        await system.sleep(5);
      }
    }
  }

  async #cpu(): Promise<Cpu> {
    const { cpuUs, startMs } = await this.order({ order: 'report' });
    this.startMs = startMs;
    const { user, system } = process.cpuUsage();
    return {
      client: cpuUs,
      runtime: user + system,
      redis: await redisCpuUs(this.site.redis),
      postgres: familyCpuUs(this.#options.postgres?.pid),
    };
  }

  /** What the work costs: rate, CPU a task by part, and how long the runtime's event loop was away. */
  async measured(tasks: number, work: () => Promise<void>): Promise<Figures> {
    const before = await this.#cpu();
    this.#delays.reset();
    this.#delays.enable();
    const startedMs = performance.now();
    await work();
    const seconds = (performance.now() - startedMs) / 1000;
    this.#delays.disable();
    const after = await this.#cpu();
    const us = (part: keyof Cpu): number => (after[part] - before[part]) / tasks;
    return {
      tasksPerSecond: tasks / seconds,
      ...{ clientUs: us('client'), runtimeUs: us('runtime'), redisUs: us('redis'), postgresUs: us('postgres') },
      totalUs: us('client') + us('runtime') + us('redis') + us('postgres'),
      loopP999Ms: this.#delays.percentile(99.9) / 1e6,
    };
  }

  async usedMemory(): Promise<number> {
    return Number(/^used_memory:(\d+)/m.exec(await this.site.redis.info('memory'))?.[1]);
  }

  /** The clients end; the site goes on. */
  async dismiss(): Promise<void> {
    const ended = once(this.#clients, 'exit');
    await this.order({ order: 'stop' });
    await ended;
  }

  /** @throws Error when the runtime complained */
  async close(): Promise<void> {
    this.store.close();
    await this.site.stop();
    for (const close of this.#closing) await close();
    const [line] = this.log.lines;
    if (line) throw new Error(`the runtime complained: ${line.message} ${JSON.stringify(line.fields)}`);
  }
}

/** Makes the servers a pair whose first site is active. */
async function openActive(url: string, peerUrl: string, shards: number): Promise<Partial<SupervisorSettings>> {
  const active = new PairSite({ number: 1, url, peerUrl, shards, incarnation, prefix });
  await active.begin();
  await active.open(siteEpoch);
  await active.close();
  return { siteEpoch, passage: `${siteEpoch}` };
}

/** Types whose lanes lie in different shards, with their agents. */
async function registered(site: Site, { agents, slots, shardsUsed }: StageOptions): Promise<ClientsData['types']> {
  const system = createSystem();
  const types = new Map<number, ClientsData['types'][number]>();
  for (let number = 0; types.size < shardsUsed; number++) {
    const type = number === 0 ? 'text_processing' : `type-${number}`;
    const shard = shardOfLane(type, 0, site.shards);
    if (!types.has(shard)) types.set(shard, { type, shard, agents: [] });
  }
  const lanes = [...types.values()];
  const registering: Promise<unknown>[] = [];
  for (let index = 0; index < agents; index++) {
    const { type, shard, agents: ids } = lanes[index % lanes.length]!;
    const id = makeId('a', shard, `bench${index}`);
    const to = address('agent', id);
    const labels = labelsOf(index);
    await site.send({ id: system.ulid(), to, input: { type, slots, batch: true, max_agents: 100_000, labels } });
    registering.push(site.until(to, (view) => JSON.stringify(view.state).includes('idle'), 60_000));
    ids.push(id);
    if (registering.length === 50) await Promise.all(registering.splice(0));
  }
  await Promise.all(registering);
  return lanes;
}
