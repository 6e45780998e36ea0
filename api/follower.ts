/**
 * Follows the journals once per process, however many clients listen: event streams hear every entry, waits hear one
 * actor. It starts with the first listener and rests when the last one has gone.
 */
import { limits } from '../config/limits.ts';
import type { JournalReader, Log, PositionedEntry, Service, System } from '../runtime/ports.ts';
import { Unavailable } from '../runtime/protocol/errors.ts';
import type { Address } from '../runtime/protocol/ids.ts';
import type { JournalRecord, Position } from '../runtime/protocol/journal.ts';

export type Listener = (entry: PositionedEntry) => void;
export type Watcher = (record: JournalRecord) => void;

export interface FollowerSettings {
  journals: JournalReader;
  system: System;
  log: Log;
  shards: number;
}

export interface Listening {
  /** The listener hears what stands after these positions, shard by shard. */
  from: ReadonlyMap<number, Position>;
  stop(): void;
}

export class Follower implements Service {
  readonly #settings: FollowerSettings;
  readonly #listeners = new Set<Listener>();
  /** By actor, so that an entry costs the same however many clients wait. */
  readonly #watchers = new Map<Address, Set<Watcher>>();
  readonly #stopping = new AbortController();
  #opening: Promise<void> | undefined;
  #running: Promise<void> = Promise.resolve();
  #after: Map<number, Position> | undefined;

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

  /**
   * Resolves when the listener hears every entry that is committed from now on.
   * @throws Unavailable
   */
  async listen(listener: Listener): Promise<Listening> {
    this.#listeners.add(listener);
    const from = this.#after && new Map(this.#after);
    const stop = (): void => void this.#listeners.delete(listener);
    await this.#begin(stop);
    return { from: from ?? new Map(this.#after), stop };
  }

  /**
   * The same for the records of one actor. Returns the call that ends it.
   * @throws Unavailable
   */
  async watch(actor: Address, watcher: Watcher): Promise<() => void> {
    const watchers = this.#watchers.get(actor) ?? new Set();
    this.#watchers.set(actor, watchers.add(watcher));
    const stop = (): void => {
      watchers.delete(watcher);
      if (watchers.size === 0 && this.#watchers.get(actor) === watchers) this.#watchers.delete(actor);
    };
    await this.#begin(stop);
    return stop;
  }

  async #begin(undo: () => void): Promise<void> {
    try {
      await (this.#opening ??= this.#open());
    } catch (error) {
      undo();
      throw error;
    }
  }

  async #open(): Promise<void> {
    const { journals, shards } = this.#settings;
    try {
      if (this.#stopping.signal.aborted) throw new Unavailable('redis', 'the process is stopping');
      const last = await Promise.all(Array.from({ length: shards }, (_, shard) => journals.last(shard)));
      this.#after = new Map(last.entries());
    } catch (error) {
      this.#opening = undefined;
      throw error;
    }
    this.#running = this.#run(this.#after);
  }

  async #run(after: Map<number, Position>): Promise<void> {
    const { journals, system, log } = this.#settings;
    while (!this.#stopping.signal.aborted && this.#listeners.size + this.#watchers.size > 0) {
      try {
        for (const entry of await journals.read(after, limits.followEntriesMax, limits.readBlockMs)) {
          after.set(entry.entry.shard, entry.position);
          this.#tell(entry);
        }
      } catch (error) {
        if (!(error instanceof Unavailable)) log.error({ error: String(error) }, 'following the journals failed');
        await system.sleep(limits.followRetryMs, this.#stopping.signal);
      }
    }
    // No await since the last look at the listeners: whoever comes now opens anew.
    this.#opening = undefined;
    this.#after = undefined;
  }

  #tell(entry: PositionedEntry): void {
    for (const listener of this.#listeners) this.#call(() => listener(entry));
    if (this.#watchers.size === 0) return;
    for (const record of entry.entry.records)
      for (const watcher of this.#watchers.get(record.actor) ?? []) this.#call(() => watcher(record));
  }

  /** One listener's defect must not cost the others an entry. */
  #call(listener: () => void): void {
    try {
      listener();
    } catch (error) {
      this.#settings.log.error({ error: String(error) }, 'a listener of the journals failed');
    }
  }
}
