/** Keeps the history of a site in its bounds: room for what comes, and nothing older than it is kept. */
import { limits } from '../../config/limits.ts';
import type { HistoryKeeper, Log, Service, System } from '../ports.ts';
import { Unavailable } from '../protocol/errors.ts';

export interface HistorianSettings {
  keeper: HistoryKeeper;
  system: System;
  log: Log;
  /** How long history is kept; undefined: for ever. Asked at each look. */
  keepMs: () => number | undefined;
}

export class Historian implements Service {
  readonly #settings: HistorianSettings;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;

  constructor(settings: HistorianSettings) {
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

  async #run(): Promise<void> {
    const { keeper, system, log, keepMs } = this.#settings;
    while (!this.#stopping.signal.aborted) {
      try {
        const { made, dropped } = await keeper.keep(system.now(), keepMs());
        if (made.length + dropped.length > 0) log.info({ made, dropped }, 'history has other months');
      } catch (error) {
        const fields = { error: error instanceof Error ? error.message : String(error) };
        if (error instanceof Unavailable) log.warn(fields, 'months of history wait for PostgreSQL');
        else log.error(fields, 'months of history cannot be made or dropped');
      }
      await system.sleep(limits.historyEveryMs, this.#stopping.signal);
    }
  }
}
