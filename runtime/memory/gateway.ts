/** The API's side of a `MemoryWorld`: commands in, outcomes and snapshots out. It writes nothing but commands (R7). */
import { limits } from '../../config/limits.ts';
import type { CommandGateway, ReplyReader, SetAside } from '../ports.ts';
import type { Command, Outcome } from '../protocol/envelope.ts';
import { IngressStopped } from '../protocol/errors.ts';
import { parseAddress, type Address } from '../protocol/ids.ts';
import type { JsonObject } from '../protocol/json.ts';
import type { Position } from '../protocol/journal.ts';
import { setAsideOf } from './fields.ts';
import type { MemoryWorld } from './world.ts';

const replyEntriesMax = 1_000;

interface Recipient {
  recipient: string;
  request: string;
}

export class MemoryGateway implements CommandGateway, ReplyReader {
  readonly #world: MemoryWorld;

  constructor(world: MemoryWorld) {
    this.#world = world;
  }

  async publish(shard: number, commands: readonly Command[], reply?: Recipient): Promise<void> {
    const length = this.#world.find(this.#world.space.shard(shard).journal)?.length ?? 0;
    if (length > limits.journalEntriesMax)
      throw new IngressStopped(`the journal of shard ${shard} has ${length} entries that no reader has yet`, 5_000);
    const fields =
      commands.length === 1 ? ['command', JSON.stringify(commands[0])] : ['batch', JSON.stringify(commands)];
    this.#append(shard, fields, reply);
  }

  async redrive(shard: number, ids: readonly Position[], reply?: Recipient): Promise<void> {
    this.#append(shard, ['redrive', JSON.stringify(ids)], reply);
  }

  async ask(shard: number, question: JsonObject, reply: Recipient): Promise<void> {
    this.#append(shard, ['question', JSON.stringify(question)], reply);
  }

  snapshot(address: Address): Promise<string | undefined> {
    const shard = parseAddress(address)?.shard;
    return Promise.resolve(shard === undefined ? undefined : this.#world.shard(shard).snapshots.get(address));
  }

  setAside(shard: number, after: Position, count: number): Promise<({ id: Position } & SetAside)[]> {
    const entries = this.#world.find(this.#world.space.shard(shard).setAside)?.after(after, count) ?? [];
    return Promise.resolve(entries.map(({ id, fields }) => ({ id, ...setAsideOf(fields) })));
  }

  read(
    recipient: string,
    after: ReadonlyMap<number, Position>,
    blockMs: number,
  ): Promise<{ shard: number; position: Position; request: string; outcomes: Outcome[] }[]> {
    const streams = [...after].map(([shard, position]) => ({
      shard,
      position,
      key: this.#world.space.replies(shard, recipient),
    }));
    const keys = streams.map(({ key }) => key);
    return this.#world.look(keys, Math.max(1, blockMs), () =>
      streams.flatMap(({ shard, position, key }) =>
        (this.#world.find(key)?.after(position, replyEntriesMax) ?? []).map(({ id, fields }) => {
          const [, request = '', , outcomes = '[]'] = fields;
          return { shard, position: id, request, outcomes: JSON.parse(outcomes) as Outcome[] };
        }),
      ),
    );
  }

  #append(shard: number, fields: string[], reply: Recipient | undefined): void {
    if (reply) fields.push('reply', reply.recipient, 'request', reply.request);
    this.#world.append(this.#world.space.shard(shard).commands, fields);
  }
}
