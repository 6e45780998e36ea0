/**
 * Carries audit records from the stream into the store, and removes them there once they are stored. Several processes may
 * do so at once: a record that is stored twice is one row.
 */
import { limits } from '../../config/limits.ts';
import type { AuditInbox, AuditStore, Log, Service, System } from '../ports.ts';
import { Unavailable } from '../protocol/errors.ts';

export interface AuditorSettings {
  inbox: AuditInbox;
  store: AuditStore;
  system: System;
  log: Log;
}

export class Auditor implements Service {
  readonly #settings: AuditorSettings;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #away = false;

  constructor(settings: AuditorSettings) {
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

  /** Stores what stands in the stream. Returns how many records it was. */
  async runOnce(): Promise<number> {
    const { inbox, store } = this.#settings;
    const entries = await inbox.read(limits.auditEntriesMax);
    if (entries.length === 0) return 0;
    const records = entries.flatMap(({ record }) => (record ? [record] : []));
    if (records.length > 0) await store.store(records);
    await inbox.remove(entries.map(({ position }) => position));
    return entries.length;
  }

  async #run(): Promise<void> {
    const { system, log } = this.#settings;
    while (!this.#stopping.signal.aborted) {
      try {
        if ((await this.runOnce()) === limits.auditEntriesMax) continue;
        if (this.#away) log.info({}, 'audit records are stored again');
        this.#away = false;
      } catch (error) {
        const fields = { error: error instanceof Error ? error.message : String(error) };
        if (!this.#away && error instanceof Unavailable) log.warn(fields, 'audit records wait in Redis');
        else if (!this.#away) log.error(fields, 'audit records cannot be stored; they wait in Redis');
        this.#away = true;
      }
      await system.sleep(limits.auditEveryMs, this.#stopping.signal);
    }
  }
}
