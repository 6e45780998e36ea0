/**
 * Follows the journals once per process, however many clients listen: waits for a task's end, and event streams. It starts
 * with the first listener and rests when the last one has gone.
 */
import { limits } from '../config/limits.ts';
import type { JournalReader, Log, PositionedEntry, Service, System } from '../runtime/ports.ts';
import { Unavailable } from '../runtime/protocol/errors.ts';
import type { Position } from '../runtime/protocol/journal.ts';

export type Listener = (entry: PositionedEntry) => void;

export interface FollowerSettings {
  journals: JournalReader;
  system: System;
  log: Log;
  shards: number;
}

export class Follower implements Service {
  readonly #settings: FollowerSettings;
  readonly #listeners = new Set<Listener>();
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #ready: Promise<void> = Promise.resolve();

  constructor(settings: FollowerSettings) {
    this.#settings = settings;
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  /** Resolves when the listener hears every entry that is committed from now on. */
  async listen(listener: Listener): Promise<() => void> {
    this.#listeners.add(listener);
    if (!this.#running && !this.#stopping.signal.aborted) {
      let ready: () => void = () => undefined;
      this.#ready = new Promise((resolve) => {
        ready = resolve;
      });
      this.#running = this.#run(ready).finally(() => {
        this.#running = undefined;
      });
    }
    await this.#ready;
    return () => {
      this.#listeners.delete(listener);
    };
  }

  async #run(ready: () => void): Promise<void> {
    const { journals, system, log, shards } = this.#settings;
    const after = new Map<number, Position>();
    while (!this.#stopping.signal.aborted && this.#listeners.size > 0) {
      try {
        if (after.size === 0) {
          const last = await Promise.all(Array.from({ length: shards }, (_, shard) => journals.last(shard)));
          for (const [shard, position] of last.entries()) after.set(shard, position);
          ready();
        }
        for (const entry of await journals.read(after, 200, limits.readBlockMs)) {
          after.set(entry.entry.shard, entry.position);
          for (const listener of this.#listeners) listener(entry);
        }
      } catch (error) {
        if (!(error instanceof Unavailable)) log.error({ error: String(error) }, 'following the journals failed');
        await system.sleep(200, this.#stopping.signal);
      }
    }
    ready();
  }
}
