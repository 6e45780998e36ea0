/** The durable state of shards on Redis: `ShardStore` over streams, hashes and the functions library. */
import { limits } from '../../config/limits.ts';
import type {
  Commit,
  CommitOutcome,
  Entry,
  Lease,
  LeaseOutcome,
  Log,
  OutboundEntry,
  SetAside,
  Passage,
  ShardOpening,
  ShardStore,
  System,
} from '../ports.ts';
import type { Begin } from '../core/merge/course.ts';
import { headOf } from '../protocol/chain.ts';
import { Unavailable } from '../protocol/errors.ts';
import type { Address } from '../protocol/ids.ts';
import { comparePositions, positionStart, type Position } from '../protocol/journal.ts';
import { agentGroup, peerReader, runtimeGroup, type Keyspace } from '../protocol/keys.ts';
import type { Client, RedisSettings } from './client.ts';
import { Connection } from './connection.ts';
import { encodeCommit } from './encode.ts';
import { functionName } from './library.ts';

type RawEntry = [id: string, fields: string[] | null];
type RawStreams = [stream: string, entries: RawEntry[]][] | null;

export interface ShardStoreOptions {
  redis: RedisSettings;
  space: Keyspace;
  /** Readers of the journal that must have an entry before it is trimmed. */
  journalReaders: readonly string[];
  /** Incarnation that the site's shards must have; without one it is not looked at. */
  incarnation?: string;
  system: System;
  log: Log;
}

export class RedisShardStore implements ShardStore {
  readonly #options: ShardStoreOptions;
  readonly #space: Keyspace;
  readonly #shared: Connection;
  /** A blocking read needs a connection of its own. */
  readonly #readers = new Map<number, Connection>();

  constructor(options: ShardStoreOptions) {
    this.#options = options;
    this.#space = options.space;
    this.#shared = new Connection(options.redis, options.system, options.log);
  }

  close(): void {
    this.#shared.close();
    for (const reader of this.#readers.values()) reader.close();
    this.#readers.clear();
  }

  async acquire(shard: number, owner: string, ttlMs: number): Promise<LeaseOutcome> {
    const keys = this.#space.shard(shard);
    const [outcome, first, second] = (await this.#shared.run((client) =>
      client.fcall(
        functionName('acquire'),
        2,
        keys.lease,
        keys.commands,
        owner,
        ttlMs,
        this.#options.incarnation ?? '',
      ),
    )) as [string, string | number, number];
    switch (outcome) {
      case 'acquired':
        return { outcome: 'acquired', lease: { shard, owner, epoch: Number(first) } };
      case 'held':
        return { outcome: 'held', owner: String(first), remainingMs: Number(second) };
      case 'vanished':
        throw new Error(
          first === ''
            ? `shard ${shard}: its keys are gone from Redis; nothing is decided until "orchestrator rebuild" has brought them back from PostgreSQL`
            : `shard ${shard}: Redis holds the site ${String(first)}, this process belongs to ${this.#options.incarnation}; check [redis] url`,
        );
      default:
        throw new Error(
          `shard ${shard}: the key ${String(first)} is not a stream; another program writes to this Redis`,
        );
    }
  }

  async renew(lease: Lease, ttlMs: number): Promise<boolean> {
    const { lease: key } = this.#space.shard(lease.shard);
    return (
      (await this.#shared.run((client) =>
        client.fcall(functionName('renew'), 1, key, lease.owner, lease.epoch, ttlMs),
      )) === 1
    );
  }

  async release(lease: Lease): Promise<void> {
    const { lease: key } = this.#space.shard(lease.shard);
    this.#readers.get(lease.shard)?.close();
    this.#readers.delete(lease.shard);
    await this.#shared.run((client) => client.fcall(functionName('release'), 1, key, lease.owner, lease.epoch));
  }

  async open(lease: Lease): Promise<ShardOpening> {
    const keys = this.#space.shard(lease.shard);
    const [mailboxes, relayed, sent, [incarnation, history, head, begins]] = await this.#shared.run((client) =>
      Promise.all([
        client.smembers(keys.mailboxes),
        client.hgetall(keys.relayed),
        client.hgetall(keys.sent),
        client.hmget(keys.lease, 'incarnation', 'history', 'head', 'begins') as Promise<(string | null | undefined)[]>,
      ]),
    );
    await this.#repair(lease.shard, mailboxes);
    return {
      mailboxes,
      relayed: new Map(Object.entries(relayed).map(([source, taken]) => [Number(source), taken])),
      sent: new Map(Object.entries(sent).map(([target, number]) => [Number(target), Number(number)])),
      head: headOf(history ?? incarnation ?? '', head),
      begins: JSON.parse(begins ?? '[]') as Begin[],
    };
  }

  async read(lease: Lease, mailboxes: readonly string[], count: number, blockMs: number): Promise<Entry[]> {
    const streams = this.#streams(lease.shard, mailboxes);
    try {
      const answer = (await this.#reader(lease).run(
        (client) =>
          client.xreadgroup(
            'GROUP',
            runtimeGroup,
            lease.owner,
            'COUNT',
            count,
            'BLOCK',
            Math.max(1, Math.ceil(blockMs)),
            'STREAMS',
            ...streams,
            ...streams.map(() => '>'),
          ),
        blockMs + limits.readWatchdogMarginMs,
      )) as RawStreams;
      return this.#entries(lease.shard, mailboxes, answer);
    } catch (error) {
      if (!isLostGroup(error)) throw error;
      // A mailbox that a commit has closed meanwhile is gone for good.
      const present = await this.#present(lease.shard, mailboxes);
      const made = await this.#repair(lease.shard, present);
      // None is: the streams moved to another server.
      if (present.length === mailboxes.length && made > 0)
        this.#options.log.error(
          { shard: lease.shard },
          'a stream or its group vanished from Redis; made anew, what stood in a deleted stream is lost',
        );
      return [];
    }
  }

  async claim(lease: Lease, mailboxes: readonly string[], count: number): Promise<Entry[]> {
    const streams = this.#streams(lease.shard, mailboxes);
    const answers = await this.#shared.run((client) => {
      const pipeline = client.pipeline();
      for (const stream of streams)
        pipeline.xautoclaim(stream, runtimeGroup, lease.owner, 0, '0-0', 'COUNT', Math.max(1, count));
      return settledOrLost(pipeline);
    });
    const found: [string, RawEntry[]][] = [];
    for (const [index, answer] of answers.entries())
      if (answer) found.push([streams[index]!, (answer as [string, RawEntry[]])[1]]);
    if (found.length < streams.length) await this.#repair(lease.shard, await this.#present(lease.shard, mailboxes));
    return this.#entries(lease.shard, mailboxes, found);
  }

  async load(shard: number, addresses: readonly Address[]): Promise<Map<Address, string>> {
    const { snapshots } = this.#space.shard(shard);
    const texts = await this.#shared.run((client) => client.hmget(snapshots, ...addresses));
    const loaded = new Map<Address, string>();
    for (const [index, text] of texts.entries()) if (text !== null) loaded.set(addresses[index]!, text);
    return loaded;
  }

  async scan(
    shard: number,
    cursor: string,
  ): Promise<{ cursor: string; done: boolean; snapshots: [Address, string][] }> {
    const { snapshots } = this.#space.shard(shard);
    const [next, flat] = await this.#shared.run((client) => client.hscan(snapshots, cursor, 'COUNT', limits.scanCount));
    const page: [Address, string][] = [];
    for (let index = 0; index + 1 < flat.length; index += 2) page.push([flat[index] as Address, flat[index + 1]!]);
    return { cursor: next, done: next === '0', snapshots: page };
  }

  async setAsideEntries(shard: number, ids: readonly Position[]): Promise<Map<Position, SetAside>> {
    const { setAside } = this.#space.shard(shard);
    const found = new Map<Position, SetAside>();
    for (const id of ids) {
      const [entry] = (await this.#shared.run((client) => client.xrange(setAside, id, id))) as RawEntry[];
      if (entry) found.set(id, setAsideOf(entry[1] ?? []));
    }
    return found;
  }

  async commit(lease: Lease, sequence: number, commit: Commit, passage: Passage = ''): Promise<CommitOutcome> {
    const { keys, args } = encodeCommit(this.#space, lease.shard, lease.epoch, sequence, commit, passage);
    const [outcome, detail, key] = (await this.#shared.run((client) =>
      client.fcall(functionName('commit'), keys.length, ...keys, ...args),
    )) as [string, string | number, string | undefined];
    switch (outcome) {
      case 'committed':
      case 'repeated':
        return { outcome: 'committed', repeated: outcome === 'repeated', journal: String(detail) || undefined };
      case 'stale':
        return { outcome: 'stale', epoch: Number(detail) };
      case 'gated':
        return { outcome: 'gated', why: String(detail) };
      case 'gap':
        return { outcome: 'gap', expected: Number(detail) };
      default:
        return {
          outcome: 'damaged',
          detail: String(detail),
          whole: Object.values({ ...this.#space.shard(lease.shard) }).includes(key ?? ''),
        };
    }
  }

  async outbound(shard: number, count: number): Promise<OutboundEntry[]> {
    const { outbound } = this.#space.shard(shard);
    const entries = (await this.#shared.run((client) =>
      client.xrange(outbound, '-', '+', 'COUNT', count),
    )) as RawEntry[];
    return entries.map(([id, fields]) => {
      const [, target = '', , number = '', , envelope = ''] = fields ?? [];
      return { id, shard: Number(target), number: Number(number), envelope };
    });
  }

  async deliver(source: number, entries: readonly OutboundEntry[]): Promise<void> {
    const targets = new Map<number, OutboundEntry[]>();
    for (const entry of entries) {
      const present = targets.get(entry.shard);
      if (present) present.push(entry);
      else targets.set(entry.shard, [entry]);
    }
    await this.#shared.run((client) =>
      Promise.all([...targets.values()].map((some) => settled(this.#deliveries(client, source, some)))),
    );
  }

  /** In the order of the entries; all of them are for one shard. */
  #deliveries(client: Client, source: number, entries: readonly OutboundEntry[]): ReturnType<Client['pipeline']> {
    const pipeline = client.pipeline();
    for (const { shard, number, envelope } of entries) {
      const { commands } = this.#space.shard(shard);
      pipeline.xadd(commands, '*', 'relayed', envelope, 'source', source, 'number', number);
    }
    return pipeline;
  }

  async removeOutbound(shard: number, ids: readonly Position[]): Promise<void> {
    if (ids.length > 0) await this.#shared.run((client) => client.xdel(this.#space.shard(shard).outbound, ...ids));
  }

  async tidy(lease: Lease, mailboxes: readonly string[]): Promise<{ journalTrimmed: number; inboxTrimmed: number }> {
    const keys = this.#space.shard(lease.shard);
    const stored = await this.#shared.run((client) => client.hgetall(keys.readers));
    // Below what every reader has, and never what a live follower may still want.
    let oldest = `${this.#options.system.now() - limits.journalKeepMs}-0`;
    for (const reader of this.#options.journalReaders) {
      const position = stored[reader] ?? positionStart;
      if (comparePositions(position, oldest) < 0) oldest = position;
    }
    const length = await this.#shared.run((client) => client.xlen(keys.journal));
    // The other site of a pair may be away for long: beyond the limit it copies the shard when it is back.
    const follower = stored[peerReader];
    if (follower !== undefined && length <= limits.journalFollowerEntriesMax && comparePositions(follower, oldest) < 0)
      oldest = follower;
    const journalTrimmed = await this.#shared.run((client) => client.xtrim(keys.journal, 'MINID', '~', oldest));
    const waiting = length - journalTrimmed;
    if (waiting > limits.journalAlarmEntries)
      this.#options.log.warn(
        { shard: lease.shard, entries: waiting, stopAt: limits.journalEntriesMax },
        'journal is long: a reader is behind; ingress stops when it is full',
      );
    let inboxTrimmed = 0;
    const bare: string[] = [];
    for (const mailbox of mailboxes) {
      const trimmed = await this.#tidyInbox(this.#space.inbox(lease.shard, mailbox));
      if (trimmed === undefined) bare.push(mailbox);
      else inboxTrimmed += trimmed;
    }
    // Somebody deleted an inbox or its group: its agent would read nothing for ever.
    if (bare.length > 0) await this.#repair(lease.shard, await this.#present(lease.shard, bare));
    await this.#removeIdleConsumers(this.#streams(lease.shard, mailboxes), lease.owner);
    return { journalTrimmed, inboxTrimmed };
  }

  /** Messages that the agent has taken over are not needed any more. Undefined where the agents' group is missing. */
  async #tidyInbox(inbox: string): Promise<number | undefined> {
    return this.#shared.run(async (client) => {
      const groups = (await client.xinfo('GROUPS', inbox).catch(() => [])) as unknown[][];
      const group = groups.map(pairs).find((entry) => entry['name'] === agentGroup);
      if (!group) return undefined;
      const delivered = String(group['last-delivered-id']);
      const [count, lowest] = (await client.xpending(inbox, agentGroup)) as [number, string | null];
      const oldest = count > 0 && lowest ? lowest : afterPosition(delivered);
      return client.xtrim(inbox, 'MINID', '~', oldest);
    });
  }

  /** A consumer with pending entries is never deleted: that would lose them. */
  async #removeIdleConsumers(streams: readonly string[], own: string): Promise<void> {
    await this.#shared.run(async (client) => {
      const asked = client.pipeline();
      for (const stream of streams) asked.xinfo('CONSUMERS', stream, runtimeGroup);
      for (const [index, consumers] of (await settledOrLost(asked)).entries()) {
        // A mailbox that was closed meanwhile has no group any more.
        if (!consumers) continue;
        for (const consumer of (consumers as unknown[][]).map(pairs))
          if (
            consumer['name'] !== own &&
            consumer['pending'] === 0 &&
            Number(consumer['idle']) > 10 * limits.leaseTtlMs
          )
            await client.xgroup('DELCONSUMER', streams[index]!, runtimeGroup, String(consumer['name']));
      }
    });
  }

  async #present(shard: number, mailboxes: readonly string[]): Promise<string[]> {
    const members = new Set(await this.#shared.run((client) => client.smembers(this.#space.shard(shard).mailboxes)));
    return mailboxes.filter((mailbox) => members.has(mailbox));
  }

  /** @returns how many groups of the runtime were missing */
  async #repair(shard: number, mailboxes: readonly string[]): Promise<number> {
    const streams = this.#streams(shard, mailboxes);
    const inboxes = mailboxes.map((mailbox) => this.#space.inbox(shard, mailbox));
    const ensure = (keys: readonly string[], group: string): Promise<number> =>
      this.#shared.run((client) =>
        client.fcall(functionName('groups'), keys.length, ...keys, group),
      ) as Promise<number>;
    const made = await ensure(streams, runtimeGroup);
    if (inboxes.length > 0) await ensure(inboxes, agentGroup);
    return made;
  }

  #reader(lease: Lease): Connection {
    let reader = this.#readers.get(lease.shard);
    if (!reader) {
      const { redis, system, log } = this.#options;
      // Sent again by the client, a read would bring later entries before those of the lost reply.
      const options = { sendOnce: true };
      reader = new Connection({ ...redis, name: `${redis.name}-shard-${lease.shard}` }, system, log, options);
      this.#readers.set(lease.shard, reader);
    }
    return reader;
  }

  #streams(shard: number, mailboxes: readonly string[]): string[] {
    return [this.#space.shard(shard).commands, ...mailboxes.map((mailbox) => this.#space.outbox(shard, mailbox))];
  }

  #entries(shard: number, mailboxes: readonly string[], answer: RawStreams): Entry[] {
    if (!answer) return [];
    const { commands } = this.#space.shard(shard);
    const sources = new Map(mailboxes.map((mailbox) => [this.#space.outbox(shard, mailbox), { outbox: mailbox }]));
    const entries: Entry[] = [];
    for (const [stream, list] of answer) {
      const source = stream === commands ? 'commands' : sources.get(stream);
      if (source === undefined) continue;
      for (const [id, fields] of list) entries.push({ source, id, fields: fields ?? [] });
    }
    return entries;
  }
}

export function setAsideOf(fields: readonly string[]): SetAside {
  const [, source = '', , entry = '', , reason = '', , detail = '', , text = '[]'] = fields;
  return { source, entry, reason, detail, fields: text };
}

/** Runs a pipeline whose every command must succeed. */
export async function settled(pipeline: ReturnType<Client['pipeline']>): Promise<unknown[]> {
  const answers = (await pipeline.exec()) ?? [];
  return answers.map(([error, answer]) => {
    if (error) throw error;
    return answer;
  });
}

/**
 * Runs a pipeline whose commands may find that their stream or its group is gone: those answers are undefined.
 * @throws any other error, within the call, so that a link that ends is known as one
 */
async function settledOrLost(pipeline: ReturnType<Client['pipeline']>): Promise<unknown[]> {
  return ((await pipeline.exec()) ?? []).map(([error, answer]) => {
    if (error && !/^(NOGROUP|ERR no such key)/.test(error.message)) throw error;
    return error ? undefined : answer;
  });
}

function isLostGroup(error: unknown): boolean {
  return error instanceof Unavailable && /NOGROUP|UNBLOCKED/.test(error.message);
}

function pairs(flat: readonly unknown[]): Record<string, unknown> {
  const entry: Record<string, unknown> = {};
  for (let index = 0; index + 1 < flat.length; index += 2) entry[String(flat[index])] = flat[index + 1];
  return entry;
}

function afterPosition(position: Position): Position {
  const [ms = '0', sequence = '0'] = position.split('-');
  return `${ms}-${Number(sequence) + 1}`;
}
