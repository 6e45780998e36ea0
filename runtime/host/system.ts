/** The real clock, chance and waiting. Everything else asks for a `System`, so that a simulation can own time. */
import { randomBytes, randomFillSync } from 'node:crypto';
import type { System } from '../ports.ts';
import { ulid } from '../protocol/ids.ts';

/** Random bytes are drawn in blocks: one system call serves many tokens. */
class Chance {
  readonly #block = randomBytes(4_096);
  #at = 0;

  take(count: number): Buffer {
    if (this.#at + count > this.#block.length) {
      randomFillSync(this.#block);
      this.#at = 0;
    }
    const bytes = this.#block.subarray(this.#at, this.#at + count);
    this.#at += count;
    return bytes;
  }
}

export function createSystem(): System {
  const chance = new Chance();
  return {
    now: () => Date.now(),
    monotonicMs: () => performance.now(),
    token: () => chance.take(16).toString('base64url'),
    ulid: () => ulid(Date.now(), chance.take(16)),
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve();
        const done = (): void => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', done);
          resolve();
        };
        const timer = setTimeout(done, ms);
        signal?.addEventListener('abort', done, { once: true });
      }),
    yield: () => new Promise((resolve) => setImmediate(resolve)),
  };
}
