/** What is in the system while the console is looked at: many tasks that wait, many agents, and work that flows. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { BenchAgent } from '../agent.ts';
import type { Server } from './server.ts';

const bulk = 1_000;
const registeredAtOnce = 8;
const heartbeatMs = 5_000;
const flowEveryMs = 100;
const flowType = 'flow';

interface Registered {
  id: string;
  generation: number;
  redis: { url: string; inbox: string; outbox: string };
}

export class Workload {
  readonly #server: Server;
  readonly #workers: BenchAgent[] = [];
  readonly #idle: Registered[] = [];
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>[] = [];
  #redis: Redis | undefined;
  /** Of the last second, how many tasks were submitted. */
  #tasksPerSecond = 0;
  #failure: Error | undefined;

  constructor(server: Server) {
    this.#server = server;
  }

  /** Tasks of types that no agent serves: they wait. */
  async tasks(count: number): Promise<void> {
    for (let done = 0; done < count; done += bulk) {
      const items = Array.from({ length: Math.min(bulk, count - done) }, (_, index) => ({
        type: `backlog-${(done / bulk) % 8}`,
        parameters: { document: `report-${done + index}.md` },
        priority: index % 10,
      }));
      await this.#server.call('/tasks', items);
    }
  }

  /** Agents that wait for work, and as many that do it. */
  async agents(idle: number, working: number): Promise<void> {
    const waiting = [...Array(idle + working).keys()];
    const next = async (): Promise<void> => {
      for (let index = waiting.shift(); index !== undefined; index = waiting.shift()) {
        const works = index < working;
        const one = await this.#server.call<Registered>('/agents', {
          ...{ type: works ? flowType : `spare-${index % 8}`, id: `agent-${index}`, slots: works ? 100 : 4 },
          ...{ version: '2.4.1', batch: works },
        });
        if (!works) this.#idle.push(one);
        else {
          const { url, inbox, outbox } = one.redis;
          this.#workers.push(new BenchAgent({ url, id: one.id, inbox, outbox, slots: 100 }));
        }
        this.#redis ??= new Redis(one.redis.url, { maxRetriesPerRequest: null });
      }
    };
    await Promise.all(Array.from({ length: registeredAtOnce }, next));
    for (const worker of this.#workers)
      worker.start((error) => (this.#failure = new Error('an agent failed', { cause: error })));
    this.#running.push(this.#beat(), this.#flow());
  }

  /** From now on so many tasks a second are submitted, and done at once. */
  set tasksPerSecond(value: number) {
    this.#tasksPerSecond = value;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#running);
    for (const worker of this.#workers) await worker.stop();
    this.#redis?.disconnect();
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #beat(): Promise<void> {
    while (await this.#pause(heartbeatMs)) {
      const calls = this.#redis!.pipeline();
      for (const { id, generation, redis } of this.#idle)
        calls.xadd(redis.outbox, '*', 'kind', 'heartbeat', 'agent', id, 'generation', generation, 'attempts', '[]');
      await calls.exec();
    }
  }

  async #flow(): Promise<void> {
    let owed = 0;
    let beforeMs = performance.now();
    while (await this.#pause(flowEveryMs)) {
      const nowMs = performance.now();
      owed = Math.min(bulk, owed + ((nowMs - beforeMs) / 1_000) * this.#tasksPerSecond);
      beforeMs = nowMs;
      const count = Math.floor(owed);
      if (count === 0) continue;
      owed -= count;
      try {
        await this.#server.call(
          '/tasks',
          Array.from({ length: count }, (_, index) => ({ type: flowType, parameters: { index } })),
        );
      } catch (error) {
        this.#failure = new Error('a submit failed', { cause: error });
        return;
      }
    }
  }

  async #pause(ms: number): Promise<boolean> {
    await sleep(ms, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
    return !this.#stopping.signal.aborted;
  }
}
