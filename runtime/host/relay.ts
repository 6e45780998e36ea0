/**
 * The relay of a shard: moves what its actors sent to actors of other shards. It delivers at least once and in order; the
 * receiver remembers the last position it took from each source, so every entry is taken once (R1, R3).
 */
import { limits } from '../../config/limits.ts';
import type { Log, Service, ShardStore, System } from '../ports.ts';
import { Unavailable } from '../protocol/errors.ts';

export class Relay implements Service {
  readonly #shard: number;
  readonly #store: ShardStore;
  readonly #system: System;
  readonly #log: Log;
  #wake = new AbortController();
  #stopping = false;
  #running: Promise<void> | undefined;

  constructor(shard: number, store: ShardStore, system: System, log: Log) {
    this.#shard = shard;
    this.#store = store;
    this.#system = system;
    this.#log = log;
  }

  start(): Promise<void> {
    this.#running ??= this.#run();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.kick();
    await this.#running;
  }

  /** Something was sent: look now and not at the next interval. */
  kick(): void {
    this.#wake.abort();
  }

  async runOnce(): Promise<{ relayed: number }> {
    const entries = await this.#store.outbound(this.#shard, limits.relayEntriesMax);
    if (entries.length === 0) return { relayed: 0 };
    await this.#store.deliver(this.#shard, entries);
    await this.#store.removeOutbound(
      this.#shard,
      entries.map((entry) => entry.id),
    );
    return { relayed: entries.length };
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      this.#wake = new AbortController();
      try {
        const { relayed } = await this.runOnce();
        if (relayed > 0) continue;
      } catch (error) {
        if (!(error instanceof Unavailable))
          this.#log.error({ shard: this.#shard, error: String(error) }, 'relay failed');
      }
      if (!this.#stopping) await this.#system.sleep(limits.relayRetryMs, this.#wake.signal);
    }
  }
}
