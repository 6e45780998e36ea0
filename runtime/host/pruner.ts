/** Removes from the lists what has been over for longer than it is kept, a little at a time. */
import { limits } from '../../config/limits.ts';
import type { Log, RowPruner, Service, System } from '../ports.ts';
import { Unavailable } from '../protocol/errors.ts';

const kinds = ['tasks', 'audit'] as const;

export interface PrunerSettings {
  rows: RowPruner;
  system: System;
  log: Log;
  /** Milliseconds for which rows are kept after their end; undefined: for ever. Asked at each look. */
  keepMs: () => Readonly<Record<(typeof kinds)[number], number | undefined>>;
}

export class Pruner implements Service {
  readonly #settings: PrunerSettings;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;

  constructor(settings: PrunerSettings) {
    this.#settings = settings;
  }

  start(): Promise<void> {
    this.#running ??= this.#run();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  /** One look. @returns how many rows went */
  async prune(): Promise<Record<string, number>> {
    const { rows, system, keepMs } = this.#settings;
    const keep = keepMs();
    const gone: Record<string, number> = {};
    for (const kind of kinds) {
      const ms = keep[kind];
      if (ms === undefined) continue;
      for (let more = true; more && !this.#stopping.signal.aborted;) {
        const count = await rows.prune(kind, system.now() - ms, limits.pruneEntriesMax);
        gone[kind] = (gone[kind] ?? 0) + count;
        more = count === limits.pruneEntriesMax;
        await system.yield();
      }
    }
    return gone;
  }

  async #run(): Promise<void> {
    const { system, log } = this.#settings;
    while (!this.#stopping.signal.aborted) {
      try {
        const gone = await this.prune();
        if (Object.values(gone).some((count) => count > 0)) log.info({ gone }, 'old rows were removed from the lists');
      } catch (error) {
        const fields = { error: error instanceof Error ? error.message : String(error) };
        if (error instanceof Unavailable) log.warn(fields, 'old rows wait for PostgreSQL');
        else log.error(fields, 'old rows cannot be removed');
      }
      await system.sleep(limits.historyEveryMs, this.#stopping.signal);
    }
  }
}
