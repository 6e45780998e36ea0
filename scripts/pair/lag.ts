/** How far a standby is behind: links that it lacks, and the age of the oldest of them as far as it was seen. */
import { limits } from '../../config/limits.ts';
import type { PeerSite } from '../../runtime/ports.ts';

export interface Lag {
  entries: number;
  ms: number;
}

export class LagMeter {
  readonly #own: Pick<PeerSite, 'whereabouts'>;
  readonly #peer: Pick<PeerSite, 'whereabouts'>;
  readonly #shards: readonly number[];
  readonly #monotonicMs: () => number;
  /** Shard -> sequences of the other site that are not here, with the time at which each was seen first. */
  readonly #missing = new Map<number, { sequence: number; seenAtMs: number }[]>();

  constructor(
    sites: { own: Pick<PeerSite, 'whereabouts'>; peer: Pick<PeerSite, 'whereabouts'> },
    shards: readonly number[],
    monotonicMs: () => number,
  ) {
    this.#own = sites.own;
    this.#peer = sites.peer;
    this.#shards = shards;
    this.#monotonicMs = monotonicMs;
  }

  /** @throws Unavailable */
  async look(): Promise<Lag> {
    const now = this.#monotonicMs();
    const lag: Lag = { entries: 0, ms: 0 };
    const places = await Promise.all(
      this.#shards.map(async (shard) => {
        const theirs = await this.#peer.whereabouts(shard);
        return { shard, theirs: theirs.head.sequence, mine: (await this.#own.whereabouts(shard)).head.sequence };
      }),
    );
    for (const { shard, theirs, mine } of places) {
      const missing = (this.#missing.get(shard) ?? []).filter(({ sequence }) => sequence > mine);
      if (theirs > mine && (missing.at(-1)?.sequence ?? mine) < theirs && missing.length < limits.lagSamplesMax)
        missing.push({ sequence: theirs, seenAtMs: now });
      this.#missing.set(shard, missing);
      lag.entries += Math.max(0, theirs - mine);
      if (missing[0]) lag.ms = Math.max(lag.ms, Math.round(now - missing[0].seenAtMs));
    }
    return lag;
  }
}
