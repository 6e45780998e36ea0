/**
 * Carries the journal of one shard into the projection store. It goes on where the store's own watermark stands, and tells
 * the journal what may be trimmed only after the store has it. PostgreSQL may be away for hours: the journal waits. Like
 * everything that follows a journal it originates no command (R8).
 */
import { limits } from '../../config/limits.ts';
import type { JournalReader, Log, PositionedEntry, ProjectionStore, Service, System } from '../ports.ts';
import { Unavailable } from '../protocol/errors.ts';
import { stateText } from '../protocol/envelope.ts';
import { parseAddress } from '../protocol/ids.ts';
import type { JournalRecord, Position } from '../protocol/journal.ts';

/** Name under which the projector acknowledges journal entries. */
export const projectorReader = 'postgres';

export interface ProjectorSettings {
  shard: number;
  journals: JournalReader;
  store: ProjectionStore;
  system: System;
  log: Log;
}

export class Projector implements Service {
  readonly #settings: ProjectorSettings;
  #position: Position | undefined;
  #running: Promise<void> | undefined;
  readonly #stopping = new AbortController();
  #wake = new AbortController();
  #behindSinceMs: number | undefined;
  #away = false;

  constructor(settings: ProjectorSettings) {
    this.#settings = settings;
  }

  get shard(): number {
    return this.#settings.shard;
  }

  /** Seconds for which something in the journal has not been in the store yet. */
  get lagSeconds(): number {
    return this.#behindSinceMs === undefined ? 0 : (this.#settings.system.monotonicMs() - this.#behindSinceMs) / 1000;
  }

  start(): Promise<void> {
    this.#running ??= this.#run();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake.abort();
    await this.#running;
  }

  /** The journal has grown: look now and not at the next interval. */
  kick(): void {
    this.#behindSinceMs ??= this.#settings.system.monotonicMs();
    this.#wake.abort();
  }

  /** Applies what one look at the journal finds. */
  async runOnce(): Promise<{ applied: number; quarantined: number }> {
    const { shard, journals, store, log } = this.#settings;
    const total = { applied: 0, quarantined: 0 };
    this.#position ??= await store.watermark(shard);
    for (const page of pages(await journals.range(shard, this.#position, limits.projectEntriesMax))) {
      const outcome = await store.apply(shard, this.#position, page);
      if ('conflict' in outcome) {
        // Another process projected this shard meanwhile: go on from where it came to.
        this.#position = outcome.conflict;
        return total;
      }
      this.#position = page.at(-1)!.position;
      if (log.verbose === true) this.#tell(page);
      total.applied += outcome.applied;
      total.quarantined += outcome.quarantined;
      if (outcome.quarantined > 0)
        log.error({ shard, count: outcome.quarantined }, 'journal records quarantined; see the table quarantine');
      await journals.acknowledge(shard, projectorReader, this.#position);
      if (this.#stopping.signal.aborted) return total;
    }
    return total;
  }

  /** What happened, with the ids to follow it by; on the level DEBUG. */
  #tell(entries: readonly PositionedEntry[]): void {
    for (const { entry } of entries)
      for (const record of entry.records) this.#settings.log.debug(lineOf(entry.shard, record), 'transition');
  }

  async #run(): Promise<void> {
    const { system, log, shard } = this.#settings;
    let failures = 0;
    while (!this.#stopping.signal.aborted) {
      this.#wake = new AbortController();
      if (this.#stopping.signal.aborted) break;
      const seenMs = system.monotonicMs();
      try {
        const { applied, quarantined } = await this.runOnce();
        if (this.#away) log.info({ shard }, 'projection goes on');
        this.#away = false;
        failures = 0;
        if (applied + quarantined > 0) {
          // What came before this look is in the store; what came since is at most this old.
          this.#behindSinceMs = seenMs;
          continue;
        }
        this.#behindSinceMs = this.#wake.signal.aborted ? seenMs : undefined;
        await system.sleep(limits.projectorIdleMs, this.#wake.signal);
      } catch (error) {
        failures++;
        this.#position = undefined;
        if (!this.#away) {
          const fields = { shard, error: error instanceof Error ? error.message : String(error) };
          if (error instanceof Unavailable) log.warn(fields, 'projection waits; the journal keeps everything');
          else log.error(fields, 'projection failed, trying again');
        }
        this.#away = true;
        await system.sleep(limits.projectorRetryMs * Math.min(failures, 10), this.#stopping.signal);
      }
    }
  }
}

/** Task, agent and trace stand under the same names in every line of the log. */
function lineOf(shard: number, record: JournalRecord): object {
  const { actor, event, origin, outcome = 'applied', state, revision, reason, by, traceparent } = record;
  const { definition, id } = parseAddress(actor) ?? { definition: 'actor', id: actor };
  const agent = event?.['agent'];
  return {
    shard,
    [definition]: id,
    event: event?.type ?? 'create',
    origin,
    outcome,
    state: stateText(state),
    revision,
    ...(definition !== 'agent' && typeof agent === 'string' && { agent }),
    ...(reason !== undefined && { reason }),
    ...(by !== undefined && { by }),
    ...(traceparent !== undefined && { trace: traceparent.split('-')[1] }),
  };
}

/** Entries of about one transaction each: as many records as the largest batch decides. */
function* pages(entries: readonly PositionedEntry[]): Generator<readonly PositionedEntry[]> {
  let page: PositionedEntry[] = [];
  let records = 0;
  for (const each of entries) {
    page.push(each);
    records += each.entry.records.length;
    if (records < limits.cascadeStepsMax) continue;
    yield page;
    page = [];
    records = 0;
  }
  if (page.length > 0) yield page;
}
