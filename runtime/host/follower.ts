/**
 * A shard of a standby as far as it follows: links go in, in order, each through the same `step` as at the active site, and
 * what comes out is committed as it stands. While a commit is on its way the next link is worked out; whatever fails, the
 * shard is opened again, and all of it starts from what the store has.
 */
import { limits } from '../../config/limits.ts';
import { isDone, type Actor } from '../core/actor.ts';
import { begun, type Begin } from '../core/merge/course.ts';
import { entryOf, followEntry } from '../core/merge/replica.ts';
import type { Commit, Registry, ShardStore } from '../ports.ts';
import { cursorOf, receive, type Cursor, type Link, type Refusal } from '../protocol/chain.ts';
import type { Address } from '../protocol/ids.ts';
import type { JournalEntry, Position } from '../protocol/journal.ts';
import { isNews } from './copy.ts';
import { mirrored, nameOf, thawed } from './mirrored.ts';

/** The other site says something that cannot be taken. */
export class Refused extends Error {
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(`${refusal.refused}: ${refusal.detail}`);
    this.refusal = refusal;
  }
}

export interface FollowerSettings {
  shard: number;
  registry: Registry;
  store: Pick<ShardStore, 'load'>;
  /** Makes a commit true; never called again before it is. */
  commit: (commit: Commit) => Promise<void>;
  /** A link is stored. */
  stored: (link: Link, entry: JournalEntry) => void;
}

/** Where the shard stands when it is opened. */
export interface FollowerPlace {
  head: Cursor;
  begins: readonly Begin[];
  cursor: Position;
  /** Names of the envelopes that the other site has put off. */
  putOff: Iterable<string>;
}

export class Follower {
  readonly #settings: FollowerSettings;
  readonly #actors = new Map<Address, Actor>();
  /** Actors that were taken later than the links are: what they have already is passed over. */
  readonly #ahead = new Set<Address>();
  readonly #putOff: Set<string>;
  #head: Cursor;
  #begins: readonly Begin[];
  #cursor: Position;
  #underWay: Promise<void> = Promise.resolve();

  constructor(settings: FollowerSettings, { head, begins, cursor, putOff }: FollowerPlace) {
    this.#settings = settings;
    this.#head = head;
    this.#begins = begins;
    this.#cursor = cursor;
    this.#putOff = new Set(putOff);
  }

  /** Of what was taken; stored it is when `settled` resolves. */
  get head(): Cursor {
    return this.#head;
  }

  get cursor(): Position {
    return this.#cursor;
  }

  /**
   * Works a link out and sends it. The one before it is stored then.
   * @throws Refused for a link that does not fit; InvariantBroken where it comes out otherwise; what made a commit fail
   */
  async take(position: Position, link: Link): Promise<void> {
    const head = this.#head;
    // A cursor that is not known yet is found by reading on from the beginning.
    const passed = link.epoch <= head.epoch && link.sequence < head.sequence;
    const reception = passed
      ? ({ taken: 'repeat' } as const)
      : receive(head, link, (hash) => hash === head.hash || head.sequence === 0);
    if (!('taken' in reception)) throw new Refused(reception);
    if (reception.taken === 'next') {
      const entry = entryOf(link);
      await this.#load(entry);
      const commit = this.#follow(entry, link, position);
      await this.settled();
      this.#send(commit, link, entry);
    }
    this.#cursor = position;
  }

  /** Resolves when everything that was taken is stored. @throws what made a commit fail */
  settled(): Promise<void> {
    return this.#underWay;
  }

  /** Actors that were replaced in the store by what the other site has of them now. */
  replaced(addresses: readonly Address[]): void {
    for (const address of addresses) {
      this.#actors.delete(address);
      this.#ahead.add(address);
    }
  }

  #follow(entry: JournalEntry, link: Link, position: Position): Commit {
    const actors = this.#actors;
    const { at, records } = entry;
    const before = new Map<Address, Actor | undefined>();
    for (const record of records) {
      if (!before.has(record.actor)) before.set(record.actor, actors.get(record.actor));
      if (!this.#ahead.has(record.actor) || isNews(actors.get(record.actor), record))
        followEntry(this.#settings.registry, actors, { at, records: [record] });
    }
    const begins = begun(this.#begins, this.#head, link);
    const commit = mirrored(entry, link, begins, position, before, actors, this.#putOff);
    for (const name of commit.mirror?.decided ?? []) this.#putOff.delete(name);
    for (const envelope of entry.beside?.deferred ?? []) this.#putOff.add(nameOf(envelope));
    this.#head = cursorOf(link);
    this.#begins = begins;
    return commit;
  }

  #send(commit: Commit, link: Link, entry: JournalEntry): void {
    this.#underWay = this.#settings.commit(commit).then(() => {
      this.#settings.stored(link, entry);
    });
    // Whoever takes the next link, or waits until all is stored, hears of it.
    this.#underWay.catch(() => undefined);
    if (this.#actors.size > limits.actorsCachedMax) this.#evict();
  }

  /** What is over is hardly ever asked for again. */
  #evict(): void {
    for (const [address, actor] of this.#actors) if (isDone(actor)) this.#actors.delete(address);
    if (this.#actors.size > limits.actorsCachedMax / 2) this.#actors.clear();
  }

  /** Actors that the entry goes on with; those that it brings into being are in no store. */
  async #load({ records }: JournalEntry): Promise<void> {
    const { store, registry, shard } = this.#settings;
    const known = new Set<Address>();
    const wanted: Address[] = [];
    for (const { actor, revision, outcome } of records) {
      if (known.has(actor)) continue;
      known.add(actor);
      const born = revision === 1 && outcome === undefined && !this.#ahead.has(actor);
      if (!born && !this.#actors.has(actor)) wanted.push(actor);
    }
    if (wanted.length === 0) return;
    // What is on its way may be what is looked for.
    await this.settled();
    for (let from = 0; from < wanted.length; from += limits.scanCount) {
      const texts = await store.load(shard, wanted.slice(from, from + limits.scanCount));
      for (const [address, text] of texts) this.#actors.set(address, thawed(registry, address, text));
    }
  }
}
