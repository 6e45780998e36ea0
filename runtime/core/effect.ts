/**
 * Every effect that a machine may ask for: one closed union of plain data, decided together with the snapshot and stored
 * in the same commit (R3). A machine asks by an action of the same name whose params are the rest of the effect, so a
 * machine file needs nothing but XState; `effectActions` declares those actions for `setup`.
 */
import type { Address } from '../protocol/ids.ts';
import type { MachineEvent } from '../protocol/envelope.ts';
import type { JsonObject } from '../protocol/json.ts';

export type Effect =
  /** An event for another actor, of this shard or of another. */
  | { kind: 'send'; to: Address; event: MachineEvent }
  /** A new actor, of this shard or of another. */
  | { kind: 'spawn'; to: Address; input: JsonObject }
  /** A message in the inbox stream of an agent. */
  | { kind: 'post'; mailbox: string; message: Message }
  /** A message that may share an inbox entry with others of the same commit, for agents that asked for it. */
  | { kind: 'bundle'; mailbox: string; message: BundledMessage }
  /** The inbox and outbox of an agent come into being, or go. */
  | { kind: 'openMailbox'; mailbox: string }
  | { kind: 'closeMailbox'; mailbox: string };

/** Fields of one inbox entry; every agent in any language reads them as text. */
export type Message = { readonly kind: string; readonly [field: string]: string };

/** Item of the JSON array in the `batch` field of an inbox entry: values are JSON and not text. */
export type BundledMessage = JsonObject & { readonly kind: string };

export const effectKinds = ['send', 'spawn', 'post', 'bundle', 'openMailbox', 'closeMailbox'] as const;

/** Params of the actions that a machine may use; `_` is XState's action argument, which effects never look at. */
type Body<K extends Effect['kind']> = Omit<Extract<Effect, { kind: K }>, 'kind'>;

/** Spread into `setup({ actions })`. The functions do nothing: `step` reads type and params of what was asked for. */
export const effectActions = {
  send: (_: unknown, _params: Body<'send'>): void => undefined,
  spawn: (_: unknown, _params: Body<'spawn'>): void => undefined,
  post: (_: unknown, _params: Body<'post'>): void => undefined,
  bundle: (_: unknown, _params: Body<'bundle'>): void => undefined,
  openMailbox: (_: unknown, _params: Body<'openMailbox'>): void => undefined,
  closeMailbox: (_: unknown, _params: Body<'closeMailbox'>): void => undefined,
  /** Several effects of one transition, for lists whose length the context decides. */
  effects: (_: unknown, _params: { list: readonly Effect[] }): void => undefined,
};
