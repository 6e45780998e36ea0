/** The other site of the bench's pair: a standby in a process of its own, and what its following costs. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { keyspace } from '../../runtime/protocol/keys.ts';
import { redisCpuUs } from './cpu.ts';
import type { Figures } from './measurement.ts';
import { prefix, type Stage } from './stage.ts';
import type { StandbyData, StandbyReport } from './standbyprocess.ts';

export class Standby {
  readonly #process: ChildProcess;
  readonly #active: Redis;
  readonly #redis: Redis;
  readonly #shards: number;
  #before = { standby: 0, redis: 0 };

  private constructor(process: ChildProcess, active: Redis, redis: Redis, shards: number) {
    this.#process = process;
    this.#active = active;
    this.#redis = redis;
    this.#shards = shards;
  }

  /** Resolves when it follows, and holds what the active site has. */
  static async start(url: string, peerUrl: string, { site: { shards } }: Stage): Promise<Standby> {
    const data: StandbyData = { url: peerUrl, peerUrl: url, shards };
    const program = fileURLToPath(new URL('standbyprocess.js', import.meta.url));
    const child = fork(program, [JSON.stringify(data)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`the standby ended with ${String(code)}`);
    });
    ended.catch(() => undefined);
    await Promise.race([once(child, 'message'), ended]);
    const standby = new Standby(child, new Redis(url), new Redis(peerUrl), shards);
    await standby.equal();
    return standby;
  }

  /**
   * Waits until both sites stand at the same links.
   * @returns how long that took, in milliseconds
   * @throws Error when it takes longer than a minute
   */
  async equal(): Promise<number> {
    const begunMs = performance.now();
    const space = keyspace(prefix);
    const heads = (redis: Redis): Promise<(string | null)[]> =>
      Promise.all(Array.from({ length: this.#shards }, (_, shard) => redis.hget(space.shard(shard).lease, 'head')));
    for (;;) {
      const [theirs, own] = await Promise.all([heads(this.#active), heads(this.#redis)]);
      if (JSON.stringify(theirs) === JSON.stringify(own)) return performance.now() - begunMs;
      if (performance.now() - begunMs > 60_000)
        throw new Error(`the standby does not catch up: ${JSON.stringify({ theirs, own })}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Of the time since they were asked for last: CPU a task, and how far behind the links were stored. */
  async figures(tasks: number): Promise<Figures> {
    this.#process.send('report');
    const [{ cpuUs, lagsMs }] = (await once(this.#process, 'message')) as [StandbyReport];
    const now = { standby: cpuUs, redis: await redisCpuUs(this.#redis) };
    const before = this.#before;
    this.#before = now;
    const at = (share: number): number => lagsMs[Math.min(lagsMs.length - 1, Math.floor(lagsMs.length * share))] ?? 0;
    return {
      standbyUs: (now.standby - before.standby) / tasks,
      standbyRedisUs: (now.redis - before.redis) / tasks,
      ...{ lagP50Ms: at(0.5), lagP99Ms: at(0.99) },
    };
  }

  async stop(): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.send('stop');
    const [code] = (await ended) as [number | null];
    this.#active.disconnect();
    this.#redis.disconnect();
    if (code !== 0) throw new Error(`the standby ended with ${String(code)}`);
  }
}
