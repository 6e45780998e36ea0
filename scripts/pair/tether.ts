/**
 * How long the lease of the witness can be relied on: from before its renewal was sent, on a clock that never steps, and less
 * than all of it. A step of the wall clock ends it, because nobody knows which of the two clocks was right.
 */
import { limits } from '../../config/limits.ts';
import type { System, Witness } from '../../runtime/ports.ts';

export class Tether {
  readonly #system: System;
  readonly #witness: { lease: Witness; ttlMs: number } | undefined;
  #untilMs = -Infinity;
  #renewAtMs = -Infinity;
  #offsetMs: number | undefined;
  /** Who has the lease instead. */
  other = 'nobody that is known';

  constructor(system: System, witness: { lease: Witness; ttlMs: number } | undefined) {
    this.#system = system;
    this.#witness = witness;
  }

  /** Milliseconds that are left of it. */
  restMs(): number {
    return this.#untilMs - this.#system.monotonicMs();
  }

  /** Whether the wall clock was set since this was asked last. */
  stepped(): boolean {
    const offset = this.#system.now() - this.#system.monotonicMs();
    const stepped = this.#offsetMs !== undefined && Math.abs(offset - this.#offsetMs) > limits.clockStepMs;
    this.#offsetMs = offset;
    if (stepped) this.#untilMs = -Infinity;
    return stepped;
  }

  /** Takes or prolongs it, where that is due. @throws Unavailable */
  async hold(holder: string): Promise<boolean> {
    if (!this.#witness) return true;
    const sentAtMs = this.#system.monotonicMs();
    if (sentAtMs < this.#renewAtMs) return this.restMs() > 0;
    const { lease, ttlMs } = this.#witness;
    this.#renewAtMs = sentAtMs + Math.min(ttlMs / 4, limits.gateEveryMs / 2);
    const outcome = await lease.hold(holder);
    if (outcome.outcome === 'taken') {
      this.other = outcome.holder;
      this.#untilMs = -Infinity;
      return false;
    }
    this.#untilMs = sentAtMs + (ttlMs * limits.witnessLeasePercentMax) / 100;
    return true;
  }

  async release(): Promise<void> {
    const had = this.#untilMs > -Infinity;
    this.#untilMs = this.#renewAtMs = -Infinity;
    if (had) await this.#witness?.lease.release();
  }
}
