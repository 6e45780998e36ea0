/** One adapter under test: its ports on a place of its own, and a second way to look into that place. */
import type {
  CommandGateway,
  GateKeeper,
  JournalReader,
  Membership,
  ReplyReader,
  ShardStore,
  System,
} from '../../runtime/ports.ts';
import type { Position } from '../../runtime/protocol/journal.ts';
import type { Keyspace } from '../../runtime/protocol/keys.ts';

export interface RawEntry {
  id: Position;
  fields: readonly string[];
}

export interface Bed {
  name: string;
  space: Keyspace;
  system: System;
  store: ShardStore;
  gateway: CommandGateway & ReplyReader;
  journals: JournalReader;
  membership: Membership;
  gates: GateKeeper;
  /** Lets the gate of a shard have seen a time that is so many milliseconds ahead. */
  sawAhead(shard: number, byMs: number): Promise<void>;
  /** Another store on the same place, as a janitor with these readers and this clock has it. */
  janitor(journalReaders: readonly string[], system: System): ShardStore;
  append(key: string, fields: readonly string[]): Promise<Position>;
  /** What stands in a stream; empty when there is none. */
  stream(key: string): Promise<RawEntry[]>;
  remove(key: string): Promise<void>;
  /** Reads as the agent of an inbox does, in its group. */
  receive(inbox: string, count: number): Promise<RawEntry[]>;
  acknowledge(inbox: string, ids: readonly Position[]): Promise<void>;
  /** Everything that is kept, by key: for the sentence that nothing was written. */
  contents(): Promise<Map<string, string>>;
  close(): Promise<void>;
}

/** A clock that goes ahead of the real one. */
export function ahead(system: System, byMs: number): System {
  return { ...system, now: () => system.now() + byMs };
}

/** Names and values of an entry as an object. */
export function named(fields: readonly string[]): Record<string, string> {
  const entry: Record<string, string> = {};
  for (let index = 0; index + 1 < fields.length; index += 2) entry[fields[index]!] = fields[index + 1]!;
  return entry;
}
