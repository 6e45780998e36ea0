/** Somebody who submits tasks to a pair of sites without a rest, and goes to the other one when one does not take them. */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { SiteProcess } from './siteprocess.ts';

const everyMs = 25;

export class Submissions {
  /** Ids of the tasks that were accepted, in order. */
  readonly accepted: string[] = [];
  readonly #sites: readonly SiteProcess[];
  #at = 0;
  #stopped = false;
  #lastMs = performance.now();
  #longestMs = 0;
  #running: Promise<void> | undefined;

  constructor(sites: readonly SiteProcess[]) {
    this.#sites = sites;
  }

  start(): void {
    this.#stopped = false;
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  /** @returns the longest time in milliseconds between two tasks that were accepted, since this was last asked */
  longestPauseMs(): number {
    const longest = Math.max(this.#longestMs, performance.now() - this.#lastMs);
    this.#longestMs = 0;
    return longest;
  }

  async #run(): Promise<void> {
    let key = randomUUID();
    while (!this.#stopped) {
      const id = await this.#submit(this.#sites[this.#at]!, key);
      if (id === undefined) this.#at = 1 - this.#at;
      else {
        this.accepted.push(id);
        this.#longestMs = Math.max(this.#longestMs, performance.now() - this.#lastMs);
        this.#lastMs = performance.now();
        key = randomUUID();
      }
      await pause(everyMs);
    }
  }

  /** @returns undefined when the site did not take it, or did not answer */
  async #submit(site: SiteProcess, key: string): Promise<string | undefined> {
    try {
      const { status, body } = await site.call('/tasks', { type: 'drill' }, { 'Idempotency-Key': key });
      return status < 300 ? String(body['id']) : undefined;
    } catch {
      return undefined; // A site that was killed: that is what this is for.
    }
  }
}
