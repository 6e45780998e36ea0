/**
 * `decide`: from a batch of entries and the actors they touch to ONE commit. Pure: no clock, no chance, no awaiting (R2);
 * everything that leaves the shard is data in the commit (R3).
 *
 * Order: the entries as they were read; then what actors of this shard sent one another; then the dispatcher, once; then
 * what its assignments caused. An event for an actor that is not in memory waits on the shard's own command stream.
 */
import { limits } from '../../config/limits.ts';
import { cursorOf, linkAfter, type Cursor } from '../protocol/chain.ts';
import type { Envelope, Outcome, StateValue } from '../protocol/envelope.ts';
import { stateText } from '../protocol/envelope.ts';
import { address, parseAddress, type Address } from '../protocol/ids.ts';
import { exceedsBytes, utf8Bytes } from '../protocol/json.ts';
import type { JsonObject } from '../protocol/json.ts';
import type { JournalEntry, JournalRecord } from '../protocol/journal.ts';
import {
  emptyCommit,
  type Application,
  type Commit,
  type DecisionTelemetry,
  type Dispatcher,
  type Entry,
} from './decision.ts';
import type { Alarm, Alarms } from './alarms.ts';
import { freeze, isDone, stateOf, stateTextOf, viewOf, type Actor } from './actor.ts';
import type { Registry } from './definition.ts';
import type { Effect } from './effect.ts';
import type { Intake } from './intake.ts';
import { invariant, unreachable } from './invariant.ts';
import { Bundle } from './bundle.ts';
import { begun, type Begin } from './merge/course.ts';
import type { Lost } from './merge/lost.ts';
import { rulesOf } from './merge/rules.ts';
import { takeUp } from './merge/takeup.ts';
import { step } from './step.ts';
import { noneTaken, take, type Taken } from './taken.ts';
import { besideOf } from './beside.ts';

/** What a shard knows between batches. `decide` changes it; a refused commit throws all of it away. */
export interface World {
  shard: number;
  registry: Registry;
  application: Application;
  dispatcher: Dispatcher;
  /** Loaded actors; null where the store is known to have none. */
  actors: Map<Address, Actor | null>;
  /** Addresses whose snapshot this process cannot read -> why. What is sent to them is set aside, never guessed. */
  unreadable: Map<Address, string>;
  /** Source shard -> what was taken over from it; target shard -> number of the last envelope for it. */
  relayed: Map<number, Taken>;
  sent: Map<number, number>;
  /** `<definition> <state>` -> number of actors. */
  census: Map<string, number>;
  /** Timers of all actors, in memory or not. */
  alarms: Alarms;
  /** Order and origin of activity across sites; agents ignore messages of a lower one. */
  siteEpoch: number;
  /** The last link of the shard's history, and where the branches on the way to it began. */
  head: Cursor;
  begins: readonly Begin[];
  /** At a site of a pair: a branch begins with a link of its own, whether there is something to decide or not. */
  paired: boolean;
  mint: () => string;
  telemetry: DecisionTelemetry;
}

export interface Decided {
  commit: Commit;
  records: number;
  /** Finished or removed actors: need not stay in memory. */
  settled: Address[];
  /** The dispatcher has more to do than one batch may hold. */
  more: boolean;
}

/** A batch that cannot be stored; the host decides its entries one by one and sets the culprit aside. */
export class Unstorable extends Error {
  readonly address: Address;
  constructor(where: Address, bytes: number) {
    super(`the snapshot of ${where} has ${bytes} bytes, ${limits.snapshotBytesMax} are allowed`);
    this.name = 'Unstorable';
    this.address = where;
  }
}

/** Definition -> state -> key of the census: putting a key together for every step would cost as much as a step. */
const censusKeys = new Map<string, Map<string, string>>();

export function count(census: Map<string, number>, definition: string, state: string, by: 1 | -1): void {
  let keys = censusKeys.get(definition);
  if (!keys) censusKeys.set(definition, (keys = new Map()));
  let key = keys.get(state);
  if (key === undefined) keys.set(state, (key = `${definition} ${state}`));
  census.set(key, (census.get(key) ?? 0) + by);
}

/** The envelope that a due timer stands for. */
export function timerEnvelope({ actor, timer }: Pick<Alarm, 'actor' | 'timer'>): Envelope {
  return { id: timer, to: actor, event: { type: timer }, origin: 'timer' };
}

export function decide(
  world: World,
  intakes: readonly Intake[],
  due: readonly Alarm[],
  now: number,
  epoch: number,
  sequence: number,
): Decided {
  return new Batch(world, now, epoch, sequence).run(intakes, due);
}

/** Whoever wrote the entry, as far as an effect must name where it comes from. */
function addressOfSource({ source }: Entry): Address {
  return address('mailbox', source === 'commands' ? source : source.outbox);
}

const noActor = { revision: 0, state: '' } as const;

class Batch {
  readonly #world: World;
  readonly #now: number;
  readonly #epoch: number;
  readonly #sequence: number;
  readonly #commit: Commit;
  readonly #records: JournalRecord[] = [];
  readonly #dirty = new Set<Address>();
  readonly #cascade: Envelope[] = [];
  readonly #lastWaiting = new Map<Address, Envelope>();
  readonly #bundles = new Map<string, Bundle>();
  readonly #questions: { question: JsonObject; outcomes: Outcome[] }[] = [];
  #steps = 0;
  #derived = 0;

  constructor(world: World, now: number, epoch: number, sequence: number) {
    this.#world = world;
    this.#now = now;
    this.#epoch = epoch;
    this.#sequence = sequence;
    this.#commit = emptyCommit(now);
  }

  run(intakes: readonly Intake[], due: readonly Alarm[]): Decided {
    const decided = this.#run(intakes, due);
    for (const { question, outcomes } of this.#questions)
      outcomes.push({ outcome: 'answered', answer: this.#answer(question) });
    return decided;
  }

  /** Actors are counted here; everything else is the dispatcher's to know. */
  #answer(question: JsonObject): JsonObject {
    const { census, dispatcher } = this.#world;
    return question['ask'] === 'census'
      ? { census: Object.fromEntries(census) }
      : dispatcher.answer(question, this.#now);
  }

  #run(intakes: readonly Intake[], due: readonly Alarm[]): Decided {
    for (const intake of intakes) this.#take(intake);
    for (const alarm of due) this.#decide(timerEnvelope(alarm));
    // An agent that has not heard yet what it lost or let go is given no work: the later word would undo the new one.
    if (!this.#drain()) return this.#finish(true);
    const assignments = this.#world.dispatcher.decide(
      this.#now,
      (address) => this.#world.actors.get(address) != null,
      this.#world.mint,
    );
    for (const envelope of assignments) this.#decide({ ...envelope, id: this.#derivedId() });
    this.#drain();
    return this.#finish(this.#world.dispatcher.more());
  }

  #take(intake: Intake): void {
    const { entry } = intake;
    if (intake.silences) {
      const { actor, timer } = intake.silences;
      this.#world.alarms.silence(actor, timer, this.#world.actors.get(actor)?.timers);
    } else if (!intake.redriven) {
      const acks = this.#commit.acks.get(entry.source);
      if (acks) acks.push(entry.id);
      else this.#commit.acks.set(entry.source, [entry.id]);
    } else {
      this.#commit.redriven.push(intake.redriven);
    }
    if (intake.relayed && !this.#isNew(intake.relayed.source, intake.relayed.number)) return;
    const outcomes: Outcome[] = [];
    if (intake.problem) {
      outcomes.push(this.#setAside(entry, undefined, intake.problem.reason, intake.problem.detail));
    }
    for (const { fields, reason, detail, answer } of intake.problems ?? []) {
      outcomes.push(this.#setAside(entry, fields, reason, detail));
      // A redrive may come when the agent and its inbox are long gone.
      if (!intake.redriven) for (const effect of answer) this.#route(addressOfSource(entry), effect, undefined);
    }
    if (intake.apart) {
      this.#commit.deferredApart.push(...intake.envelopes);
      return;
    }
    if (intake.lost) this.#takeUp(intake.lost, entry);
    else for (const envelope of intake.envelopes) outcomes.push(this.#decide(envelope));
    if (intake.question) this.#questions.push({ question: intake.question, outcomes });
    if (intake.reply) this.#commit.replies.push({ ...intake.reply, outcomes });
  }

  /** The machine decides what becomes of a branch that lost; the report stands in the journal entry of this batch. */
  #takeUp(lost: Lost, entry: Entry): void {
    const { registry, actors, siteEpoch, telemetry } = this.#world;
    const definition = registry.get(parseAddress(lost.actor)?.definition ?? '');
    if (!definition) {
      const fields = ['lost', JSON.stringify(lost)];
      this.#setAside(entry, fields, 'unknown-definition', `no definition for ${lost.actor}`);
      return;
    }
    const report = takeUp(lost, definition, rulesOf(definition), {
      epoch: siteEpoch,
      actor: () => actors.get(lost.actor) ?? undefined,
      decide: (envelope) => this.#decide(envelope),
      derivedId: () => this.#derivedId(),
    });
    this.#commit.takenUp.push(report);
    telemetry.takenUp(report);
  }

  /** The relay delivers at least once: what was taken over before is passed over (R1). */
  #isNew(source: number, number: number): boolean {
    const taken = take(this.#world.relayed.get(source) ?? noneTaken, number);
    if (taken === undefined) return false;
    this.#world.relayed.set(source, taken);
    this.#commit.relayed.set(source, taken);
    return true;
  }

  #decide(envelope: Envelope): Outcome {
    this.#steps++;
    const world = this.#world;
    const actor = world.actors.get(envelope.to) ?? undefined;
    const target = actor ? undefined : parseAddress(envelope.to);
    const definition = actor ? actor.definition : target && world.registry.get(target.definition);
    if (!definition) return this.#setAsideEnvelope(envelope, 'unknown-definition', `no definition for ${envelope.to}`);
    if (target && target.shard !== world.shard)
      return this.#setAsideEnvelope(envelope, 'foreign-shard', `${envelope.to} does not live in shard ${world.shard}`);
    const unreadable = world.unreadable.get(envelope.to);
    if (unreadable !== undefined) {
      world.alarms.forget(envelope.to);
      return this.#setAsideEnvelope(envelope, 'unreadable-actor', unreadable);
    }
    if (
      actor &&
      envelope.origin === 'report' &&
      envelope.event &&
      definition.passOver?.(actor.snapshot.context as never, envelope.event, this.#now)
    )
      return { outcome: 'duplicate', to: envelope.to, revision: actor.revision, state: stateOf(actor) };
    const decision = step(definition, actor, envelope, this.#now);
    switch (decision.outcome) {
      case 'applied': {
        const next = decision.actor;
        world.actors.set(envelope.to, next);
        this.#dirty.add(envelope.to);
        if (next.timers !== actor?.timers) world.alarms.watch(envelope.to, next.timers);
        world.dispatcher.observe(envelope.to, viewOf(next));
        this.#record(envelope, next.revision, stateOf(next), undefined, undefined);
        this.#measure(actor, next);
        for (const effect of decision.effects) this.#route(next.address, effect, envelope.traceparent);
        return { outcome: 'applied', to: envelope.to, revision: next.revision, state: stateOf(next) };
      }
      case 'retired': {
        const state = stateOf(actor!);
        world.actors.set(envelope.to, null);
        this.#dirty.delete(envelope.to);
        this.#commit.snapshots.set(envelope.to, null);
        world.alarms.forget(envelope.to);
        world.dispatcher.observe(envelope.to, undefined);
        count(world.census, definition.id, stateText(state), -1);
        this.#record(envelope, actor!.revision, state, 'retired', undefined);
        return { outcome: 'applied', to: envelope.to, revision: actor!.revision, state };
      }
      case 'duplicate': {
        if (envelope.origin === 'timer') {
          if (actor) world.alarms.watch(envelope.to, actor.timers);
          else world.alarms.forget(envelope.to);
        } else {
          this.#record(envelope, actor!.revision, stateOf(actor!), 'duplicate', undefined);
          world.telemetry.outcome(definition.id, 'duplicate');
        }
        const { revision, state } = actor ? { revision: actor.revision, state: stateOf(actor) } : noActor;
        return { outcome: 'duplicate', to: envelope.to, revision, state };
      }
      case 'refused': {
        const state = actor && stateOf(actor);
        this.#giveUp(envelope);
        // R6: a refusal is a recorded outcome.
        this.#record(envelope, actor?.revision ?? 0, state ?? '', 'refused', decision.reason);
        world.telemetry.outcome(definition.id, 'refused');
        if (envelope.origin === 'report')
          for (const effect of world.application.refusal(envelope, decision.reason, decision.detail))
            this.#route(envelope.to, effect, envelope.traceparent);
        if (envelope.event && (envelope.origin === 'actor' || envelope.origin === 'relay')) {
          const id = envelope.to.slice(definition.id.length + 1);
          for (const effect of definition.unheard?.(id, actor && viewOf(actor), envelope.event) ?? [])
            this.#route(envelope.to, effect, envelope.traceparent);
        }
        const { reason, detail, legal } = decision;
        return { outcome: 'refused', to: envelope.to, reason, detail, legal, ...(state !== undefined && { state }) };
      }
      case 'faulted':
        this.#giveUp(envelope);
        return this.#setAsideEnvelope(envelope, decision.reason, decision.detail);
      default:
        return unreachable(decision);
    }
  }

  #route(from: Address, effect: Effect, traceparent: string | undefined): void {
    switch (effect.kind) {
      case 'send':
      case 'spawn': {
        const envelope: Envelope = {
          id: this.#derivedId(),
          to: effect.to,
          origin: 'actor',
          by: from,
          ...(effect.kind === 'send' ? { event: effect.event } : { input: effect.input }),
          ...(traceparent !== undefined && { traceparent }),
        };
        this.#send(envelope);
        return;
      }
      case 'post': {
        const message = { ...effect.message, epoch: String(this.#world.siteEpoch) };
        const list = this.#commit.posts.get(effect.mailbox);
        if (list) list.push(message);
        else this.#commit.posts.set(effect.mailbox, [message]);
        return;
      }
      case 'bundle': {
        let bundle = this.#bundles.get(effect.mailbox);
        if (!bundle) this.#bundles.set(effect.mailbox, (bundle = new Bundle()));
        bundle.add(effect.message);
        return;
      }
      case 'openMailbox':
        this.#commit.mailboxesOpened.push(effect.mailbox);
        return;
      case 'closeMailbox':
        this.#commit.mailboxesClosed.push(effect.mailbox);
        return;
      default:
        unreachable(effect);
    }
  }

  #send(envelope: Envelope): void {
    const target = parseAddress(envelope.to);
    if (!target) {
      this.#setAsideEnvelope(envelope, 'bad-address', `${String(envelope.to)} is no address`);
      return;
    }
    if (target.shard !== this.#world.shard) {
      const number = (this.#world.sent.get(target.shard) ?? 0) + 1;
      this.#world.sent.set(target.shard, number);
      this.#commit.sent.set(target.shard, number);
      this.#commit.outbound.push({ shard: target.shard, number, envelope: { ...envelope, origin: 'relay' } });
      return;
    }
    const waiting = this.#lastWaiting.get(envelope.to);
    const merges = this.#world.registry.get(target.definition)?.merge ?? {};
    const type = envelope.event?.type;
    const merge = type !== undefined && Object.hasOwn(merges, type) ? merges[type] : undefined;
    if (merge && waiting?.event?.type === envelope.event!.type) {
      waiting.event = merge(waiting.event, envelope.event!);
      return;
    }
    this.#lastWaiting.set(envelope.to, envelope);
    this.#cascade.push(envelope);
  }

  /** Decides what actors sent one another. False when that was too much, and a resident actor waits for some of it. */
  #drain(): boolean {
    const stepsMax = this.#steps + limits.cascadeStepsMax;
    let all = true;
    for (let index = 0; index < this.#cascade.length; index++) {
      const envelope = this.#cascade[index]!;
      if (this.#lastWaiting.get(envelope.to) === envelope) this.#lastWaiting.delete(envelope.to);
      const loaded = this.#world.actors.has(envelope.to);
      if (loaded && this.#steps < stepsMax) {
        this.#decide(envelope);
        continue;
      }
      this.#commit.deferred.push(envelope);
      if (this.#world.actors.get(envelope.to)?.definition.resident) all = false;
    }
    this.#cascade.length = 0;
    this.#lastWaiting.clear();
    return all;
  }

  #record(
    envelope: Envelope,
    revision: number,
    state: StateValue,
    outcome: JournalRecord['outcome'],
    reason: string | undefined,
  ): void {
    const record: JournalRecord = { actor: envelope.to, id: envelope.id, origin: envelope.origin, revision, state };
    if (outcome) record.outcome = outcome;
    if (envelope.input) record.input = envelope.input;
    if (envelope.event) record.event = envelope.event;
    if (reason) record.reason = reason;
    if (envelope.by) record.by = envelope.by;
    const trace = envelope.traceparent ?? this.#traceOf(envelope.to);
    if (trace) record.traceparent = trace;
    this.#records.push(record);
  }

  /** What the shard decides by itself belongs to the trace that the actor was begun in. */
  #traceOf(address: Address): string | undefined {
    const trace: unknown = this.#world.actors.get(address)?.snapshot.context['traceparent'];
    return typeof trace === 'string' ? trace : undefined;
  }

  #setAside(entry: Entry, fields: readonly string[] | undefined, reason: string, detail: string): Outcome {
    this.#commit.setAside.push({
      source: entry.source === 'commands' ? 'commands' : `outbox:${entry.source.outbox}`,
      entry: entry.id,
      reason,
      detail,
      fields: JSON.stringify(fields ?? entry.fields),
    });
    this.#world.telemetry.outcome('entry', 'set-aside');
    return { outcome: 'set-aside', to: undefined, reason, detail };
  }

  /** Sets one envelope aside in the form in which a redrive takes it up: alone, whatever entry it came in. */
  #setAsideEnvelope(envelope: Envelope, reason: string, detail: string): Outcome {
    const entry: Entry = { source: 'commands', id: '0-0', fields: ['derived', JSON.stringify([envelope])] };
    return { ...this.#setAside(entry, undefined, reason, detail), to: envelope.to } as Outcome;
  }

  /** What the shard itself offers would be offered for ever: a timer rings no more, and an actor leaves the index. */
  #giveUp(envelope: Envelope): void {
    const { alarms, actors, dispatcher } = this.#world;
    if (envelope.origin === 'timer') alarms.silence(envelope.to, envelope.id, actors.get(envelope.to)?.timers);
    if (envelope.origin === 'dispatch') dispatcher.observe(envelope.to, undefined);
  }

  /** Names the shard too: an actor hears from several, and knows what it heard by these ids. */
  #derivedId(): string {
    return `${this.#world.shard}.${this.#epoch}.${this.#sequence}.${this.#derived++}`;
  }

  #measure(before: Actor | undefined, after: Actor): void {
    const { measure, id } = after.definition;
    if (measure && before)
      for (const one of measure(before.snapshot.context as JsonObject, after.snapshot.context as JsonObject))
        this.#world.telemetry.measured(id, one);
    if (before && before.snapshot.value === after.snapshot.value) return;
    const from = before && stateTextOf(before);
    const to = stateTextOf(after);
    if (from === to) return;
    const { census } = this.#world;
    if (from !== undefined) count(census, after.definition.id, from, -1);
    count(census, after.definition.id, to, 1);
    this.#world.telemetry.transition(after.definition.id, from, to, before && (this.#now - before.since) / 1000);
  }

  #chain(journal: string): void {
    const world = this.#world;
    const link = linkAfter(world.head, world.siteEpoch, journal);
    const begins = begun(world.begins, world.head, link);
    if (begins !== world.begins) this.#commit.begins = world.begins = begins;
    this.#commit.link = link;
    world.head = cursorOf(link);
  }

  #finish(more: boolean): Decided {
    const { actors } = this.#world;
    const settled: Address[] = [];
    for (const address of this.#dirty) {
      const actor = actors.get(address);
      invariant(actor != null, 'R7', () => `${address} was decided but is not loaded`);
      const text = freeze(actor);
      if (exceedsBytes(text, limits.snapshotBytesMax)) throw new Unstorable(address, utf8Bytes(text));
      this.#commit.snapshots.set(address, text);
      if (isDone(actor)) settled.push(address);
    }
    for (const [address, text] of this.#commit.snapshots) if (text === null) settled.push(address);
    for (const [mailbox, bundle] of this.#bundles) this.#commit.bundles.set(mailbox, bundle.texts());
    this.#commit.bundleEpoch = String(this.#world.siteEpoch);
    const beside = besideOf(this.#commit);
    const { head, siteEpoch, paired } = this.#world;
    if (this.#records.length > 0 || beside || (paired && head.epoch !== siteEpoch)) {
      const entry: JournalEntry = {
        shard: this.#world.shard,
        epoch: this.#epoch,
        sequence: this.#sequence,
        at: this.#now,
        records: this.#records,
        ...(beside && { beside }),
      };
      this.#commit.journal = JSON.stringify(entry);
      this.#chain(this.#commit.journal);
    }
    return { commit: this.#commit, records: this.#records.length, settled, more };
  }
}
