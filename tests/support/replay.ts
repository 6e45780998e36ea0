/**
 * The audit after a run: every journal is replayed through `step` and compared with what Redis holds, byte for byte (R9);
 * revisions must be dense (R1), commits in order and none twice (R5), slots those of the
 * holders (R11), and nothing may be left over in a stream.
 */
import { LaneDispatcher } from '../../actors/dispatch/dispatcher.ts';
import { taskStatus } from '../../actors/task/status.ts';
import { freeze, stateOf, type Actor } from '../../runtime/core/actor.ts';
import { viewOfStored } from '../../runtime/protocol/snapshot.ts';
import type { Registry } from '../../runtime/core/definition.ts';
import type { ActorView, StoredActor } from '../../runtime/protocol/snapshot.ts';
import { step } from '../../runtime/core/step.ts';
import { stateText, type Envelope } from '../../runtime/protocol/envelope.ts';
import { parseAddress, type Address } from '../../runtime/protocol/ids.ts';
import type { JournalEntry, JournalRecord } from '../../runtime/protocol/journal.ts';
import type { Keyspace } from '../../runtime/protocol/keys.ts';
import type { Client } from '../../runtime/redis/client.ts';

export interface ReplayReport {
  entries: number;
  records: number;
  actors: number;
  /** Status -> number of tasks. */
  tasks: Record<string, number>;
  /** Refusal reason, or `duplicate` -> number of records. */
  outcomes: Record<string, number>;
  /** Entries that still stand in command streams, outboxes and outbound streams. */
  left: number;
  /** Reasons of what was set aside. */
  setAside: string[];
  violations: string[];
}

const violationsMax = 50;

/** Reads and checks all shards of a quiet site. */
export async function replaySite(
  redis: Client,
  space: Keyspace,
  shards: number,
  registry: Registry,
): Promise<ReplayReport> {
  const report: ReplayReport = {
    entries: 0,
    records: 0,
    actors: 0,
    tasks: {},
    outcomes: {},
    left: 0,
    setAside: [],
    violations: [],
  };
  for (let shard = 0; shard < shards; shard++) await new ShardReplay(redis, space, shard, registry, report).run();
  return report;
}

class ShardReplay {
  readonly #redis: Client;
  readonly #space: Keyspace;
  readonly #shard: number;
  readonly #registry: Registry;
  readonly #report: ReplayReport;
  readonly #actors = new Map<Address, Actor>();
  #last: [epoch: number, sequence: number] = [0, 0];

  constructor(redis: Client, space: Keyspace, shard: number, registry: Registry, report: ReplayReport) {
    this.#redis = redis;
    this.#space = space;
    this.#shard = shard;
    this.#registry = registry;
    this.#report = report;
  }

  async run(): Promise<void> {
    const keys = this.#space.shard(this.#shard);
    let from = '-';
    for (;;) {
      const page = await this.#redis.xrange(keys.journal, from, '+', 'COUNT', 500);
      for (const [, [, text = '{}']] of page) this.#entry(JSON.parse(text) as JournalEntry);
      const last = page.at(-1);
      if (!last) break;
      from = `(${last[0]}`;
    }
    const stored = (await this.#redis.hgetall(keys.snapshots)) as Record<Address, string>;
    this.#compare(stored);
    this.#auditSlots(stored);
    await this.#countLeft();
  }

  #entry(entry: JournalEntry): void {
    this.#report.entries++;
    const [epoch, sequence] = this.#last;
    if (entry.epoch < epoch || (entry.epoch === epoch && entry.sequence <= sequence))
      this.#violation(`R5: commit ${entry.epoch}.${entry.sequence} stands after ${epoch}.${sequence}`);
    this.#last = [entry.epoch, entry.sequence];
    for (const record of entry.records) this.#record(record, entry.at);
  }

  #record(record: JournalRecord, at: number): void {
    this.#report.records++;
    const parts = parseAddress(record.actor);
    const definition = parts && this.#registry.get(parts.definition);
    if (!parts || !definition || parts.shard !== this.#shard) {
      this.#violation(`R7: a record of ${record.actor}`);
      return;
    }
    const before = this.#actors.get(record.actor);
    const envelope: Envelope = {
      id: record.id,
      to: record.actor,
      origin: record.origin,
      ...(record.input && { input: record.input }),
      ...(record.event && { event: record.event }),
      ...(record.by !== undefined && { by: record.by }),
    };
    const decision = step(definition, before, envelope, at);
    const said = record.outcome ?? 'applied';
    const what = `${record.actor} at revision ${record.revision}, ${record.event?.type ?? 'create'}`;
    if (decision.outcome === 'faulted' || decision.outcome !== said) {
      const detail = 'detail' in decision ? `: ${decision.detail}` : '';
      this.#violation(`R9: ${what}: the journal says ${said}, the replay ${decision.outcome}${detail}`);
      return;
    }
    switch (decision.outcome) {
      case 'applied': {
        const { actor } = decision;
        // R1: nothing applied twice, nothing left out.
        if (actor.revision !== record.revision) this.#violation(`R1: ${what}: the replay is at ${actor.revision}`);
        if (stateText(stateOf(actor)) !== stateText(record.state)) this.#violation(`R9: ${what}: another state`);
        this.#actors.set(record.actor, actor);
        return;
      }
      case 'retired':
        this.#actors.delete(record.actor);
        return;
      case 'refused':
        if (decision.reason !== record.reason) this.#violation(`R6: ${what}: refused as ${decision.reason}`);
        this.#count(decision.reason);
        return;
      case 'duplicate':
        this.#count('duplicate');
    }
  }

  #compare(stored: Record<Address, string>): void {
    for (const [address, actor] of this.#actors) {
      const text = freeze(actor);
      if (stored[address] === undefined) this.#violation(`R9: ${address} has a journal and no snapshot`);
      else if (stored[address] !== text)
        this.#violation(`R9: ${address}: stored ${stored[address].slice(0, 2_000)}, replayed ${text.slice(0, 2_000)}`);
    }
    for (const [address, text] of Object.entries(stored) as [Address, string][]) {
      this.#report.actors++;
      if (!this.#actors.has(address)) this.#violation(`R9: ${address} has a snapshot and no journal`);
      if (!address.startsWith('task/')) continue;
      const status = taskStatus((JSON.parse(text) as StoredActor).state);
      this.#report.tasks[status] = (this.#report.tasks[status] ?? 0) + 1;
    }
  }

  #auditSlots(stored: Record<Address, string>): void {
    const views = Object.entries(stored).map(([address, text]): [Address, ActorView] => [
      address as Address,
      viewOfStored(parseAddress(address)!.id, text),
    ]);
    const dispatcher = new LaneDispatcher();
    for (const [address, view] of views) dispatcher.observe(address, view);
    for (const drift of dispatcher.audit(views)) this.#violation(drift);
  }

  async #countLeft(): Promise<void> {
    const keys = this.#space.shard(this.#shard);
    const outboxes = (await this.#redis.smembers(keys.mailboxes)).map((id) => this.#space.outbox(this.#shard, id));
    for (const stream of [keys.commands, keys.outbound, ...outboxes])
      this.#report.left += await this.#redis.xlen(stream);
    for (const [, fields] of await this.#redis.xrange(keys.setAside, '-', '+'))
      this.#report.setAside.push(`${fields[5]}: ${fields[7]} ${fields[9]?.slice(0, 200)}`);
  }

  #count(outcome: string): void {
    this.#report.outcomes[outcome] = (this.#report.outcomes[outcome] ?? 0) + 1;
  }

  #violation(text: string): void {
    if (this.#report.violations.length < violationsMax) this.#report.violations.push(`shard ${this.#shard}: ${text}`);
  }
}
