/**
 * Budgets that all processes share: a counter in Redis for each key, which begins anew a minute after its first use.
 * While Redis is away, each process counts for itself.
 */
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes, type RateLimiterAbstract } from 'rate-limiter-flexible';
import type { Log, RateLimiter, System, Taking } from '../ports.ts';
import { Unavailable } from '../protocol/errors.ts';
import type { Keyspace } from '../protocol/keys.ts';
import type { Client, RedisSettings } from './client.ts';
import { Connection } from './connection.ts';

const windowSeconds = 60;

export interface RateLimiterOptions {
  redis: RedisSettings;
  space: Keyspace;
  system: System;
  log: Log;
}

export class RedisRateLimiter implements RateLimiter {
  readonly #prefix: string;
  readonly #connection: Connection;
  /** A connection is replaced when it breaks; the counters of the library belong to one. */
  readonly #shared = new WeakMap<Client, Map<string, RateLimiterAbstract>>();
  readonly #own = new Map<string, RateLimiterAbstract>();

  constructor({ redis, space, system, log }: RateLimiterOptions) {
    this.#prefix = space.budgets;
    this.#connection = new Connection({ ...redis, name: `${redis.name}-budgets` }, system, log, {
      failFast: true,
      // A call that is sent again after a cut would be counted twice.
      sendOnce: true,
    });
  }

  /** Resolves when the shared counters can be used. @throws Unavailable when Redis does not answer in time */
  ready(): Promise<void> {
    return this.#connection.ready();
  }

  close(): void {
    this.#connection.close();
  }

  async take(budget: string, key: string, perMinute: number): Promise<Taking> {
    const name = `${budget}/${perMinute}`;
    try {
      return await this.#connection.run((client) => {
        let limiters = this.#shared.get(client);
        if (!limiters) this.#shared.set(client, (limiters = new Map<string, RateLimiterAbstract>()));
        let limiter = limiters.get(name);
        if (!limiter) {
          limiter = new RateLimiterRedis({
            ...this.#options(budget, perMinute),
            storeClient: client,
            // What is over its budget is not asked for again in this process, until the budget begins anew.
            inMemoryBlockOnConsumed: perMinute + 1,
          });
          limiters.set(name, limiter);
        }
        return taken(limiter, key);
      });
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      let limiter = this.#own.get(name);
      if (!limiter) this.#own.set(name, (limiter = new RateLimiterMemory(this.#options(budget, perMinute))));
      return taken(limiter, key);
    }
  }

  #options(budget: string, points: number): { keyPrefix: string; points: number; duration: number } {
    return { keyPrefix: `${this.#prefix}:${budget}`, points, duration: windowSeconds };
  }
}

/** The library rejects with its answer where the budget is used up. */
async function taken(limiter: RateLimiterAbstract, key: string): Promise<Taking> {
  const asked = await limiter.consume(key).then(
    (answer) => ({ allowed: true, answer }),
    (reason: unknown) => {
      if (reason instanceof RateLimiterRes) return { allowed: false, answer: reason };
      throw reason;
    },
  );
  const { remainingPoints, msBeforeNext } = asked.answer;
  return { allowed: asked.allowed, remaining: remainingPoints, resetMs: Math.max(0, msBeforeNext) };
}
