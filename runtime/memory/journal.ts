/** Journals of a `MemoryWorld`, as their readers see them. */
import type { JournalReader, PositionedEntry } from '../ports.ts';
import { positionStart, type JournalEntry, type Position } from '../protocol/journal.ts';
import type { StreamEntry } from './stream.ts';
import type { MemoryWorld } from './world.ts';

export class MemoryJournalReader implements JournalReader {
  readonly #world: MemoryWorld;

  constructor(world: MemoryWorld) {
    this.#world = world;
  }

  read(after: ReadonlyMap<number, Position>, count: number, blockMs: number): Promise<PositionedEntry[]> {
    const keys = [...after.keys()].map((shard) => this.#key(shard));
    return this.#world.look(keys, Math.max(1, blockMs), () =>
      [...after].flatMap(([shard, position]) => this.#after(shard, position, count)),
    );
  }

  range(shard: number, after: Position, count: number): Promise<PositionedEntry[]> {
    return Promise.resolve(this.#after(shard, after, count));
  }

  last(shard: number): Promise<Position> {
    return Promise.resolve(this.#world.find(this.#key(shard))?.last ?? positionStart);
  }

  acknowledge(shard: number, reader: string, position: Position): Promise<void> {
    this.#world.shard(shard).readers.set(reader, position);
    return Promise.resolve();
  }

  #key(shard: number): string {
    return this.#world.space.shard(shard).journal;
  }

  #after(shard: number, position: Position, count: number): PositionedEntry[] {
    return (this.#world.find(this.#key(shard))?.after(position, count) ?? []).map(positioned);
  }
}

function positioned({ id, fields: [, text = '{}'] }: StreamEntry): PositionedEntry {
  return { position: id, entry: JSON.parse(text) as JournalEntry };
}
