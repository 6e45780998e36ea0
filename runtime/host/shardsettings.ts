/** What the loop of a shard is given: ports, definitions, and whom it tells. */
import type { Registry } from '../core/definition.ts';
import type { Application, Commit, LaneStatus, Log, Passage, ShardStore, System, Telemetry } from '../ports.ts';

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

/** What runs for a shard while its lease is held: the loop of the active site, or the mirror of a standby. */
export interface Runner {
  readonly id: number;
  /** Milliseconds since it last came round: what a watchdog looks at. */
  readonly readAgeMs: number;
  readonly mailboxes: readonly string[];
  lanes(): LaneStatus[];
  /** `<definition> <state>` -> number of actors of this shard. */
  census(): ReadonlyMap<string, number>;
  /** Ends it after what is under way. */
  stop(): void;
  /** Runs until stopped or until the lease is lost. Never rejects for anything that may pass. */
  run(): Promise<'stopped' | 'lost'>;
}
