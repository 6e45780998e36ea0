/**
 * The loop of one shard: read, load, decide, commit, dispatch.
 *
 * It is the only writer of its shard (R7). Between load and decision it never awaits (R2), and commits leave in the order of
 * decisions. While a batch is decided the next one is read; while its commit is in flight the next one is decided. A
 * refused commit throws away everything decided after it, because memory is only a copy of what Redis holds. A batch that cannot be decided or stored is decided again entry by entry, and the one that is the
 * cause is set aside (R10).
 */
import { decide, type Decided, type World } from '../core/batch.ts';
import type { Commit, LaneStatus } from '../ports.ts';
import { limits } from '../../config/limits.ts';
import { Unavailable } from '../protocol/errors.ts';
import type { Address } from '../protocol/ids.ts';
import { describe } from './describe.ts';
import { Reading } from './reading.ts';
import type { Runner, ShardSettings } from './shardsettings.ts';
import { LeaseLost, type Tenure } from './tenure.ts';
import { evict, forget, loadFor, openWorld } from './world.ts';

interface Unsent {
  decided: Decided;
  sequence: number;
  entries: number;
  suspect: string | undefined;
}

interface Flight {
  done: Promise<void>;
  failed: unknown;
  /** What the store does not have yet; empty when it does. */
  addresses: ReadonlySet<Address>;
  suspect: string | undefined;
}

const nothing: ReadonlySet<Address> = new Set();

export class Shard implements Runner {
  readonly #settings: ShardSettings;
  readonly #tenure: Tenure;
  readonly #reading: Reading;
  #world: World | undefined;
  #sequence = 0;
  /** A commit failed, so it is not known which sequence is the next. */
  #inDoubt = false;
  #more = false;
  /** Decided, and sent when the load of the next batch is under way, or when there is no next one. */
  #unsent: Unsent | undefined;
  #inFlight: Flight | undefined;
  /** Finished or removed by a commit that is stored. */
  #finished: Address[] = [];
  #stopping = false;
  #wake = new AbortController();
  #lastReadMs: number;

  constructor(settings: ShardSettings, tenure: Tenure) {
    this.#settings = settings;
    this.#tenure = tenure;
    this.#reading = new Reading(settings, tenure);
    this.#lastReadMs = settings.system.monotonicMs();
  }

  get id(): number {
    return this.#tenure.lease.shard;
  }

  /** Milliseconds since the loop last came round: what a watchdog looks at. */
  get readAgeMs(): number {
    return this.#settings.system.monotonicMs() - this.#lastReadMs;
  }

  get mailboxes(): readonly string[] {
    return this.#reading.mailboxes;
  }

  lanes(): LaneStatus[] {
    return this.#world ? this.#world.dispatcher.lanes(this.#settings.system.now()) : [];
  }

  /** `<definition> <state>` -> number of actors of this shard. */
  census(): ReadonlyMap<string, number> {
    return this.#world ? this.#world.census : new Map<string, number>();
  }

  /** Ends the loop after the batch under way. */
  stop(): void {
    this.#stopping = true;
    this.#wake.abort();
  }

  /** Runs until stopped or until the lease is lost. Never rejects for anything that may pass. */
  async run(): Promise<'stopped' | 'lost'> {
    const { log, system } = this.#settings;
    const reading = this.#reading;
    let world: World | undefined;
    while (!this.#stopping && this.#tenure.holds) {
      try {
        world ??= await this.#open();
        await this.#turn(world);
      } catch (error) {
        await this.#inFlight?.done;
        // What was decided upon a batch that failed never happened.
        if (!(error instanceof Unavailable)) this.#unsent = undefined;
        if (error instanceof LeaseLost) break;
        if (error instanceof Unavailable) {
          log.warn({ shard: this.id, error: error.message }, 'store away, waiting');
          reading.again();
        } else if (error instanceof CommitFailed && error.cause instanceof Damaged) {
          log.error(
            { shard: this.id, damage: error.message },
            'the shard stands still: another program wrote to its keys. Remove or rename the key, and it goes on by itself',
          );
          world = undefined;
          await system.sleep(limits.damagedRetryMs, this.#wake.signal);
        } else {
          log.error({ shard: this.id, error: describe(error) }, 'batch failed, deciding its entries one by one');
          const cause = error instanceof CommitFailed ? error : { suspect: reading.suspect, cause: error };
          reading.blame(cause.suspect, cause.cause);
          world = undefined;
        }
        await system.sleep(200, this.#wake.signal);
      }
    }
    await reading.land();
    await this.#send().catch((error: unknown) => {
      log.warn(
        { shard: this.id, error: describe(error) },
        'the last batch is not stored; it is decided again by the next owner',
      );
    });
    await this.#inFlight?.done;
    const lost = !this.#tenure.holds || this.#inFlight?.failed !== undefined;
    return this.#stopping && !lost ? 'stopped' : 'lost';
  }

  async #turn(world: World): Promise<void> {
    const { system, telemetry } = this.#settings;
    const reading = this.#reading;
    const read = await reading.read(world.alarms, this.#more, async () => {
      await this.#send();
      await this.#settle();
    });
    telemetry.readAge(this.id, this.readAgeMs / 1000);
    this.#lastReadMs = system.monotonicMs();
    this.#check();
    if (read.intakes.length === 0 && read.timers.length === 0 && !this.#more) return this.#send();
    // Now and at no other time: an actor that went between load and decision would look like one that never was.
    forget(world, this.#finished.splice(0), this.#isUnstored);
    // The load goes out before the commit of the batch before, and is not kept waiting by it.
    await Promise.all([loadFor(this.#settings, world, read), this.#send()]);
    this.#check();
    const now = system.now();
    const decided = decide(world, read.intakes, read.timers, now, this.#epoch, this.#sequence + 1);
    this.#more = decided.more;
    if (isEmpty(decided.commit)) return;
    this.#sequence++;
    reading.leave(decided.commit.mailboxesClosed);
    this.#unsent = { decided, sequence: this.#sequence, entries: read.intakes.length, suspect: reading.suspect };
    await system.yield();
    if (!reading.arrived || reading.isolating) await this.#send();
    if (reading.isolating) await this.#inFlight?.done;
    evict(world, this.#isUnstored);
  }

  /** Of the journal: leases of the two sites of a pair may have the same epoch, what they write may not. */
  get #epoch(): number {
    const { siteEpoch, passage } = this.#settings;
    const { epoch } = this.#tenure.lease;
    return passage === undefined || passage === '' ? epoch : siteEpoch * limits.leaseEpochsMax + epoch;
  }

  /** Whether the store does not have it yet as it is in memory. */
  readonly #isUnstored = (address: Address): boolean =>
    this.#inFlight?.addresses.has(address) === true || this.#unsent?.decided.commit.snapshots.has(address) === true;

  /** Sends what is decided, after the commit before it is stored. @throws what made that one fail */
  async #send(): Promise<void> {
    const unsent = this.#unsent;
    if (!unsent) return;
    await this.#settle();
    // A read that waits at a mailbox which goes would find no stream.
    if (unsent.decided.commit.mailboxesClosed.length > 0) await this.#reading.land();
    this.#unsent = undefined;
    this.#commit(unsent);
  }

  #commit({ decided, sequence, entries, suspect }: Unsent): void {
    const flight: Flight = {
      addresses: new Set(decided.commit.snapshots.keys()),
      failed: undefined,
      done: Promise.resolve(),
      suspect,
    };
    flight.done = this.#store(decided, sequence, entries).then(
      () => {
        flight.addresses = nothing;
      },
      (error: unknown) => {
        flight.failed = error;
      },
    );
    this.#inFlight = flight;
  }

  /** One atomic call, sent again under the same sequence until it is answered: a repeat writes nothing (R5). */
  async #store(decided: Decided, sequence: number, entries: number): Promise<void> {
    const { store, system, telemetry, committed, passage = '' } = this.#settings;
    const { lease } = this.#tenure;
    const sentAtMs = system.monotonicMs();
    for (;;) {
      try {
        const outcome = await store.commit(lease, sequence, decided.commit, passage);
        switch (outcome.outcome) {
          case 'committed':
            telemetry.committed(this.id, (system.monotonicMs() - sentAtMs) / 1000, entries, decided.records);
            this.#settled(decided);
            committed(this.id, decided.commit);
            return;
          case 'stale':
            throw new LeaseLost(this.id, `epoch ${outcome.epoch} has it, this process had ${lease.epoch}`);
          case 'gated':
            throw new LeaseLost(this.id, `the gate of the site is not open: ${outcome.why}`);
          case 'gap':
            throw new Error(`commit ${sequence} came where ${outcome.expected} was expected`);
          case 'damaged':
            throw outcome.whole ? new Damaged(outcome.detail) : new Error(`the store is damaged: ${outcome.detail}`);
        }
      } catch (error) {
        if (!(error instanceof Unavailable)) throw error;
        if (!this.#tenure.holds) throw new LeaseLost(this.id, 'the lease ran out while the store was away');
        await system.sleep(100, this.#tenure.signal);
      }
    }
  }

  /** What is true now: mailboxes are read from here on, finished actors need no memory. */
  #settled({ commit, settled }: Decided): void {
    this.#reading.join(commit.mailboxesOpened.filter((mailbox) => !commit.mailboxesClosed.includes(mailbox)));
    this.#finished.push(...settled);
  }

  /** Waits for the commit under way. */
  async #settle(): Promise<void> {
    await this.#inFlight?.done;
    this.#check();
  }

  #check(): void {
    const flight = this.#inFlight;
    if (flight?.failed !== undefined) {
      this.#inFlight = undefined;
      if (flight.failed instanceof LeaseLost) throw flight.failed;
      this.#inDoubt = true;
      throw new CommitFailed(flight.failed, flight.suspect);
    }
    if (!this.#tenure.holds) throw new LeaseLost(this.id, 'the lease ran out');
  }

  async #open(): Promise<World> {
    if (this.#inDoubt) await this.#retake();
    const { world, mailboxes } = await openWorld(this.#settings, this.#tenure.lease);
    await this.#reading.open(mailboxes);
    this.#inFlight = undefined;
    this.#finished = [];
    this.#more = true;
    this.#world = world;
    return world;
  }

  /** A failed commit may have been stored or not: a new epoch refuses it from here on, and counts from 1 again (R5). */
  async #retake(): Promise<void> {
    const { store, system } = this.#settings;
    const sentAtMs = system.monotonicMs();
    const outcome = await store.acquire(this.id, this.#tenure.lease.owner, this.#tenure.ttlMs);
    if (outcome.outcome === 'held') throw new LeaseLost(this.id, `${outcome.owner} has it`);
    this.#tenure.retaken(outcome.lease, sentAtMs);
    this.#sequence = 0;
    this.#inDoubt = false;
  }
}

/** The store refuses every batch, whatever is in it: nothing is set aside for that. */
class Damaged extends Error {
  constructor(detail: string) {
    super(detail);
    this.name = 'Damaged';
  }
}

/** The store refused a batch for what is in it. */
class CommitFailed extends Error {
  readonly suspect: string | undefined;
  constructor(cause: unknown, suspect: string | undefined) {
    super(describe(cause), { cause });
    this.name = 'CommitFailed';
    this.suspect = suspect;
  }
}

function isEmpty(commit: Commit): boolean {
  return (
    commit.journal === undefined &&
    commit.acks.size === 0 &&
    commit.setAside.length === 0 &&
    commit.deferred.length === 0 &&
    commit.deferredApart.length === 0 &&
    commit.redriven.length === 0 &&
    commit.relayed.size === 0
  );
}
