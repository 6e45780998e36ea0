/**
 * A shard rebuilt from its journal. Every applied record is taken through `step` again, which gives the actors (R9); what
 * commits did beside their records gives the rest. Pure: journal in, image out.
 */
import type { Envelope } from '../protocol/envelope.ts';
import { stateText } from '../protocol/envelope.ts';
import { parseAddress, type Address } from '../protocol/ids.ts';
import { positionStart, type JournalEntry, type JournalRecord, type Position } from '../protocol/journal.ts';
import { freeze, stateTextOf, thaw, type Actor } from './actor.ts';
import type { Registry } from './definition.ts';
import { step } from './step.ts';
import { noneTaken, take, type Taken } from './taken.ts';

/** What a rebuilt shard starts from. */
export interface ShardImage {
  shard: number;
  /** The last journal entry that is in it, its place, and when it was decided (milliseconds since 1970, or 0). */
  position: Position;
  epoch: number;
  sequence: number;
  at: number;
  snapshots: ReadonlyMap<Address, string>;
  mailboxes: readonly string[];
  /** Source shard -> what was taken over from it; target shard -> number of the last envelope for it. */
  relayed: ReadonlyMap<number, Taken>;
  sent: ReadonlyMap<number, number>;
  /** Envelopes on their way to other shards, and those that this shard decides later. */
  outbound: readonly { shard: number; number: number; envelope: Envelope }[];
  deferred: readonly Envelope[];
}

export class Reconstruction {
  readonly #shard: number;
  readonly #registry: Registry;
  readonly #actors = new Map<Address, Actor>();
  readonly #mailboxes = new Set<string>();
  readonly #relayed = new Map<number, Taken>();
  readonly #sent = new Map<number, number>();
  readonly #outbound: { shard: number; number: number; envelope: Envelope }[] = [];
  readonly #deferred = new Map<string, Envelope>();
  readonly #drift: string[] = [];
  #last: Pick<ShardImage, 'position' | 'epoch' | 'sequence' | 'at'> = {
    ...{ position: positionStart, epoch: 0, sequence: 0, at: 0 },
  };
  #records = 0;

  /** @param from what the shard was at a checkpoint; entries after it are taken. Default: its beginning */
  constructor(shard: number, registry: Registry, from?: ShardImage) {
    this.#shard = shard;
    this.#registry = registry;
    if (from) this.#begin(from);
  }

  /** Where the replay did not give what the journal says: nothing of it may be trusted. */
  get drift(): readonly string[] {
    return this.#drift;
  }

  get records(): number {
    return this.#records;
  }

  take(position: Position, { epoch, sequence, at, records, beside = {} }: JournalEntry): void {
    for (const record of records) this.#record(record, at);
    for (const mailbox of beside.opened ?? []) this.#mailboxes.add(mailbox);
    for (const mailbox of beside.closed ?? []) this.#mailboxes.delete(mailbox);
    for (const [source, taken] of Object.entries(beside.relayed ?? {})) this.#relayed.set(Number(source), taken);
    for (const item of beside.outbound ?? []) {
      this.#sent.set(item.shard, item.number);
      this.#outbound.push(item);
    }
    for (const envelope of beside.deferred ?? []) this.#deferred.set(nameOf(envelope.to, envelope.id), envelope);
    this.#last = { position, epoch, sequence, at };
  }

  image(): ShardImage {
    const snapshots = new Map<Address, string>();
    for (const [address, actor] of this.#actors) snapshots.set(address, freeze(actor));
    return {
      shard: this.#shard,
      ...this.#last,
      snapshots,
      mailboxes: [...this.#mailboxes],
      relayed: this.#relayed,
      sent: this.#sent,
      outbound: this.#outbound,
      deferred: [...this.#deferred.values()],
    };
  }

  #begin({ position, epoch, sequence, at, ...from }: ShardImage): void {
    for (const [address, text] of from.snapshots) {
      const definition = this.#registry.get(parseAddress(address)?.definition ?? '');
      const thawed = definition && thaw(definition, address, text);
      if (thawed?.ok) this.#actors.set(address, thawed.actor);
      else this.#drift.push(`${address} at the checkpoint: ${thawed?.detail ?? 'no definition of this program'}`);
    }
    for (const mailbox of from.mailboxes) this.#mailboxes.add(mailbox);
    for (const [source, taken] of from.relayed) this.#relayed.set(source, taken);
    for (const [target, number] of from.sent) this.#sent.set(target, number);
    this.#outbound.push(...from.outbound);
    for (const envelope of from.deferred) this.#deferred.set(nameOf(envelope.to, envelope.id), envelope);
    this.#last = { position, epoch, sequence, at };
  }

  #record(record: JournalRecord, at: number): void {
    this.#records++;
    this.#deferred.delete(nameOf(record.actor, record.id));
    if (record.outcome === 'duplicate' || record.outcome === 'refused') return;
    const definition = this.#registry.get(parseAddress(record.actor)?.definition ?? '');
    const before = this.#actors.get(record.actor);
    const what = `${record.actor} at revision ${record.revision}`;
    if (!definition) {
      this.#drift.push(`${what}: no definition of this program`);
      return;
    }
    const envelope: Envelope = {
      id: record.id,
      to: record.actor,
      origin: record.origin,
      ...(record.input && { input: record.input }),
      ...(record.event && { event: record.event }),
      ...(record.by !== undefined && { by: record.by }),
    };
    const decision = step(definition, before, envelope, at);
    if (decision.outcome === 'retired' && record.outcome === 'retired') this.#actors.delete(record.actor);
    else if (decision.outcome !== 'applied' || record.outcome === 'retired')
      this.#drift.push(`${what}: the journal says ${record.outcome ?? 'applied'}, the replay ${decision.outcome}`);
    else {
      const { actor } = decision;
      if (actor.revision !== record.revision || stateTextOf(actor) !== stateText(record.state))
        this.#drift.push(`${what}: the replay is at revision ${actor.revision} in ${stateTextOf(actor)}`);
      this.#actors.set(record.actor, actor);
    }
  }
}

function nameOf(to: Address, id: string): string {
  return `${to} ${id}`;
}

/**
 * Makes images of all shards fit one another: what the receiver has taken over is not sent again, and no number is given
 * out twice where a receiver remembers more than the rebuilt sender does.
 */
export function reconcile(images: readonly ShardImage[]): ShardImage[] {
  const takenBy = (target: number, source: number): Taken =>
    images.find(({ shard }) => shard === target)?.relayed.get(source) ?? noneTaken;
  return images.map((image) => {
    const sent = new Map(image.sent);
    for (const { shard: target, relayed } of images) {
      const highest = Math.max(...(relayed.get(image.shard) ?? noneTaken).split(' ').map(Number));
      if (highest > (sent.get(target) ?? 0)) sent.set(target, highest);
    }
    return {
      ...image,
      sent,
      outbound: image.outbound.filter(({ shard, number }) => take(takenBy(shard, image.shard), number) !== undefined),
    };
  });
}
