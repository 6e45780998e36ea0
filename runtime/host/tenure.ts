/** One holding of a shard's lease, timed on the holder's own monotonic clock from the moment the renewal was SENT. */
import type { Lease, System } from '../ports.ts';

/** Thrown where work stops because the shard is, or may be, another process's by now. */
export class LeaseLost extends Error {
  constructor(shard: number, why: string) {
    super(`shard ${shard}: ${why}`);
    this.name = 'LeaseLost';
  }
}

export class Tenure {
  #lease: Lease;
  readonly #system: System;
  readonly #ended = new AbortController();
  readonly ttlMs: number;
  #validUntilMs: number;

  constructor(lease: Lease, sentAtMs: number, ttlMs: number, system: System) {
    this.#lease = lease;
    this.#system = system;
    this.ttlMs = ttlMs;
    this.#validUntilMs = sentAtMs + ttlMs * 0.9;
  }

  get lease(): Lease {
    return this.#lease;
  }

  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  renewed(sentAtMs: number): void {
    this.#validUntilMs = sentAtMs + this.ttlMs * 0.9;
  }

  /** The same owner took the lease once more: another epoch, and sequences from 1. */
  retaken(lease: Lease, sentAtMs: number): void {
    this.#lease = lease;
    this.renewed(sentAtMs);
  }

  /** Whether this process may still believe that the shard is its own. Redis has the last word (R5). */
  get holds(): boolean {
    return !this.#ended.signal.aborted && this.#system.monotonicMs() < this.#validUntilMs;
  }

  end(): void {
    this.#ended.abort();
  }
}
