/** An actor as it is stored, and as the outside of its machine may see it: plain data. */
import type { MachineEvent, StateValue } from './envelope.ts';
import type { JsonObject } from './json.ts';

/** What the outside of the machine may see of an actor: plain data. */
export interface ActorView {
  id: string;
  revision: number;
  /** When the present state was entered, in milliseconds since 1970. */
  since: number;
  state: StateValue;
  status: 'active' | 'done';
  context: JsonObject;
}

/** Form of a snapshot at rest. Empty members are left out, so a queued task stays small. */
export interface StoredActor {
  /** `<version>-<structural hash>` of the definition that wrote it. */
  version: string;
  revision: number;
  /** When the present state was entered, in milliseconds since 1970. */
  since: number;
  state: StateValue;
  context: JsonObject;
  status?: 'done';
  output?: JsonObject;
  history?: Record<string, string[]>;
  /** Timer id -> due time, or [due time, event] where the event is not named like the timer. */
  timers?: Record<string, number | readonly [number, MachineEvent]>;
  /** Ids of the last external commands. */
  recent?: string[];
}

/** Looks at a stored actor without restoring its machine; for scans and read paths. */
export function readStored(id: string, text: string): { view: ActorView; timers: NonNullable<StoredActor['timers']> } {
  const stored = JSON.parse(text) as StoredActor;
  const { revision, since, state, status = 'active', context, timers = {} } = stored;
  return { view: { id, revision, since, state, status, context }, timers };
}

export function viewOfStored(id: string, text: string): ActorView {
  return readStored(id, text).view;
}
