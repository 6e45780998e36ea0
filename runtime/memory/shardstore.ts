/** The durable state of shards in a `MemoryWorld`: what the Redis adapter does, without a server. */
import { limits } from '../../config/limits.ts';
import { closedGate, pass } from '../core/merge/gate.ts';
import type {
  Commit,
  CommitOutcome,
  Entry,
  Lease,
  LeaseOutcome,
  OutboundEntry,
  Passage,
  SetAside,
  ShardOpening,
  ShardStore,
} from '../ports.ts';
import { origin } from '../protocol/chain.ts';
import type { Address } from '../protocol/ids.ts';
import { comparePositions, positionStart, type Position } from '../protocol/journal.ts';
import { agentGroup, peerReader, runtimeGroup } from '../protocol/keys.ts';
import { appendCommit } from './commit.ts';
import { outboundOf, setAsideOf } from './fields.ts';
import type { Stream } from './stream.ts';
import type { MemoryWorld, Standing } from './world.ts';

export interface MemoryShardStoreOptions {
  world: MemoryWorld;
  /** Readers of the journal that must have an entry before it is trimmed. */
  journalReaders?: readonly string[];
}

export class MemoryShardStore implements ShardStore {
  readonly #world: MemoryWorld;
  readonly #journalReaders: readonly string[];

  constructor({ world, journalReaders = [] }: MemoryShardStoreOptions) {
    this.#world = world;
    this.#journalReaders = journalReaders;
  }

  acquire(shard: number, owner: string, ttlMs: number): Promise<LeaseOutcome> {
    const record = this.#world.shard(shard);
    const now = this.#world.system.now();
    const held = record.lease;
    if (held && held.owner !== owner && held.expiresMs > now)
      return Promise.resolve({ outcome: 'held', owner: held.owner, remainingMs: held.expiresMs - now });
    this.#repair(shard, []);
    const epoch = (held?.epoch ?? 0) + 1;
    record.lease = { owner, expiresMs: now + ttlMs, epoch, sequence: 0, journal: undefined };
    return Promise.resolve({ outcome: 'acquired', lease: { shard, owner, epoch } });
  }

  renew(lease: Lease, ttlMs: number): Promise<boolean> {
    const held = this.#held(lease);
    if (held) held.expiresMs = this.#world.system.now() + ttlMs;
    return Promise.resolve(held !== undefined);
  }

  release(lease: Lease): Promise<void> {
    const held = this.#held(lease);
    if (held) held.expiresMs = 0;
    return Promise.resolve();
  }

  open(lease: Lease): Promise<ShardOpening> {
    const { mailboxes, relayed, sent, standing } = this.#world.shard(lease.shard);
    this.#repair(lease.shard, [...mailboxes]);
    return Promise.resolve({
      mailboxes: [...mailboxes],
      relayed: new Map(relayed),
      sent: new Map(sent),
      head: standing.head ?? origin(standing.incarnation),
      begins: standing.begins,
    });
  }

  async read(lease: Lease, mailboxes: readonly string[], count: number, blockMs: number): Promise<Entry[]> {
    // As an answer from a server would: a shard that always has something to do must not starve everybody else.
    await this.#world.system.sleep(0);
    const sources = this.#sources(lease.shard, mailboxes);
    return this.#world.look([...sources.keys()], Math.max(1, blockMs), () => {
      this.#repair(lease.shard, mailboxes);
      return this.#entries(sources, (stream) => stream.readNew(runtimeGroup, lease.owner, count));
    });
  }

  claim(lease: Lease, mailboxes: readonly string[], count: number): Promise<Entry[]> {
    this.#repair(lease.shard, mailboxes);
    const sources = this.#sources(lease.shard, mailboxes);
    return Promise.resolve(
      this.#entries(sources, (stream) => stream.claim(runtimeGroup, lease.owner, Math.max(1, count))),
    );
  }

  load(shard: number, addresses: readonly Address[]): Promise<Map<Address, string>> {
    const { snapshots } = this.#world.shard(shard);
    const loaded = new Map<Address, string>();
    for (const address of addresses) {
      const text = snapshots.get(address);
      if (text !== undefined) loaded.set(address, text);
    }
    return Promise.resolve(loaded);
  }

  /** One page: pages exist to keep a server answering others. */
  scan(shard: number, cursor: string): Promise<{ cursor: string; done: boolean; snapshots: [Address, string][] }> {
    const snapshots = cursor === '0' ? [...this.#world.shard(shard).snapshots] : [];
    return Promise.resolve({ cursor: '0', done: true, snapshots });
  }

  setAsideEntries(shard: number, ids: readonly Position[]): Promise<Map<Position, SetAside>> {
    const stream = this.#world.find(this.#world.space.shard(shard).setAside);
    const found = new Map<Position, SetAside>();
    for (const id of ids) {
      const entry = stream?.find(id);
      if (entry) found.set(id, setAsideOf(entry.fields));
    }
    return Promise.resolve(found);
  }

  /** Nothing here waits or fails half-way, so a commit is made true whole (R1), once, and by the present owner only (R5). */
  commit(lease: Lease, sequence: number, commit: Commit, passage: Passage = ''): Promise<CommitOutcome> {
    const record = this.#world.shard(lease.shard);
    const held = record.lease;
    if (held?.epoch !== lease.epoch) return Promise.resolve({ outcome: 'stale', epoch: held?.epoch ?? 0 });
    if (sequence === held.sequence)
      return Promise.resolve({ outcome: 'committed', repeated: true, journal: held.journal });
    if (sequence !== held.sequence + 1) return Promise.resolve({ outcome: 'gap', expected: held.sequence + 1 });
    const why = this.#barrier(record.standing, passage);
    if (why !== undefined) return Promise.resolve({ outcome: 'gated', why });
    const journal = appendCommit(this.#world, lease.shard, commit);
    record.lease = { ...held, sequence, journal };
    return Promise.resolve({ outcome: 'committed', repeated: false, journal });
  }

  #barrier(standing: Standing, passage: Passage): string | undefined {
    const { gate } = standing;
    if (passage === '') return gate ? 'pair' : undefined;
    if (passage === 'mirror') return !gate ? 'no-gate' : gate.openUntilMs > 0 ? 'open' : undefined;
    const passed = pass(gate ?? closedGate, Number(passage), this.#world.system.now());
    if (gate) standing.gate = passed.gate;
    return passed.passed ? undefined : passed.why;
  }

  outbound(shard: number, count: number): Promise<OutboundEntry[]> {
    const entries = this.#world.find(this.#world.space.shard(shard).outbound)?.after(positionStart, count) ?? [];
    return Promise.resolve(entries.map(outboundOf));
  }

  deliver(source: number, entries: readonly OutboundEntry[]): Promise<void> {
    for (const { shard, number, envelope } of entries)
      this.#world.append(this.#world.space.shard(shard).commands, [
        ...['relayed', envelope, 'source', String(source), 'number', String(number)],
      ]);
    return Promise.resolve();
  }

  removeOutbound(shard: number, ids: readonly Position[]): Promise<void> {
    this.#world.find(this.#world.space.shard(shard).outbound)?.delete(ids);
    return Promise.resolve();
  }

  tidy(lease: Lease, mailboxes: readonly string[]): Promise<{ journalTrimmed: number; inboxTrimmed: number }> {
    const { readers } = this.#world.shard(lease.shard);
    // Below what every reader has, and never what a live follower may still want.
    let oldest = `${Math.max(0, this.#world.system.now() - limits.journalKeepMs)}-0`;
    for (const reader of this.#journalReaders) {
      const position = readers.get(reader) ?? positionStart;
      if (comparePositions(position, oldest) < 0) oldest = position;
    }
    const journal = this.#world.find(this.#world.space.shard(lease.shard).journal);
    const follower = readers.get(peerReader);
    const isKept = (journal?.length ?? 0) <= limits.journalFollowerEntriesMax;
    if (follower !== undefined && isKept && comparePositions(follower, oldest) < 0) oldest = follower;
    const journalTrimmed = journal?.trimBelow(oldest) ?? 0;
    let inboxTrimmed = 0;
    for (const mailbox of mailboxes) {
      const inbox = this.#world.find(this.#world.space.inbox(lease.shard, mailbox));
      if (inbox?.hasGroup(agentGroup)) inboxTrimmed += inbox.trimBelow(inbox.wantedFrom(agentGroup));
    }
    return Promise.resolve({ journalTrimmed, inboxTrimmed });
  }

  #held(lease: Lease): { expiresMs: number } | undefined {
    const held = this.#world.shard(lease.shard).lease;
    return held?.owner === lease.owner && held.epoch === lease.epoch ? held : undefined;
  }

  #sources(shard: number, mailboxes: readonly string[]): Map<string, Entry['source']> {
    const { space } = this.#world;
    return new Map<string, Entry['source']>([
      [space.shard(shard).commands, 'commands'],
      ...mailboxes.map((mailbox): [string, Entry['source']] => [space.outbox(shard, mailbox), { outbox: mailbox }]),
    ]);
  }

  #entries(
    sources: ReadonlyMap<string, Entry['source']>,
    take: (stream: Stream) => { id: Position; fields: readonly string[] }[],
  ): Entry[] {
    return [...sources].flatMap(([key, source]) =>
      take(this.#world.stream(key)).map(({ id, fields }) => ({ source, id, fields })),
    );
  }

  /** Makes streams and groups that are not there. */
  #repair(shard: number, mailboxes: readonly string[]): void {
    const { space } = this.#world;
    this.#world.stream(space.shard(shard).commands).createGroup(runtimeGroup);
    for (const mailbox of mailboxes) {
      this.#world.stream(space.outbox(shard, mailbox)).createGroup(runtimeGroup);
      this.#world.stream(space.inbox(shard, mailbox)).createGroup(agentGroup);
    }
  }
}
