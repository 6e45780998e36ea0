/** The gates of a site's shards in a `MemoryWorld`. */
import { close, closedGate, open } from '../core/merge/gate.ts';
import type { GateKeeper, GateOutcome } from '../ports.ts';
import type { MemoryWorld } from './world.ts';

export class MemoryGates implements GateKeeper {
  readonly #world: MemoryWorld;

  constructor(world: MemoryWorld) {
    this.#world = world;
  }

  shut(shards: readonly number[]): Promise<void> {
    for (const shard of shards) {
      const { standing } = this.#world.shard(shard);
      standing.gate = close(standing.gate ?? closedGate);
    }
    return Promise.resolve();
  }

  open(shards: readonly number[], epoch: number, forMs: number): Promise<GateOutcome> {
    let refused: GateOutcome | undefined;
    for (const shard of shards) {
      const { standing } = this.#world.shard(shard);
      if (standing.copying) {
        refused ??= { outcome: 'refused', shard, why: 'copying' };
        continue;
      }
      const opened = open(standing.gate ?? closedGate, epoch, forMs, this.#world.system.now());
      standing.gate = opened.gate;
      if (!opened.passed) refused ??= { outcome: 'refused', shard, why: opened.why };
    }
    return Promise.resolve(refused ?? { outcome: 'opened' });
  }

  close(shards: readonly number[], epoch: number): Promise<void> {
    for (const shard of shards) {
      const { standing } = this.#world.shard(shard);
      if (standing.gate && epoch >= standing.gate.epoch) standing.gate = close(standing.gate);
    }
    return Promise.resolve();
  }
}
