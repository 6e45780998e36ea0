/**
 * One site of a simulated pair: what survives a crash, what does not, and the real decisions of one shard. What a batch, a
 * gate, a link, a course and a package are is the product's own code; only storage and transport are of the simulation.
 */
import { freeze, viewOf, type Actor } from '../../runtime/core/actor.ts';
import type { Commit, Entry } from '../../runtime/core/decision.ts';
import { begun, courseOf, type Begin, type Course, type Whereabouts } from '../../runtime/core/merge/course.ts';
import { close, closedGate, open, pass, type Gate } from '../../runtime/core/merge/gate.ts';
import { lossesOf, type Lost, type LostRecord } from '../../runtime/core/merge/lost.ts';
import { followEntry } from '../../runtime/core/merge/replica.ts';
import type { Taken } from '../../runtime/core/taken.ts';
import { linkAfter, origin, receive, type Cursor, type Link } from '../../runtime/protocol/chain.ts';
import type { Envelope } from '../../runtime/protocol/envelope.ts';
import type { Address } from '../../runtime/protocol/ids.ts';
import { nextEpoch, type SiteNumber } from '../../runtime/protocol/siteepoch.ts';
import { builtIn, createBench, type Bench } from '../support/decisions.ts';
import { entryIn } from './entry.ts';
import type { Mutant } from './mutant.ts';

export const leaseMs = 3_000;
const linksPerAnswer = 20;

/** The state of the shard at its head. */
interface Image {
  actors: ReadonlyMap<Address, Actor>;
  relayed: ReadonlyMap<number, Taken>;
  deferred: ReadonlyMap<string, Envelope>;
}

/** What the other site reads here at one moment. */
export interface Answer {
  /** Head of the one who asked: what it knew when it asked. */
  asked: string;
  at: Whereabouts;
  course: Course;
  links: readonly Link[];
  /** For a copy. */
  image?: Image;
}

export class Site {
  readonly number: SiteNumber;
  readonly #mutant: Mutant | undefined;
  // On disk:
  actors = new Map<Address, Actor>();
  /** The links of the history at whose end the site stands. */
  journal: Link[] = [];
  head: Cursor = origin('i1');
  begins: readonly Begin[] = [];
  relayed = new Map<number, Taken>();
  deferred = new Map<string, Envelope>();
  /** Entries that nobody has decided. */
  commands: Entry[] = [];
  /** What this site lost, in order; numbers from 1. */
  readonly lost: Lost[] = [];
  gate: Gate = closedGate;
  /** The highest epoch that it ever heard of. */
  highest = 0;
  /** The operator wants it to be active. */
  wanted = false;
  /** A planned switchover under way: it writes no more, and the other one may take over what it has. */
  draining = false;
  // In memory:
  active: { bench: Bench; epoch: number } | undefined;
  holdUntilMs = 0;
  /** Wall clock minus the monotonic one. */
  skewMs = 0;
  #seenSkewMs = 0;
  #read = 0;

  constructor(number: SiteNumber, mutant?: Mutant) {
    this.number = number;
    this.#mutant = mutant;
  }

  get whereabouts(): Whereabouts {
    return { head: this.head, begins: this.begins, oldest: 1 };
  }

  crash(nowMs: number): void {
    this.step();
    this.#seenSkewMs = this.skewMs;
    if (this.#mutant === 'gate open at boot') {
      this.gate = { epoch: this.gate.epoch, openUntilMs: nowMs + this.skewMs + 60_000, lastSeenMs: 0 };
      if (this.gate.epoch > 0) this.#begin(this.gate.epoch);
      this.holdUntilMs = nowMs + 60_000;
    }
  }

  /** A clock that was set ends the lease: nobody knows how much of it is left. Slow drift is what the margin is for. */
  lookAtClock(nowMs: number): void {
    if (this.#mutant === 'the gate ignores backward time') return this.#lookAway();
    if (Math.abs(this.skewMs - this.#seenSkewMs) > 100) this.step();
    this.#seenSkewMs = this.skewMs;
    if (this.active && nowMs >= this.holdUntilMs) this.step();
  }

  #lookAway(): void {
    if (this.active) this.gate = { ...this.gate, lastSeenMs: 0 };
  }

  /** Down: nothing is decided here any more. */
  step(): void {
    if (this.#mutant === 'the passive site appends') return;
    this.active = undefined;
    this.holdUntilMs = 0;
    this.gate = close(this.gate);
  }

  /** May write until then, in monotonic time of the site; a new epoch where it was not active. */
  allow(untilMs: number, nowMs: number, witnessed: number): void {
    if (untilMs <= nowMs) return;
    const epoch = this.active?.epoch ?? this.#next(witnessed);
    const opened = open(this.gate, epoch, untilMs - nowMs, nowMs + this.skewMs);
    if (opened.passed) this.gate = opened.gate;
    else if (this.#mutant !== 'the gate ignores backward time') return this.step();
    this.holdUntilMs = untilMs;
    this.highest = Math.max(this.highest, epoch);
    if (!this.active) this.#begin(epoch);
  }

  #next(witnessed: number): number {
    const highest = Math.max(this.highest, witnessed, this.head.epoch);
    return this.#mutant === 'epochs not unique per site' ? nextEpoch(highest, 1) : nextEpoch(highest, this.number);
  }

  #begin(epoch: number): void {
    const bench = createBench();
    const { world } = bench;
    let minted = 0;
    world.siteEpoch = epoch;
    world.mint = () => `token-${epoch}-${this.head.sequence}-${++minted}`;
    world.relayed = new Map(this.relayed);
    for (const [address, actor] of this.actors) {
      world.actors.set(address, actor);
      world.dispatcher.observe(address, viewOf(actor));
      world.alarms.watch(address, actor.timers);
    }
    if (this.deferred.size > 0) this.commands.unshift(this.derived([...this.deferred.values()]));
    this.deferred.clear();
    this.active = { bench, epoch };
  }

  derived(envelopes: readonly Envelope[]): Entry {
    return { source: 'commands', id: `${++this.#read}-1`, fields: ['derived', JSON.stringify(envelopes)] };
  }

  /** Decides what waits. Undefined where the gate lets nothing through: then it stays. */
  commit(reports: readonly Entry[], nowMs: number): { link: Link | undefined; commit: Commit } | undefined {
    const { active } = this;
    if (!active) return undefined;
    const passage = pass(this.gate, active.epoch, nowMs + this.skewMs);
    this.gate = passage.gate;
    if (!passage.passed && !this.#passesAnyhow) {
      this.step();
      return undefined;
    }
    const entries = [...this.commands.splice(0), ...reports].map((entry) => ({ ...entry, id: `${++this.#read}-0` }));
    const { world } = active.bench;
    const due = world.alarms.due(nowMs, 100).map(({ actor, timer }) => `${actor} ${timer}`);
    const { commit } = active.bench.run(entries, nowMs, due);
    for (const [address, text] of commit.snapshots) {
      if (text === null) this.actors.delete(address);
      else this.actors.set(address, world.actors.get(address)!);
    }
    this.relayed = new Map(world.relayed);
    const later = [...commit.deferred, ...commit.deferredApart];
    if (later.length > 0) this.commands.push(this.derived(later));
    if (commit.journal === undefined) return { link: undefined, commit };
    const link = linkAfter(this.head, active.epoch, commit.journal);
    this.#append(link);
    return { link, commit };
  }

  get #passesAnyhow(): boolean {
    return this.#mutant === 'the gate ignores backward time' || this.#mutant === 'the passive site appends';
  }

  #append(link: Link): void {
    this.begins = begun(this.begins, this.head, link);
    this.journal.push(link);
    this.head = { incarnation: link.incarnation, epoch: link.epoch, sequence: link.sequence, hash: link.hash };
    this.highest = Math.max(this.highest, link.epoch);
  }

  /** Whether this site, which may be active, has to give way to the other one. */
  yieldsTo(other: Site): boolean {
    if (this.#mutant === 'highest length wins') return other.head.sequence > this.head.sequence;
    if (other.highest <= this.highest) return false;
    this.highest = other.highest;
    return true;
  }

  /** What the other site, which stands at `at`, gets of this one. */
  answer(at: Whereabouts, mutant = this.#mutant): Answer {
    const course = this.#course(at, this.whereabouts, mutant);
    const links = this.journal.slice(at.head.sequence, at.head.sequence + linksPerAnswer);
    const copied = course.course === 'yield' || course.course === 'copy';
    return {
      asked: at.head.hash,
      at: this.whereabouts,
      course,
      links: copied ? [...this.journal] : links,
      ...(copied && { image: this.#image() }),
    };
  }

  #course(mine: Whereabouts, peer: Whereabouts, mutant: Mutant | undefined): Course {
    if (mutant === 'state replicated instead of the log') return { course: 'copy', why: 'always' };
    if (mutant === 'highest length wins') {
      if (mine.head.sequence >= peer.head.sequence && mine.head.hash !== peer.head.hash) return { course: 'wait' };
      const higher = { ...peer, head: { ...peer.head, epoch: Math.max(peer.head.epoch, mine.head.epoch) } };
      return courseOf(mine, higher);
    }
    const course = courseOf(mine, peer);
    if (mutant === 'skip the common ancestor' && course.course === 'yield')
      return { course: 'copy', why: 'the ends are compared, not the beginnings' };
    return course;
  }

  #image(): Image {
    const deferred = new Map(this.deferred);
    for (const { fields } of this.commands)
      if (fields[0] === 'derived')
        for (const envelope of JSON.parse(fields[1]!) as Envelope[])
          deferred.set(`${envelope.to} ${envelope.id}`, envelope);
    return { actors: new Map(this.actors), relayed: new Map(this.relayed), deferred };
  }

  /** As a standby: what the other one answered, however late. */
  take(answer: Answer): void {
    if (this.active || answer.asked !== this.head.hash) return;
    this.highest = Math.max(this.highest, answer.at.head.epoch);
    switch (answer.course.course) {
      case 'wait':
      case 'refuse':
        return;
      case 'follow':
        for (const link of answer.links) if (!this.follow(link)) return;
        return;
      case 'yield':
      case 'copy': {
        if (answer.course.course === 'yield') this.#handOver(answer.course.fork);
        const image = answer.image!;
        this.actors = new Map(image.actors);
        this.relayed = new Map(image.relayed);
        this.deferred = new Map(image.deferred);
        this.journal = [...answer.links];
        this.head = answer.at.head;
        this.begins = answer.at.begins;
        return;
      }
    }
  }

  /** False where the link is refused. */
  follow(link: Link): boolean {
    const reception = receive(this.head, link, (hash) => hash === this.head.hash);
    if (!('taken' in reception)) return false;
    if (reception.taken === 'repeat') return true;
    const entry = entryIn(link);
    followEntry(builtIn, this.actors, entry);
    const { records, beside = {} } = entry;
    for (const { actor, id } of records) this.deferred.delete(`${actor} ${id}`);
    for (const envelope of beside.deferred ?? []) this.deferred.set(`${envelope.to} ${envelope.id}`, envelope);
    for (const [source, taken] of Object.entries(beside.relayed ?? {})) this.relayed.set(Number(source), taken);
    this.#append(link);
    return true;
  }

  #handOver(fork: Lost['fork']): void {
    const links = this.journal.slice(fork.sequence);
    const waiting = this.commands.splice(0).flatMap(({ fields }): LostRecord[] => {
      if (fields[0] !== 'command') return [];
      const { to, ...command } = JSON.parse(fields[1]!) as Envelope;
      const record = { actor: to, ...command, origin: 'command' as const, revision: 0, state: '' };
      return [{ sequence: this.head.sequence, at: 0, record }];
    });
    const losses = lossesOf(fork, links, waiting, (address) => {
      const actor = this.actors.get(address);
      return actor ? freeze(actor) : null;
    });
    if (this.#mutant !== 'superseded dropped') this.lost.push(...losses);
  }

  /** Packages that the current branch does not have yet, of this site; as entries for the active one. */
  lossesAfter(taken: Taken | undefined): Entry[] {
    const from = Number((taken ?? '0').split(' ')[0]);
    return this.lost.slice(from, from + 10).map((lost, index): Entry => {
      const number = from + index + 1;
      const place = ['source', `-${this.number}`, 'number', String(number)];
      if (this.#mutant === 're-inject without dedup')
        return { ...noPlace, fields: ['lost', JSON.stringify(renamed(lost))] };
      if (this.#mutant === 'result of a revoked attempt accepted') lost = this.#forged(lost);
      return { ...noPlace, fields: ['lost', JSON.stringify(lost), ...place] };
    });
  }

  /** The result of one attempt under the token of another. */
  #forged(lost: Lost): Lost {
    const token = this.actors.get(lost.actor)?.snapshot.context['token'] as string | undefined;
    if (token === undefined) return lost;
    const records = lost.records.map((one) =>
      one.record.event?.type === 'complete'
        ? { ...one, record: { ...one.record, event: { ...one.record.event, token } } }
        : one,
    );
    return { ...lost, records };
  }
}

const noPlace = { source: 'commands', id: '0-0' } as const;

let renamings = 0;
function renamed(lost: Lost): Lost {
  const records = lost.records.map((one) => ({
    ...one,
    record: { ...one.record, id: `${one.record.id}+${++renamings}` },
  }));
  return { ...lost, records };
}
