/** Answers that cost a query are asked for once in a while, however many pages look at them. */
import { limits } from '../../config/limits.ts';
import type { System } from '../../runtime/ports.ts';

export class Cached<T> {
  readonly #ask: (key: string) => Promise<T>;
  readonly #system: System;
  readonly #answers = new Map<string, { answer: Promise<T>; askedAtMs: number }>();

  /** @param ask only ever called with keys of which there are few */
  constructor(ask: (key: string) => Promise<T>, system: System) {
    this.#ask = ask;
    this.#system = system;
  }

  get(key: string): Promise<T> {
    const known = this.#answers.get(key);
    const nowMs = this.#system.monotonicMs();
    if (known && nowMs - known.askedAtMs < limits.activityCacheMs) return known.answer;
    const answer = this.#ask(key);
    this.#answers.set(key, { answer, askedAtMs: nowMs });
    answer.catch(() => this.#answers.delete(key));
    return answer;
  }
}
