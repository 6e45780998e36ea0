/** Work without a rest, as from a user who knows both sites: what one does not take goes to the other, under the same key. */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Document } from './documents.ts';
import type { Site } from './sites.ts';

const everyMs = 40;

export class Feed {
  /** Tasks that were accepted, in order. */
  readonly accepted: string[] = [];
  readonly #sites: readonly Site[];
  readonly #documents: readonly Document[];
  #stopped = false;
  #lastMs = performance.now();
  #longestMs = 0;
  #running: Promise<void> | undefined;

  /** @param documents at least one; they come again and again */
  constructor(sites: readonly Site[], documents: readonly Document[]) {
    this.#sites = sites;
    this.#documents = documents;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  /** @returns seconds of the longest time without an accepted task since this was last asked */
  longestPause(): number {
    const longest = Math.max(this.#longestMs, performance.now() - this.#lastMs);
    this.#longestMs = 0;
    return longest / 1000;
  }

  async #run(): Promise<void> {
    for (let number = 0, at = 0, key = randomUUID(); !this.#stopped; await pause(everyMs)) {
      const { name, text } = this.#documents[number % this.#documents.length]!;
      const task = { type: 'text_processing', parameters: { name, text } };
      const id = await this.#sites[at]!.call('/tasks', task, { 'Idempotency-Key': key }).then(
        ({ status, body }) => (status < 300 ? String(body['id']) : undefined),
        () => undefined, // A site that was killed: that is what this is for.
      );
      if (id === undefined) {
        at = (at + 1) % this.#sites.length;
        continue;
      }
      this.accepted.push(id);
      const now = performance.now();
      this.#longestMs = Math.max(this.#longestMs, now - this.#lastMs);
      this.#lastMs = now;
      key = randomUUID();
      number += 1;
    }
  }
}
