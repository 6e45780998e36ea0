/**
 * What a decision works on and what it results in: entries come in, one commit goes out, and the application's dispatcher
 * and ingress take part. Plain data and pure functions; nothing here knows where it is stored.
 */
import type { Measure } from './definition.ts';
import type { Cursor, Link } from '../protocol/chain.ts';
import type { Envelope, Outcome } from '../protocol/envelope.ts';
import type { Address } from '../protocol/ids.ts';
import type { JsonObject } from '../protocol/json.ts';
import type { Position } from '../protocol/journal.ts';
import type { ActorView } from '../protocol/snapshot.ts';
import type { Effect, Message } from './effect.ts';
import type { Begin } from './merge/course.ts';
import type { TakenUp } from './merge/takeup.ts';
import type { Taken } from './taken.ts';

/** One stream entry as read: field names and values alternate as Redis gives them. */
export interface Entry {
  /** `commands`, or the id of the agent whose outbox it came from. */
  source: 'commands' | { outbox: string };
  id: Position;
  fields: readonly string[];
}

export type SetAside = {
  /** Where the entry stood: `commands`, or `outbox:<id>`. */
  source: string;
  entry: Position;
  reason: string;
  detail: string;
  /** The fields as JSON, so that the entry can be redriven as it was. */
  fields: string;
};

/** What a standby changes beside what the other site's commit did. */
export interface MirrorChange {
  /** Up to where it has the other site's journal. */
  cursor?: Position;
  /** `<to> <id>` -> envelope as JSON that the other site has put off; and names of those that were decided. */
  putOff?: ReadonlyMap<string, string>;
  decided?: readonly string[];
  /** Begins anew from this place: everything goes but what clients appended, and with it these mailboxes. */
  anew?: { mailboxes: readonly string[]; head: Cursor; begins: readonly Begin[] };
  /** Envelopes of other shards that were delivered and not decided, for the command stream. */
  delivered?: readonly { source: number; number: number; envelope: string }[];
  /** Whether the shard is half a copy, and cannot be promoted. */
  copying?: boolean;
  /** What the shard lost, numbered, as JSON. */
  losses?: readonly { number: number; text: string }[];
}

/** Everything that one batch changes: what `Store.commit` makes true in one atomic call (R1, R3). */
export interface Commit {
  now: number;
  /** Address -> snapshot JSON, or null when the actor leaves the store. */
  snapshots: Map<Address, string | null>;
  journal: string | undefined;
  /** The journal entry as a link of the history, and where its branches began when that has changed. */
  link: Link | undefined;
  begins: readonly Begin[] | undefined;
  posts: Map<string, Message[]>;
  /** Inbox entries of several messages each, as JSON arrays. They go before `posts`: a cancel follows its assign. */
  bundles: Map<string, string[]>;
  /** Site epoch that the bundles name. */
  bundleEpoch: string;
  mailboxesOpened: string[];
  mailboxesClosed: string[];
  /** Envelopes for actors of other shards, in order, numbered from 1 for each target shard. */
  outbound: { shard: number; number: number; envelope: Envelope }[];
  /** Target shard -> number of the last envelope for it. */
  sent: Map<number, number>;
  /** Envelopes for this shard that wait for the next batch. */
  deferred: Envelope[];
  /** Envelopes for this shard that wait for a later batch, each in an entry of its own. */
  deferredApart: Envelope[];
  replies: { recipient: string; request: string; outcomes: Outcome[] }[];
  setAside: SetAside[];
  /** Set-aside entries that were redriven. */
  redriven: Position[];
  /** Source shard -> numbers of its outbound entries that are taken over. */
  relayed: Map<number, Taken>;
  /** What became of branches that lost. */
  takenUp: TakenUp[];
  /** At a standby. */
  mirror?: MirrorChange;
  /** Inputs that are done: acknowledged and deleted. */
  acks: Map<Entry['source'], Position[]>;
}

/** Makes assignments. Its state is a fold over the actors of the shard, so it can be rebuilt and audited (R11). */
export interface Dispatcher {
  /** An actor changed, or left the store (undefined). */
  observe(address: Address, actor: ActorView | undefined): void;
  /** Actors that the next decision may touch, so that the host can load them first. */
  candidates(incoming: number): Address[];
  /**
   * Events to send now. Only actors for which `loaded` is true may be addressed.
   * @param mint an unguessable token
   */
  decide(now: number, loaded: (address: Address) => boolean, mint: () => string): Envelope[];
  /** Whether the last decision left an assignment that the next one can make. */
  more(): boolean;
  /** What somebody outside asks of the indexes, and they say: plain data both. */
  answer(question: JsonObject, now: number): JsonObject;
  /** Compares what the index says with what the actors hold; each drift as one sentence (R11). */
  audit(actors: Iterable<[Address, ActorView]>): string[];
  /** Per lane: what waits and what is free. */
  lanes(now: number): LaneStatus[];
}

export interface LaneStatus {
  type: string;
  queued: number;
  running: number;
  agents: number;
  /** Slots of those agents, free or not. */
  slots: number;
  freeSlots: number;
  /** Its tasks are given to nobody until it is resumed. */
  paused: boolean;
  /** Tenants with tasks that wait, and tasks that wait behind a concurrency key. */
  tenants: number;
  behindKeys: number;
  /** Agents with which everything that waits would run. */
  wantedAgents: number;
  oldestQueuedMs: number;
}

/** A part of an agent's entry that cannot be taken: what is wrong, and the part in the form of an entry of its own. */
export interface ReportProblem {
  reason: string;
  detail: string;
  fields: readonly string[];
  /** What the agent is told of it. */
  answer: Effect[];
}

/** What the product's actors add to the generic runtime. */
export interface Application {
  /** Turns an agent's entry into envelopes, and says what is wrong with the rest of it. */
  report(agent: string, entry: Entry): { envelopes: Envelope[]; problems: ReportProblem[] };
  /** What an agent is told when its report was refused. */
  refusal(envelope: Envelope, reason: string, detail: string): Effect[];
  dispatcher(shard: number): Dispatcher;
}

/** What a decision is measured by. */
export interface DecisionTelemetry {
  transition(definition: string, from: string | undefined, to: string, secondsInState: number | undefined): void;
  outcome(definition: string, outcome: 'duplicate' | 'refused' | 'set-aside'): void;
  measured(definition: string, measure: Measure): void;
  /** A branch of an actor that lost was taken up. */
  takenUp(report: TakenUp): void;
}

/** A commit that changes nothing yet. */
export function emptyCommit(now: number): Commit {
  return {
    now,
    snapshots: new Map(),
    journal: undefined,
    link: undefined,
    begins: undefined,
    posts: new Map(),
    bundles: new Map(),
    bundleEpoch: '0',
    mailboxesOpened: [],
    mailboxesClosed: [],
    outbound: [],
    sent: new Map(),
    deferred: [],
    deferredApart: [],
    replies: [],
    setAside: [],
    redriven: [],
    relayed: new Map(),
    takenUp: [],
    acks: new Map(),
  };
}
