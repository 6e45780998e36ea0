/**
 * What a shard does next: new entries, entries that a former owner or a lost reply left pending, timers that are due. After
 * a batch failed, one thing at a time, until the cause is found and set aside (R10).
 */
import { limits } from '../../config/limits.ts';
import type { Alarm, Alarms } from '../core/alarms.ts';
import { timerEnvelope } from '../core/batch.ts';
import { asPoison, intake, restoreSetAside, type Intake } from '../core/intake.ts';
import type { Application, Entry } from '../ports.ts';
import { describe } from './describe.ts';
import type { ShardSettings } from './shardsettings.ts';
import type { Tenure } from './tenure.ts';

export interface Read {
  intakes: Intake[];
  timers: Alarm[];
}

/** A read under way, or what it brought. */
interface Ahead {
  landed: { entries: Entry[] } | { error: unknown } | undefined;
  /** Never rejects. */
  done: Promise<void>;
}

export class Reading {
  readonly #settings: Pick<ShardSettings, 'store' | 'application' | 'system'>;
  readonly #tenure: Tenure;
  #mailboxes: string[] = [];
  #claimAtMs = 0;
  /** What was read and not decided is to be claimed before anything else. */
  #claimFirst = true;
  #ahead: Ahead | undefined;
  #isolating = false;
  #suspect: string | undefined;
  /** Entries that were read and did not fit into the batch. They are pending, so whoever claims gets them anew. */
  #waiting: Entry[] = [];
  /** Key of an entry or a timer -> the error that it caused. */
  readonly #poison = new Map<string, string>();

  constructor(settings: Pick<ShardSettings, 'store' | 'application' | 'system'>, tenure: Tenure) {
    this.#settings = settings;
    this.#tenure = tenure;
  }

  get mailboxes(): readonly string[] {
    return this.#mailboxes;
  }

  /** One thing at a time. */
  get isolating(): boolean {
    return this.#isolating;
  }

  /** The one thing that the last read gave, or undefined when it gave more: whom to blame when the batch fails. */
  get suspect(): string | undefined {
    return this.#suspect;
  }

  /** Everything is new to a shard that was opened: pending entries and timers first. */
  async open(mailboxes: readonly string[]): Promise<void> {
    await this.land();
    this.#mailboxes = [...mailboxes];
    this.again();
  }

  /** Whether the next batch is here already. */
  get arrived(): boolean {
    return this.#waiting.length > 0 || this.#ahead?.landed !== undefined;
  }

  /** Waits for the read under way. */
  async land(): Promise<void> {
    await this.#ahead?.done;
  }

  /** A lost reply may have delivered entries that were never seen. */
  again(): void {
    this.#claimFirst = true;
  }

  join(opened: readonly string[]): void {
    if (opened.length > 0) this.#mailboxes = [...new Set([...this.#mailboxes, ...opened])];
  }

  /** Mailboxes that go with a commit under way: reading them meanwhile would find no stream. */
  leave(closed: readonly string[]): void {
    if (closed.length > 0) this.#mailboxes = this.#mailboxes.filter((mailbox) => !closed.includes(mailbox));
  }

  /** Remembers what was decided when it failed, if that was one thing; otherwise goes on one by one to find it. */
  blame(suspect: string | undefined, error: unknown): void {
    if (suspect !== undefined) this.#poison.set(suspect, describe(error));
    this.#isolating = true;
  }

  /**
   * The next read is under way when this one is given: Redis answers it while the batch is decided.
   * @param hurry there is more to do than what is read here: do not wait
   * @param settle sends what is decided and waits until it is stored; throws when that failed
   */
  async read(alarms: Alarms, hurry: boolean, settle: () => Promise<void>): Promise<Read> {
    this.#suspect = undefined;
    const now = this.#settings.system.now();
    const timers = alarms.due(now, this.#isolating ? 1 : limits.timersPerReadMax);
    const waitMs = hurry || timers.length > 0 ? 0 : alarms.nextMs - now;
    const entries = await this.#entries(timers.length, waitMs, settle);
    if (entries.length + timers.length === 1)
      this.#suspect = entries[0] ? entryKey(entries[0]) : timerKeyOf(timers[0]!);
    const poisoned = timers.filter((alarm) => this.#poison.has(timerKeyOf(alarm)));
    const intakes = [...poisoned.map((alarm) => this.#poisonedTimer(alarm)), ...(await this.#intakes(entries))];
    return { intakes, timers: timers.filter((alarm) => !poisoned.includes(alarm)) };
  }

  async #entries(timers: number, waitMs: number, settle: () => Promise<void>): Promise<Entry[]> {
    const { store, system } = this.#settings;
    const { lease } = this.#tenure;
    const streams = this.#mailboxes.length + 1;
    const sweep = system.monotonicMs() >= this.#claimAtMs;
    if (!this.#isolating && !this.#claimFirst && (!sweep || this.arrived || this.#ahead)) {
      if (this.#waiting.length > 0) return this.#waiting.splice(0);
      const ahead = (this.#ahead ??= this.#read());
      if (!ahead.landed && waitMs > 0) await this.#landedOr(ahead, waitMs);
      const { landed } = ahead;
      if (!landed) return [];
      this.#ahead = undefined;
      if ('error' in landed) throw landed.error;
      if (!sweep) this.#ahead = this.#read();
      return reportsFirst(landed.entries);
    }
    // Nothing may be in flight: a claim returns what this owner has read and not yet committed as well.
    await this.land();
    this.#ahead = undefined;
    this.#waiting = [];
    await settle();
    this.#claimFirst = false;
    const count = this.#isolating ? 1 : Math.max(1, Math.floor(limits.claimEntriesMax / streams));
    const entries = await store.claim(lease, this.#mailboxes, count);
    if (this.#isolating) {
      if (entries.length === 0 && timers === 0) this.#isolating = false;
      return timers > 0 ? [] : entries.slice(0, 1);
    }
    if (entries.length === 0) this.#claimAtMs = system.monotonicMs() + limits.pendingSweepEveryMs;
    return entries;
  }

  #read(): Ahead {
    const { store } = this.#settings;
    const count = Math.min(
      limits.readEntriesMax,
      Math.max(8, Math.floor(limits.commitEntriesMax / (this.#mailboxes.length + 1))),
    );
    const ahead: Ahead = { landed: undefined, done: Promise.resolve() };
    ahead.done = store.read(this.#tenure.lease, this.#mailboxes, count, limits.readBlockMs).then(
      (entries) => {
        ahead.landed = { entries };
      },
      (error: unknown) => {
        ahead.landed = { error };
      },
    );
    return ahead;
  }

  async #landedOr(ahead: Ahead, waitMs: number): Promise<void> {
    if (waitMs >= limits.readBlockMs) return ahead.done;
    const enough = new AbortController();
    await Promise.race([ahead.done, this.#settings.system.sleep(Math.ceil(waitMs), enough.signal)]);
    enough.abort();
  }

  async #intakes(entries: readonly Entry[]): Promise<Intake[]> {
    const { application, store } = this.#settings;
    const intakes: Intake[] = [];
    let envelopes = 0;
    for (const [index, entry] of entries.entries()) {
      if (envelopes >= limits.commitEnvelopesMax) {
        this.#waiting = entries.slice(index);
        break;
      }
      const key = entryKey(entry);
      const poison = this.#poison.get(key);
      const understood = understand(entry, application);
      const taken = poison === undefined ? understood : asPoison(understood, poison);
      this.#poison.delete(key);
      intakes.push(taken);
      envelopes += taken.envelopes.length;
      if (!taken.redrive) continue;
      for (const [id, setAside] of await store.setAsideEntries(this.#tenure.lease.shard, taken.redrive)) {
        // That it was taken over from another shard is counted already.
        const { relayed: _, ...again } = understand(restoreSetAside(setAside, id), application);
        intakes.push({ ...again, redriven: id, apart: true });
        envelopes += again.envelopes.length;
      }
    }
    return intakes;
  }

  /** A firing that made a batch fail before: set aside, and the timer rings no more. */
  #poisonedTimer(alarm: Alarm): Intake {
    const key = timerKeyOf(alarm);
    const detail = this.#poison.get(key) ?? '';
    this.#poison.delete(key);
    const entry: Entry = { source: 'commands', id: '0-0', fields: ['derived', JSON.stringify([timerEnvelope(alarm)])] };
    return { entry, envelopes: [], problem: { reason: 'not-storable', detail }, silences: alarm };
  }
}

/** What agents report makes room and is not much: a flood of submits does not keep it waiting. */
function reportsFirst(entries: readonly Entry[]): Entry[] {
  return [
    ...entries.filter(({ source }) => source !== 'commands'),
    ...entries.filter(({ source }) => source === 'commands'),
  ];
}

function entryKey(entry: Entry): string {
  return `${entry.source === 'commands' ? '' : entry.source.outbox} ${entry.id}`;
}

function timerKeyOf({ actor, timer }: Alarm): string {
  return `timer ${actor} ${timer}`;
}

/** An entry that even breaks the code that reads it is a poison entry like any other (R10). */
function understand(entry: Entry, application: Application): Intake {
  try {
    return intake(entry, application);
  } catch (error) {
    return { entry, envelopes: [], problem: { reason: 'unreadable', detail: describe(error) } };
  }
}
