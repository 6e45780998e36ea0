/**
 * The loop of one shard: read, load, decide, commit, dispatch.
 *
 * It is the only writer of its shard (R7). Between load and commit it never awaits (R2). While a commit is in flight the
 * next batch is read and decided; a refused commit throws away everything decided after it, because memory is only a copy
 * of what Redis holds. A batch that cannot be decided or stored is decided again entry by entry, and the one that is the
 * cause is set aside (R10).
 */
import { limits } from '../../config/limits.ts';
import { thaw, viewOf } from '../core/actor.ts';
import { viewOfStored } from '../protocol/snapshot.ts';
import { count, decide, parseTimerKey, timerEnvelope, type Decided, type World } from '../core/batch.ts';
import type { Registry } from '../core/definition.ts';
import { asPoison, intake, restoreSetAside, type Intake } from '../core/intake.ts';
import type { Application, Commit, Entry, LaneStatus, Log, ShardStore, System, Telemetry } from '../ports.ts';
import { Unavailable } from '../protocol/errors.ts';
import { stateText } from '../protocol/envelope.ts';
import { parseAddress, type Address } from '../protocol/ids.ts';
import { LeaseLost, type Tenure } from './tenure.ts';

export interface ShardSettings {
  store: ShardStore;
  registry: Registry;
  application: Application;
  system: System;
  telemetry: Telemetry;
  log: Log;
  siteEpoch: number;
  /** Called after each commit with what became true: relay and projector wake up by it. */
  committed: (shard: number, commit: Commit) => void;
}

interface Read {
  intakes: Intake[];
  timers: string[];
  /** What it is to blame when it fails, where that is one thing. */
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

export class Shard {
  readonly #settings: ShardSettings;
  readonly #tenure: Tenure;
  #world!: World;
  #mailboxes: string[] = [];
  #sequence = 0;
  #nextTimerMs = 0;
  #more = false;
  #claimAtMs = 0;
  #inFlight: Flight | undefined;
  /** Finished or removed by a commit that is stored. */
  #finished: Address[] = [];
  /** Entry by entry, after a batch failed; what is to blame if this one fails; and what is known to fail. */
  #isolating = false;
  #suspect: string | undefined;
  /** A commit failed, so it is not known which sequence is the next. */
  #inDoubt = false;
  readonly #poison = new Map<string, string>();
  #stopping = false;
  #wake = new AbortController();
  #lastReadMs: number;

  constructor(settings: ShardSettings, tenure: Tenure) {
    this.#settings = settings;
    this.#tenure = tenure;
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
    return this.#mailboxes;
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
    let opened = false;
    while (!this.#stopping && this.#tenure.holds) {
      try {
        if (!opened) {
          await this.#open();
          opened = true;
        }
        await this.#turn();
      } catch (error) {
        await this.#settle();
        if (error instanceof LeaseLost) break;
        if (error instanceof Unavailable) {
          log.warn({ shard: this.id, error: error.message }, 'store away, waiting');
          // A lost reply may have delivered entries that were never seen: they are claimed. So with timers.
          this.#claimAtMs = 0;
          this.#nextTimerMs = 0;
        } else {
          log.error({ shard: this.id, error: describe(error) }, 'batch failed, deciding its entries one by one');
          this.#blame(error);
          opened = false;
        }
        await system.sleep(200, this.#wake.signal);
      }
    }
    await this.#settle();
    const lost = !this.#tenure.holds || this.#inFlight?.failed !== undefined;
    return this.#stopping && !lost ? 'stopped' : 'lost';
  }

  async #turn(): Promise<void> {
    const { system, telemetry } = this.#settings;
    this.#suspect = undefined;
    const read = await this.#read();
    telemetry.readAge(this.id, this.readAgeMs / 1000);
    this.#lastReadMs = system.monotonicMs();
    this.#check();
    if (read.intakes.length === 0 && read.timers.length === 0 && !this.#more) return;
    this.#suspect = read.suspect;
    this.#forget();
    await this.#load(read);
    this.#check();
    const now = system.now();
    const decided = decide(this.#world, read.intakes, read.timers, now, this.#tenure.lease.epoch, this.#sequence + 1);
    this.#more = decided.more;
    this.#expectTimers(decided.commit);
    await this.#settle();
    this.#check();
    if (isEmpty(decided.commit)) return;
    this.#sequence++;
    this.#leave(decided.commit.mailboxesClosed);
    this.#commit(decided, this.#sequence, read.intakes.length);
    if (this.#isolating) await this.#settle();
    this.#evict();
  }

  /** New entries, or, now and then, those that a former owner or a lost reply left pending; and the timers that are due. */
  async #read(): Promise<Read> {
    const { store, system } = this.#settings;
    const { lease } = this.#tenure;
    const now = system.now();
    const timers: string[] = [];
    if (this.#nextTimerMs <= now) {
      // A commit that is stored meanwhile lowers this; the answer may not know of it yet.
      this.#nextTimerMs = Infinity;
      const { due, nextMs } = await store.dueTimers(lease, now, this.#isolating ? 1 : limits.timersPerReadMax);
      timers.push(...due.map((timer) => timer.key));
      this.#nextTimerMs = Math.min(this.#nextTimerMs, nextMs ?? Infinity);
    }
    let entries: Entry[];
    const streams = this.#mailboxes.length + 1;
    if (system.monotonicMs() >= this.#claimAtMs || this.#isolating) {
      // Nothing may be in flight: a claim returns what this owner has read and not yet committed as well.
      await this.#settle();
      this.#check();
      const count = this.#isolating ? 1 : Math.max(1, Math.floor(limits.claimEntriesMax / streams));
      entries = await store.claim(lease, this.#mailboxes, count);
      if (this.#isolating) {
        if (entries.length === 0 && timers.length === 0) this.#isolating = false;
        entries = timers.length > 0 ? [] : entries.slice(0, 1);
      } else if (entries.length === 0) {
        this.#claimAtMs = system.monotonicMs() + limits.pendingSweepEveryMs;
      }
    } else {
      const wait = this.#more || timers.length > 0 ? 1 : Math.min(limits.readBlockMs, this.#nextTimerMs - now);
      const count = Math.min(limits.readEntriesMax, Math.max(8, Math.floor(limits.commitEntriesMax / streams)));
      entries = await store.read(lease, this.#mailboxes, count, Math.max(1, wait));
    }
    const suspect = entries.length + timers.length === 1 ? suspectOf(entries, timers) : undefined;
    this.#suspect = suspect;
    const poisoned = timers.filter((key) => this.#poison.has(`timer ${key}`));
    const intakes = [...poisoned.map((key) => this.#poisonedTimer(key)), ...(await this.#intakes(entries))];
    return { intakes, timers: timers.filter((key) => !poisoned.includes(key)), suspect };
  }

  async #intakes(entries: readonly Entry[]): Promise<Intake[]> {
    const { application, store } = this.#settings;
    const intakes: Intake[] = [];
    for (const entry of entries) {
      const poison = this.#poison.get(entryKey(entry));
      const understood = understand(entry, application);
      const taken = poison === undefined ? understood : asPoison(understood, poison);
      this.#poison.delete(entryKey(entry));
      intakes.push(taken);
      if (!taken.redrive) continue;
      const found = await store.setAsideEntries(this.id, taken.redrive);
      for (const [id, setAside] of found) {
        // That it was taken over from another shard is counted already.
        const { relayed: _, ...again } = understand(restoreSetAside(setAside, id), application);
        intakes.push({ ...again, redriven: id, apart: true });
      }
    }
    return intakes;
  }

  /** Snapshots of everything the batch will touch; after this, no await until the commit is issued (R2). */
  async #load({ intakes, timers }: Read): Promise<void> {
    const { actors, dispatcher } = this.#world;
    const wanted = new Set<Address>();
    let envelopes = 0;
    for (const { envelopes: list } of intakes) {
      envelopes += list.length;
      for (const { to } of list) if (!actors.has(to)) wanted.add(to);
    }
    for (const key of timers) {
      const { actor } = parseTimerKey(key);
      if (!actors.has(actor)) wanted.add(actor);
    }
    for (const address of dispatcher.candidates(envelopes)) if (!actors.has(address)) wanted.add(address);
    if (wanted.size === 0) return;
    const list = [...wanted].filter((address) => parseAddress(address)?.shard === this.id);
    for (let from = 0; from < list.length; from += 1_000) await this.#loadSome(list.slice(from, from + 1_000));
  }

  async #loadSome(addresses: readonly Address[]): Promise<void> {
    const { store } = this.#settings;
    const { actors, dispatcher } = this.#world;
    const texts = await store.load(this.id, addresses);
    for (const address of addresses) {
      const text = texts.get(address);
      if (text === undefined) {
        actors.set(address, null);
        dispatcher.observe(address, undefined);
        continue;
      }
      const definition = this.#settings.registry.get(parseAddress(address)?.definition ?? '');
      if (!definition) continue;
      const thawed = thaw(definition, address, text);
      if (thawed.ok) actors.set(address, thawed.actor);
      else this.#unreadable(address, thawed.reason, thawed.detail);
    }
  }

  /** What a newer or a foreign release wrote is kept as it is, and what is sent to it is set aside. */
  #unreadable(address: Address, reason: string, detail: string): void {
    const { dispatcher, unreadable } = this.#world;
    if (!unreadable.has(address))
      this.#settings.log.error({ shard: this.id, actor: address, reason, detail }, 'snapshot not readable');
    unreadable.set(address, detail);
    dispatcher.observe(address, undefined);
  }

  #commit(decided: Decided, sequence: number, entries: number): void {
    const flight: Flight = {
      addresses: new Set(decided.commit.snapshots.keys()),
      failed: undefined,
      done: Promise.resolve(),
      suspect: this.#suspect,
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
    const { store, system, telemetry, committed } = this.#settings;
    const { lease } = this.#tenure;
    const sentAtMs = system.monotonicMs();
    for (;;) {
      try {
        const outcome = await store.commit(lease, sequence, decided.commit);
        switch (outcome.outcome) {
          case 'committed':
            telemetry.committed(this.id, (system.monotonicMs() - sentAtMs) / 1000, entries, decided.records);
            this.#settled(decided);
            committed(this.id, decided.commit);
            return;
          case 'stale':
            throw new LeaseLost(this.id, `epoch ${outcome.epoch} has it, this process had ${lease.epoch}`);
          case 'gap':
            throw new Error(`commit ${sequence} came where ${outcome.expected} was expected`);
          case 'damaged':
            throw new Error(`the store is damaged: ${outcome.detail}`);
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
    const closed = new Set(commit.mailboxesClosed);
    const opened = commit.mailboxesOpened.filter((mailbox) => !closed.has(mailbox));
    if (opened.length > 0) this.#mailboxes = [...new Set([...this.#mailboxes, ...opened])];
    this.#expectTimers(commit);
    this.#finished.push(...settled);
  }

  /** Mailboxes that go with the commit: reading them meanwhile would find no stream. */
  #leave(closed: readonly string[]): void {
    if (closed.length > 0) this.#mailboxes = this.#mailboxes.filter((mailbox) => !closed.includes(mailbox));
  }

  #expectTimers({ timersSet }: Commit): void {
    for (const dueMs of timersSet.values()) this.#nextTimerMs = Math.min(this.#nextTimerMs, dueMs);
  }

  /**
   * Lets go of finished actors, before a batch is loaded and at no other time: one that went between load and decision
   * would look like one that never was.
   */
  #forget(): void {
    const { actors } = this.#world;
    for (const address of this.#finished) {
      const actor = actors.get(address);
      if (this.#inFlight?.addresses.has(address)) continue;
      if (actor === null || (actor && actor.snapshot.status !== 'active')) actors.delete(address);
    }
    this.#finished = [];
  }

  async #settle(): Promise<void> {
    await this.#inFlight?.done;
  }

  #check(): void {
    const failed = this.#inFlight?.failed;
    if (failed !== undefined) {
      this.#suspect = this.#inFlight?.suspect;
      this.#inDoubt = true;
      this.#inFlight = undefined;
      throw failed instanceof Error ? failed : new Error(describe(failed));
    }
    if (!this.#tenure.holds) throw new LeaseLost(this.id, 'the lease ran out');
  }

  /** Keeps memory bounded; what the commit in flight writes must stay, because Redis does not have it yet. */
  #evict(): void {
    const { actors } = this.#world;
    if (actors.size <= limits.actorsCachedMax) return;
    for (const [address, actor] of actors) {
      if (actors.size <= limits.actorsCachedMax * 0.9) return;
      if (actor?.definition.resident || this.#inFlight?.addresses.has(address)) continue;
      actors.delete(address);
    }
  }

  /** Takes the shard over: its mailboxes, what the relay delivered, the index of every actor, the residents themselves. */
  async #open(): Promise<void> {
    const { store, registry, application, system, telemetry, siteEpoch, log } = this.#settings;
    if (this.#inDoubt) await this.#retake();
    const { lease } = this.#tenure;
    const { mailboxes, relayed, sent } = await store.open(lease);
    this.#mailboxes = mailboxes;
    this.#inFlight = undefined;
    this.#finished = [];
    this.#world = {
      shard: this.id,
      registry,
      application,
      dispatcher: application.dispatcher(this.id),
      actors: new Map(),
      unreadable: new Map(),
      relayed,
      sent,
      census: new Map(),
      siteEpoch,
      mint: system.token,
      telemetry,
    };
    let cursor = '0';
    let found = 0;
    for (let done = false; !done; ) {
      const page = await store.scan(this.id, cursor);
      ({ cursor, done } = page);
      for (const [address, text] of page.snapshots) {
        found++;
        const parts = parseAddress(address);
        const definition = parts && registry.get(parts.definition);
        if (!parts || !definition) continue;
        const view = viewOfStored(parts.id, text);
        count(this.#world.census, definition.id, stateText(view.state), 1);
        if (!definition.resident) {
          this.#world.dispatcher.observe(address, view);
          continue;
        }
        const thawed = thaw(definition, address, text);
        if (!thawed.ok) {
          this.#unreadable(address, thawed.reason, thawed.detail);
          continue;
        }
        this.#world.actors.set(address, thawed.actor);
        this.#world.dispatcher.observe(address, viewOf(thawed.actor));
      }
    }
    this.#nextTimerMs = 0;
    this.#claimAtMs = 0;
    this.#more = true;
    log.debug({ shard: this.id, epoch: lease.epoch, actors: found }, 'shard opened');
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

  /** Remembers what was decided when it failed, if that was one thing; otherwise goes on one by one to find it. */
  #blame(error: unknown): void {
    if (this.#suspect !== undefined) this.#poison.set(this.#suspect, describe(error));
    this.#suspect = undefined;
    this.#isolating = true;
  }

  /** A firing that made a batch fail before: set aside, and the timer is cleared so that it does not fire for ever. */
  #poisonedTimer(key: string): Intake {
    const detail = this.#poison.get(`timer ${key}`)!;
    this.#poison.delete(`timer ${key}`);
    const entry: Entry = { source: 'commands', id: '0-0', fields: ['derived', JSON.stringify([timerEnvelope(key)])] };
    return { entry, envelopes: [], problem: { reason: 'not-storable', detail }, clearsTimer: key };
  }

}

function entryKey(entry: Entry): string {
  return `${entry.source === 'commands' ? '' : entry.source.outbox} ${entry.id}`;
}

/** An entry that even breaks the code that reads it is a poison entry like any other (R10). */
function understand(entry: Entry, application: Application): Intake {
  try {
    return intake(entry, application);
  } catch (error) {
    return { entry, envelopes: [], problem: { reason: 'unreadable', detail: describe(error) } };
  }
}

function suspectOf(entries: readonly Entry[], timers: readonly string[]): string {
  return entries[0] ? entryKey(entries[0]) : `timer ${timers[0] ?? ''}`;
}

function isEmpty(commit: Commit): boolean {
  return (
    commit.journal === undefined &&
    commit.acks.size === 0 &&
    commit.setAside.length === 0 &&
    commit.timersCleared.size === 0 &&
    commit.deferred.length === 0 &&
    commit.deferredApart.length === 0 &&
    commit.redriven.length === 0 &&
    commit.relayed.size === 0
  );
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message).slice(0, 2_000) : String(error);
}

