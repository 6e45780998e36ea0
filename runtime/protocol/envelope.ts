/**
 * The envelope: one event addressed to one actor, as it travels on the command stream, between shards and inside a batch.
 */
import * as z from 'zod';
import type { Address } from './ids.ts';
import { parseAddress } from './ids.ts';
import type { JsonObject } from './json.ts';

/** An event of a machine: `type` and whatever its schema says. */
export type MachineEvent = JsonObject & { readonly type: string };

/**
 * Where an envelope came from. `command`, `report` and `relay` are external to the shard, the rest is derived by it.
 * `merge` is what the active site of a pair makes of a branch that lost (core/merge).
 * A command or a report is checked against its schema; derived events are made by checked code.
 */
export type Origin = 'command' | 'report' | 'relay' | 'timer' | 'actor' | 'dispatch' | 'merge';

export interface Envelope {
  /** Unique per origin; a repeated command is recognised by it. */
  id: string;
  to: Address;
  /** Exactly one of `input` (create the actor) and `event` (tell it something). */
  input?: JsonObject;
  event?: MachineEvent;
  origin: Origin;
  /** Who caused it: token subject, agent id, or the address of the sending actor. */
  by?: string;
  /** W3C trace context. */
  traceparent?: string;
}

const text = (max: number) => z.string().min(1).max(max);

const command = z
  .strictObject({
    id: text(128),
    to: text(260).refine((value) => parseAddress(value) !== undefined, 'is no address like "task/t-3-..."'),
    // What stands on a stream was parsed from JSON, so its members need no second look.
    input: z.record(z.string(), z.unknown()).optional(),
    event: z.looseObject({ type: text(128) }).optional(),
    by: text(256).optional(),
    traceparent: text(128).optional(),
  })
  .refine(
    (value) => (value.input === undefined) !== (value.event === undefined),
    'needs exactly one of input and event',
  );

/** The JSON of a command as it stands on the stream: an envelope without `origin`, which only the shard may state. */
export const commandSchema = z.compile(command);

/** A command to publish. */
export type Command = Omit<Envelope, 'origin'>;

/** What became of an envelope; also the shape of the reply to a command. */
export type Outcome =
  | { outcome: 'applied'; to: Address; revision: number; state: StateValue }
  | { outcome: 'duplicate'; to: Address; revision: number; state: StateValue }
  | { outcome: 'refused'; to: Address; reason: string; detail: string; state?: StateValue; legal: readonly string[] }
  | { outcome: 'set-aside'; to: Address | undefined; reason: string; detail: string }
  /** To a question, which changes nothing. */
  | { outcome: 'answered'; answer: JsonObject };

/** A state of a machine: a name, or one name per region or nested state. */
export type StateValue = string | { readonly [region: string]: StateValue };

/** `{"present":{"availability":"idle"}}` reads `present.availability.idle`; regions are joined by a comma. */
export function stateText(value: StateValue): string {
  if (typeof value === 'string') return value;
  return Object.entries(value)
    .map(([key, child]) => `${key}.${stateText(child)}`)
    .join(',');
}
