/** What the loop of a shard is given: ports, definitions, and whom it tells. */
import type { Registry } from '../core/definition.ts';
import type { Application, Commit, Log, Passage, ShardStore, System, Telemetry } from '../ports.ts';

export interface ShardSettings {
  store: ShardStore;
  registry: Registry;
  application: Application;
  system: System;
  telemetry: Telemetry;
  log: Log;
  siteEpoch: number;
  /** As what its commits pass the gate; default: of a site on its own. */
  passage?: Passage;
  /** Called after each commit with what became true: relay and projector wake up by it. */
  committed: (shard: number, commit: Commit) => void;
}
