/**
 * What the runtime needs from the world, on one page. Adapters (redis, postgres, memory) implement these; the host is
 * written against them; one conformance suite runs on every adapter.
 */
import type { Commit, DecisionTelemetry, Entry, SetAside } from './core/decision.ts';
import type { ShardImage } from './core/reconstruction.ts';
import type { Taken } from './core/taken.ts';
import type { Begin, Whereabouts } from './core/merge/course.ts';
import type { AuditRecord } from './protocol/audit.ts';
import type { Cursor, Greeting, Link } from './protocol/chain.ts';
import type { Command, Envelope, Outcome } from './protocol/envelope.ts';
import type { Address } from './protocol/ids.ts';
import type { JsonObject } from './protocol/json.ts';
import type { JournalEntry, Position } from './protocol/journal.ts';

/** Clock, chance and waiting: the only place they come from, so that a simulation can own them. */
export interface System {
  /** Wall clock, milliseconds since 1970. */
  now(): number;
  /** Milliseconds from an arbitrary start; never steps. */
  monotonicMs(): number;
  /** An unguessable text of 128 random bits, safe in keys and URLs. */
  token(): string;
  /** A ULID. */
  ulid(): string;
  /** Resolves after `ms`, or at once when the signal fires. Never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Resolves when what has arrived meanwhile, answers of a store for example, has been taken in. */
  yield(): Promise<void>;
}

/** Anything with a life cycle. Both calls are idempotent; `stop` resolves when nothing of it runs any more. */
export interface Service {
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface Log {
  /** Whether `debug` is written: for lines that are costly to put together. */
  readonly verbose?: boolean;
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** An envelope on its way to another shard. */
export interface OutboundEntry {
  id: Position;
  shard: number;
  number: number;
  envelope: string;
}

export interface Lease {
  shard: number;
  owner: string;
  epoch: number;
}

export type LeaseOutcome =
  { outcome: 'acquired'; lease: Lease } | { outcome: 'held'; owner: string; remainingMs: number };

/**
 * As what a commit passes the gate of its shard: of a site on its own (there is no gate), of the active site of a pair (its
 * site epoch as text), or as what the standby of a pair has from the other one.
 */
export type Passage = '' | 'mirror' | `${number}`;

export type CommitOutcome =
  /** Stored now, or stored before under the same (epoch, sequence). */
  | { outcome: 'committed'; repeated: boolean; journal: Position | undefined }
  /** Another owner has the shard: nothing was written. */
  | { outcome: 'stale'; epoch: number }
  /** The gate let it not through: nothing was written. */
  | { outcome: 'gated'; why: string }
  /** The sequence is not the next one: a commit in between is missing. */
  | { outcome: 'gap'; expected: number }
  /**
   * The store holds something that is no shard, a key of another type for example: nothing was written. `whole` where every
   * commit needs the key; otherwise it belongs to one mailbox or one reader of replies.
   */
  | { outcome: 'damaged'; detail: string; whole: boolean };

/** What stands in a shard when it is taken over. */
export interface ShardOpening {
  mailboxes: string[];
  relayed: Map<number, Taken>;
  sent: Map<number, number>;
  /** The last link of its history, and where the branches on the way to it began. */
  head: Cursor;
  begins: readonly Begin[];
}

/** The gates of the shards of a site of a pair (see core/merge/gate.ts). */
export interface GateKeeper {
  /** Makes the gates where there are none, and closes all: at every start. */
  shut(shards: readonly number[]): Promise<void>;
  /** Opens or prolongs; the first shard that refuses is named. Idempotent. */
  open(shards: readonly number[], epoch: number, forMs: number): Promise<GateOutcome>;
  /** Closes those that are open under this epoch or a lower one. */
  close(shards: readonly number[], epoch: number): Promise<void>;
}

export type GateOutcome = { outcome: 'opened' } | { outcome: 'refused'; shard: number; why: string };

/** What a standby keeps of a shard beside it. */
export interface MirrorPlace {
  /** Up to where it has the other site's journal; undefined before the first link. */
  cursor: Position | undefined;
  copying: boolean;
  /** `<to> <id>` -> envelope that the other site has put off. */
  putOff: ReadonlyMap<string, Envelope>;
}

/** What a mirror needs of its own shard beside `ShardStore`. */
export interface MirrorStore {
  place(shard: number): Promise<MirrorPlace>;
  /** The newest links of its own journal that lead to its head, oldest first, none below the sequence. */
  tail(shard: number, fromSequence: number): Promise<Link[]>;
  /** Sequence of the oldest link that its journal still has; undefined where it has none. */
  oldest(shard: number): Promise<number | undefined>;
  /** Commands that nobody has decided, as they stand in their stream. */
  waiting(shard: number, count: number): Promise<Entry[]>;
  /** Number of the last package of lost history. */
  lostNumber(shard: number): Promise<number>;
  lost(shard: number, afterNumber: number, count: number): Promise<{ number: number; text: string }[]>;
  /** What was taken over from a source (see core/taken.ts): from other shards, or from packages of a site. */
  taken(shard: number, source: number): Promise<Taken | undefined>;
  /** The last link of its history. */
  head(shard: number): Promise<Cursor>;
  /** Some of its actors, picked at random. */
  sample(shard: number, count: number): Promise<Address[]>;
  /** Reports of agents that nobody has decided. */
  reports(shard: number, mailboxes: readonly string[], count: number): Promise<Entry[]>;
  /** The newest entry of its own journal. */
  tip(shard: number): Promise<Position>;
  /** Up to where the other site has stored its journal. */
  followed(shard: number): Promise<Position>;
  /** The other site does not follow this one any more: its journal is kept for nobody. */
  unfollowed(shard: number): Promise<void>;
  /** Appends packages to the commands of the shard. */
  bring(shard: number, site: number, packages: readonly { number: number; text: string }[]): Promise<void>;
}

/** What the other site says of itself. */
export interface PeerGreeting extends Greeting {
  site: number;
  role: string;
  epoch: number;
}

/** A lease at a third place, which at most one site has. */
export interface Witness {
  /**
   * Takes the lease where nobody has it, or prolongs it. Whoever holds it counts its time from before this call.
   * @param holder what others are told of whoever has it
   * @throws Unavailable when the witness does not answer
   */
  hold(holder: string): Promise<{ outcome: 'held' } | { outcome: 'taken'; holder: string }>;
  /** Gives it up at once, where it is this one's. */
  release(): Promise<void>;
}

/** The other site's store, as this one may see it. Everything but `acknowledge` reads. */
export interface PeerSite {
  /** Undefined where the store holds no site yet. */
  greet(): Promise<PeerGreeting | undefined>;
  whereabouts(shard: number): Promise<Whereabouts>;
  /** Links after the position, in order; waits up to `blockMs` when there are none. */
  links(shard: number, after: Position, count: number, blockMs: number): Promise<{ position: Position; link: Link }[]>;
  load(shard: number, addresses: readonly Address[]): Promise<Map<Address, string>>;
  /** Some of its actors, picked at random. */
  sample(shard: number, count: number): Promise<Address[]>;
  /** What of a shard is neither snapshot nor journal. */
  beside(shard: number): Promise<{
    mailboxes: string[];
    relayed: Map<number, Taken>;
    sent: Map<number, number>;
    outbound: OutboundEntry[];
    /** Delivered from other shards and not decided: they stand nowhere else any more. */
    delivered: OutboundEntry[];
    putOff: Envelope[];
  }>;
  scan(shard: number, cursor: string): Promise<{ cursor: string; done: boolean; snapshots: [Address, string][] }>;
  lost(shard: number, afterNumber: number, count: number): Promise<{ number: number; text: string }[]>;
  /** What it has taken of the packages of a site. */
  taken(shard: number, site: number): Promise<Taken | undefined>;
  /** Says that this site has everything up to the position. */
  acknowledge(shard: number, position: Position): Promise<void>;
}

/** The durable state of one shard, written by its owner only (R5, R7). */
export interface ShardStore {
  /** Takes the lease when it is free, run out, or this owner's. A fresh acquisition raises the epoch. */
  acquire(shard: number, owner: string, ttlMs: number): Promise<LeaseOutcome>;
  /** False when the lease is another's by now. */
  renew(lease: Lease, ttlMs: number): Promise<boolean>;
  release(lease: Lease): Promise<void>;
  /** What stands in the shard when it is taken over. */
  open(lease: Lease): Promise<ShardOpening>;
  /** New entries of the commands and of the given outboxes; waits up to `blockMs` when there are none. */
  read(lease: Lease, mailboxes: readonly string[], count: number, blockMs: number): Promise<Entry[]>;
  /** Entries that former owners read but did not commit. Empty when there are none. */
  claim(lease: Lease, mailboxes: readonly string[], count: number): Promise<Entry[]>;
  load(shard: number, addresses: readonly Address[]): Promise<Map<Address, string>>;
  /** All snapshots, page by page; `done` with the last one. */
  scan(shard: number, cursor: string): Promise<{ cursor: string; done: boolean; snapshots: [Address, string][] }>;
  setAsideEntries(shard: number, ids: readonly Position[]): Promise<Map<Position, SetAside>>;
  commit(lease: Lease, sequence: number, commit: Commit, passage?: Passage): Promise<CommitOutcome>;
  /** The relay's side: waiting entries for other shards in order, their delivery, their removal. */
  outbound(shard: number, count: number): Promise<OutboundEntry[]>;
  deliver(source: number, entries: readonly OutboundEntry[]): Promise<void>;
  removeOutbound(shard: number, ids: readonly Position[]): Promise<void>;
  /** The janitor's side: trims journal, inboxes and replies below what their readers have. */
  tidy(lease: Lease, mailboxes: readonly string[]): Promise<{ journalTrimmed: number; inboxTrimmed: number }>;
}

/** One outbox and its inbox, as they stand. */
export interface MailboxState {
  /** Milliseconds of the newest entry id, and of the server's clock. */
  lastMs: number;
  nowMs: number;
  /** Entries ever appended to the outbox. */
  added: number;
  /** Entries that vanished before they were read; undefined where the server cannot tell. */
  vanished: number | undefined;
  unread: number;
  /** Messages that wait in the inbox. */
  inbox: number;
}

/** The mailboxes of a shard, looked at beside its loop. */
export interface MailboxStore {
  mailboxes(shard: number): Promise<string[]>;
  /** In the order of the mailboxes; undefined where an outbox is missing or no stream. */
  inspect(shard: number, mailboxes: readonly string[]): Promise<(MailboxState | undefined)[]>;
  snapshots(shard: number, addresses: readonly Address[]): Promise<Map<Address, string>>;
  /** Appends an envelope of the host to the commands of the shard. */
  tell(shard: number, envelope: Envelope): Promise<void>;
}

/** One entry of an inbox; names and values of its fields in turn. */
export interface MailboxMessage {
  id: Position;
  fields: readonly string[];
}

/** An agent's own side of its mailbox, for agents that do not reach the store themselves. */
export interface MailboxGateway {
  /** Without waiting. `pending`: what was delivered and not acknowledged. */
  receive(shard: number, mailbox: string, from: 'pending' | 'new', count: number): Promise<MailboxMessage[]>;
  /** @returns how many of them were pending */
  acknowledge(shard: number, mailbox: string, ids: readonly Position[]): Promise<number>;
  /** @returns false when the mailbox is closed */
  report(shard: number, mailbox: string, fields: readonly string[]): Promise<boolean>;
}

/** A user of its own for each mailbox, who can read its inbox and append to its outbox, and nothing else. */
export interface MailboxUsers {
  /** Mailboxes of the shard that have a user -> whether every server of the site has it. */
  list(shard: number): Promise<Map<string, boolean>>;
  /** Whether the user stands with the password of this grant. */
  stands(shard: number, mailbox: string, grant: string): Promise<boolean>;
  /** Makes the user, or gives it the password of this grant and cuts whoever came with another. Idempotent. */
  grant(shard: number, mailbox: string, grant: string): Promise<void>;
  /** Takes the user away and cuts its connections. Idempotent. */
  revoke(shard: number, mailbox: string): Promise<void>;
}

/** What a process needs to know of the others, to spread the shards. */
export interface Membership {
  join(member: string, ttlMs: number): Promise<string[]>;
  leave(member: string): Promise<void>;
}

/** The API's side: publishes commands, reads outcomes, snapshots and journals. It changes no state (R7). */
export interface CommandGateway {
  /** Appends commands of one shard; with `reply`, their outcomes come to `replies`. */
  publish(shard: number, commands: readonly Command[], reply?: { recipient: string; request: string }): Promise<void>;
  redrive(shard: number, ids: readonly Position[], reply?: { recipient: string; request: string }): Promise<void>;
  /** Asks the dispatcher of a shard, wherever its owner runs; the answer comes to `replies`. */
  ask(shard: number, question: JsonObject, reply: { recipient: string; request: string }): Promise<void>;
  snapshot(address: Address): Promise<string | undefined>;
  setAside(shard: number, after: Position, count: number): Promise<({ id: Position } & SetAside)[]>;
}

/** What is left of a budget after one more use. */
export interface Taking {
  allowed: boolean;
  remaining: number;
  /** Until the budget begins anew. */
  resetMs: number;
}

/** Budgets that the processes of a site share. It never says no because a store is away. */
export interface RateLimiter {
  take(budget: string, key: string, perMinute: number): Promise<Taking>;
}

/** Takes down what operators do. @throws Unavailable when it cannot */
export interface AuditNotes {
  note(record: AuditRecord): Promise<void>;
}

/** Audit records that are not stored yet, oldest first; `record` is undefined for what cannot be read. */
export interface AuditInbox {
  read(count: number): Promise<{ position: Position; record: AuditRecord | undefined }[]>;
  remove(positions: readonly Position[]): Promise<void>;
}

/** Where audit records stay. Storing one again changes nothing. */
export interface AuditStore {
  store(records: readonly AuditRecord[]): Promise<void>;
}

/** Outcomes of commands, for the process that asked under the name `recipient`. */
export interface ReplyReader {
  /** Replies after the given positions; waits up to `blockMs` when there are none. */
  read(
    recipient: string,
    after: ReadonlyMap<number, Position>,
    blockMs: number,
  ): Promise<{ shard: number; position: Position; request: string; outcomes: Outcome[] }[]>;
}

export interface JournalReader {
  /** Entries after the given positions, per shard in order; waits up to `blockMs` when there are none. */
  read(after: ReadonlyMap<number, Position>, count: number, blockMs: number): Promise<PositionedEntry[]>;
  /** Entries in (after, last], without waiting. */
  range(shard: number, after: Position, count: number): Promise<PositionedEntry[]>;
  /** Position of the newest entry; `0-0` when there is none. */
  last(shard: number): Promise<Position>;
  /** Says that everything up to `position` is stored elsewhere and may be trimmed. */
  acknowledge(shard: number, reader: string, position: Position): Promise<void>;
}

/** How full a stream of a shard is, and how far behind its readers are. */
export interface StreamStatus {
  shard: number;
  stream: 'commands' | 'outbound' | 'journal' | 'setAside';
  length: number;
  groups: { group: string; lag: number; pending: number }[];
}

export interface PositionedEntry {
  position: Position;
  entry: JournalEntry;
}

/** Journals as they were written, for as long as they are kept. */
export interface JournalArchive {
  /**
   * Entries of a shard in order, after the checkpoint if one is given; with `untilMs`, those decided up to that time
   * (milliseconds since 1970).
   */
  entries(shard: number, untilMs?: number, after?: ShardImage): AsyncIterable<PositionedEntry>;
  /** The newest checkpoint of a shard up to that time. `begins`: there are later ones alone, the first of that time. */
  checkpoint(shard: number, untilMs?: number): Promise<ShardImage | { begins: number } | undefined>;
  /** Keeps a checkpoint, and removes checkpoints and entries that it makes superfluous. */
  keep(checkpoint: ShardImage): Promise<{ entries: number }>;
}

/** Lists that are written from snapshots, where the journal that they came from is lost. */
export interface ListStore {
  restore(image: ShardImage): Promise<void>;
}

/** What a site was born with. It stands in Redis and in PostgreSQL: one of the two without it was lost. */
export interface SiteIdentity {
  incarnation: string;
  shards: number;
}

/** A site in Redis as a whole: its identity, and its shards when they are brought back. */
export interface SiteStore {
  /** Undefined where it was never written, or is lost. */
  site(): Promise<SiteIdentity | undefined>;
  /** Gives a new site its shards. Of several processes that do so at once, all get what the first one wrote. */
  claimSite(identity: SiteIdentity): Promise<SiteIdentity>;
  /** Shards that hold something: their lease was given before, or there are actors. */
  occupied(shards: number): Promise<number[]>;
  /** Shards whose lease somebody has at this moment. */
  held(shards: number): Promise<{ shard: number; owner: string }[]>;
  /** The newest position that each journal ever gave out; `0-0` where there is none. */
  journalEnds(shards: number): Promise<Position[]>;
  /** Removes every key of the site. */
  clear(): Promise<void>;
  /** One shard as it stands; undefined where nobody ever held it. To be asked while nobody holds it. */
  read(shard: number): Promise<ShardImage | undefined>;
  /** Writes one shard behind what was appended since it was lost; its lease comes last. */
  write(image: ShardImage, incarnation: string, reader: string): Promise<void>;
  /** What the other site of a pair reads of this one before it takes anything. */
  announce(greeting: PeerGreeting): Promise<void>;
  /** The last word of a rebuild: from here on the site is whole. */
  finish(identity: SiteIdentity): Promise<void>;
}

/** The identity of the site as the projection store has it. */
export interface SiteRegister {
  site(): Promise<SiteIdentity | undefined>;
  claimSite(identity: SiteIdentity): Promise<SiteIdentity>;
  /** Runs the work while nobody else does, on any machine. */
  alone<T>(work: () => Promise<T>): Promise<T>;
}

/** Where history and lists live. One transaction stores rows and watermark, so a repeat writes nothing twice. */
export interface ProjectionStore {
  watermark(shard: number): Promise<Position>;
  apply(
    shard: number,
    from: Position,
    entries: readonly PositionedEntry[],
  ): Promise<{ applied: number; quarantined: number } | { conflict: Position }>;
}

/** What happened, in parts by time. */
export interface HistoryKeeper {
  /**
   * Makes the parts that are needed next, and drops those that hold nothing younger than `keepMs`.
   * @param keepMs undefined: drops nothing
   * @returns names of the parts; both empty when another process is at it
   */
  keep(nowMs: number, keepMs: number | undefined): Promise<{ made: string[]; dropped: string[] }>;
}

/** Rows of lists that are over, and how long they are kept. */
export interface RowPruner {
  /**
   * Removes rows of one kind that ended before `beforeMs`, at most `count`. A task that is not over never goes.
   * @returns how many went
   */
  prune(kind: 'tasks' | 'audit', beforeMs: number, count: number): Promise<number>;
}

/** Measurements of the host; the adapter to a metrics library lives with the composition root. */
export interface Telemetry extends DecisionTelemetry {
  committed(shard: number, seconds: number, entries: number, records: number): void;
  readAge(shard: number, seconds: number): void;
}

export type { Machines, ReplayRun } from './core/catalogue.ts';
export type { Replayed, Standing } from './core/replay.ts';
export type { Chart, ChartEdge, ChartState } from './core/graph.ts';
export type { Application, Commit, Dispatcher, Entry, LaneStatus, ReportProblem, SetAside } from './core/decision.ts';
export type { Registry } from './core/definition.ts';
export type { ShardImage } from './core/reconstruction.ts';
