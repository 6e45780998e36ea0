/**
 * From a stream entry to envelopes. Whatever stands on a stream is untrusted until it went through here: an entry that
 * cannot be understood becomes a problem with a reason, and is set aside (R10).
 *
 * Fields of a command entry: one of `command` (JSON), `batch` (JSON array of commands), `derived` (JSON array of
 * envelopes that the shard itself put off), `relayed` with `source` and `number` (one envelope of another shard), `lost` with
 * `source` and `number` (an actor of a branch that lost; the source is minus the number of the site that wrote it),
 * `redrive` (JSON array of set-aside ids), `question` (JSON object: `{ask: "census"}`, or for the dispatcher); and, for an answer, `reply` (recipient) with `request`.
 */
import { limits } from '../../config/limits.ts';
import { commandSchema, type Envelope, type Origin } from '../protocol/envelope.ts';
import { parseAddress, type Address } from '../protocol/ids.ts';
import { isPosition, type Position } from '../protocol/journal.ts';
import { isObject, parseJson, storageProblem, utf8Bytes, type JsonObject } from '../protocol/json.ts';
import { isLost, type Lost } from './merge/lost.ts';
import { envelopeOf } from './merge/replica.ts';
import type { Application, Entry, ReportProblem, SetAside } from './decision.ts';

export interface Intake {
  entry: Entry;
  /** What the entry asks for, in order; empty for a problem. */
  envelopes: Envelope[];
  problem?: { reason: string; detail: string };
  /** Parts of it that are set aside on their own, while the others count. */
  problems?: ReportProblem[];
  reply?: { recipient: string; request: string };
  relayed?: { source: number; number: number };
  /** An actor of a branch that lost; the envelopes are its inputs, so that what they touch is loaded. */
  lost?: Lost;
  /** What the dispatcher is asked; it is answered from what is true after the batch. */
  question?: JsonObject;
  /** Set-aside entries to take up again; the host fetches them before the decision. */
  redrive?: Position[];
  /** A timer whose firing is set aside. */
  silences?: { actor: Address; timer: string };
  /** The set-aside entry that this intake takes up again. */
  redriven?: Position;
  /** It made a batch fail, or may: its envelopes are put off, each into an entry of its own. */
  apart?: true;
}

export function fieldsOf(entry: Entry): Map<string, string> {
  const fields = new Map<string, string>();
  for (let index = 0; index + 1 < entry.fields.length; index += 2)
    fields.set(entry.fields[index]!, entry.fields[index + 1]!);
  return fields;
}

/** The size of the fields as UTF-8 where it is beyond the bound; they are not looked through where their length answers that. */
function bytesBeyond(fields: readonly string[], bytesMax: number): number | undefined {
  let length = 0;
  for (const field of fields) length += field.length;
  if (length * 3 <= bytesMax) return undefined;
  let bytes = 0;
  for (const field of fields) bytes += utf8Bytes(field);
  return bytes > bytesMax ? bytes : undefined;
}

export function intake(entry: Entry, application: Application): Intake {
  const bytes = bytesBeyond(entry.fields, limits.entryBytesMax);
  // Its beginning says what it was; the whole would only grow what is kept. A lost branch is as long as it is.
  if (bytes !== undefined && !isLostEntry(entry))
    return problem(
      beginningOf(entry),
      'too-large',
      `the entry has ${bytes} bytes, ${limits.entryBytesMax} are allowed`,
    );
  if (entry.source === 'commands') return commands(entry);
  const { envelopes, problems } = application.report(entry.source.outbox, entry);
  return { entry, envelopes, ...(problems.length > 0 && { problems }) };
}

function isLostEntry({ source, fields: [first] }: Entry): boolean {
  return source === 'commands' && first === 'lost';
}

function beginningOf(entry: Entry): Entry {
  return {
    ...entry,
    fields: entry.fields.slice(0, 16).map((field) => field.slice(0, limits.reasonLengthMax)),
  };
}

function commands(entry: Entry): Intake {
  const fields = fieldsOf(entry);
  const base: Intake = { entry, envelopes: [] };
  const recipient = fields.get('reply');
  if (recipient !== undefined && /^[0-9A-Za-z_-]{1,64}$/.test(recipient))
    base.reply = { recipient, request: (fields.get('request') ?? '').slice(0, 64) };
  const [kind, text] = single(fields);
  if (kind === undefined) {
    const found = [...fields.keys()].slice(0, 10).join(', ') || 'none';
    return {
      ...base,
      ...problem(entry, 'no-command', `needs one of ${kinds.join(', ')}; has ${found}`),
    };
  }
  const parsed = parseJson(text);
  if (!parsed.ok) return { ...base, ...problem(entry, 'not-json', `${kind}: ${parsed.error}`) };
  switch (kind) {
    case 'command': {
      const command = checkCommand(parsed.value);
      return 'detail' in command
        ? { ...base, ...problem(entry, 'bad-command', command.detail) }
        : { ...base, envelopes: [command.envelope] };
    }
    case 'batch': {
      if (!Array.isArray(parsed.value) || parsed.value.length === 0 || parsed.value.length > limits.batchEnvelopesMax)
        return {
          ...base,
          ...problem(entry, 'bad-batch', `batch is an array of 1 to ${limits.batchEnvelopesMax} commands`),
        };
      const envelopes: Envelope[] = [];
      for (const [index, item] of parsed.value.entries()) {
        const command = checkCommand(item);
        if ('detail' in command)
          return { ...base, ...problem(entry, 'bad-command', `item ${index}: ${command.detail}`) };
        envelopes.push(command.envelope);
      }
      return { ...base, envelopes };
    }
    case 'derived':
      return Array.isArray(parsed.value) && parsed.value.every(isEnvelope)
        ? { ...base, envelopes: parsed.value }
        : { ...base, ...problem(entry, 'bad-envelope', 'derived is an array of envelopes') };
    case 'relayed': {
      const source = fields.get('source') ?? '';
      const number = fields.get('number') ?? '';
      if (!wholePattern.test(source) || Number(source) >= limits.shardsMax || !/^[1-9]\d{0,14}$/.test(number))
        return { ...base, ...problem(entry, 'bad-relay', 'relayed needs source (a shard) and number (from 1)') };
      const relayed = { source: Number(source), number: Number(number) };
      return isEnvelope(parsed.value)
        ? { ...base, envelopes: [{ ...parsed.value, origin: 'relay' }], relayed }
        : { ...base, ...problem(entry, 'bad-envelope', 'relayed is an envelope'), relayed };
    }
    case 'lost': {
      const source = fields.get('source') ?? '';
      const number = fields.get('number') ?? '';
      if (!isLost(parsed.value)) return { ...base, ...problem(entry, 'bad-lost', 'lost is an actor of a branch') };
      // Taken up again by hand, it has been counted already.
      if (source === '' && number === '') return { ...base, ...lossIntake(parsed.value) };
      if (!/^-[12]$/.test(source) || !/^[1-9]\d{0,14}$/.test(number))
        return { ...base, ...problem(entry, 'bad-lost', 'lost needs source (-1 or -2) and number (from 1)') };
      return { ...base, ...lossIntake(parsed.value), relayed: { source: Number(source), number: Number(number) } };
    }
    case 'question':
      return isObject(parsed.value)
        ? { ...base, question: parsed.value as JsonObject }
        : { ...base, ...problem(entry, 'bad-question', 'question is an object') };
    case 'redrive': {
      const ids = parsed.value;
      if (
        !Array.isArray(ids) ||
        ids.length > limits.batchEnvelopesMax ||
        !ids.every((id) => typeof id === 'string' && isPosition(id))
      )
        return { ...base, ...problem(entry, 'bad-redrive', 'redrive is an array of entry ids') };
      return { ...base, redrive: ids as Position[] };
    }
  }
}

function lossIntake(lost: Lost): Pick<Intake, 'lost' | 'envelopes'> {
  return { lost, envelopes: [{ ...envelopeOf(lost.records[0]!.record), to: lost.actor }] };
}

const wholePattern = /^\d{1,4}$/;

const origins: ReadonlySet<unknown> = new Set<Origin>([
  'command',
  'report',
  'relay',
  'timer',
  'actor',
  'dispatch',
  'merge',
]);

/** What the runtime wrote itself; looked at all the same, because whoever reaches the stream could write it (R10). */
function isEnvelope(value: unknown): value is Envelope {
  if (!isObject(value)) return false;
  const { id, to, origin, input, event, by } = value;
  if (typeof id !== 'string' || typeof to !== 'string' || !origins.has(origin) || !parseAddress(to)) return false;
  if (by !== undefined && typeof by !== 'string') return false;
  if (input !== undefined) return isObject(input) && event === undefined;
  return isObject(event) && typeof event['type'] === 'string';
}

const kinds = ['command', 'batch', 'derived', 'relayed', 'lost', 'redrive', 'question'] as const;

function single(fields: Map<string, string>): [(typeof kinds)[number], string] | [undefined, ''] {
  for (const kind of kinds) {
    const text = fields.get(kind);
    if (text !== undefined) return [kind, text];
  }
  return [undefined, ''];
}

/** What the API took in stands inside of the command, so the command may be that much larger. */
const commandBounds = {
  depthMax: limits.jsonDepthMax + limits.envelopeDepthMax,
  keysMax: limits.jsonKeysMax + limits.envelopeKeysMax,
};

function checkCommand(value: unknown): { envelope: Envelope } | { detail: string } {
  const unsafe = storageProblem(value, commandBounds);
  if (unsafe) return { detail: unsafe };
  const parsed = commandSchema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return { detail: `${issue?.path.map(String).join('.') || 'command'}: ${issue?.message ?? 'is not valid'}` };
  }
  return { envelope: { ...(parsed.data as Envelope), origin: 'command' } };
}

/** The entry as it stood when it was set aside, to be decided once more. */
export function restoreSetAside(setAside: SetAside, id: Position): Entry {
  const source = setAside.source.startsWith('outbox:')
    ? { outbox: setAside.source.slice('outbox:'.length) }
    : ('commands' as const);
  return { source, id, fields: JSON.parse(setAside.fields) as string[] };
}

/**
 * An entry that made its batch fail, in the form in which it makes none fail again: several envelopes are put off one by
 * one, to find the one; a single one is set aside, such that a redrive takes it up whatever the relay has counted (R10).
 */
export function asPoison(taken: Intake, detail: string): Intake {
  const { entry, envelopes } = taken;
  const { redrive: _, ...rest } = taken;
  if (envelopes.length > 1 && !taken.problem) return { ...rest, apart: true };
  if (taken.lost) {
    const { lost, ...others } = rest;
    return { ...others, ...problem({ ...entry, fields: ['lost', JSON.stringify(lost)] }, 'not-storable', detail) };
  }
  const kept = taken.relayed ? { ...entry, fields: ['derived', JSON.stringify(envelopes)] } : entry;
  return { ...rest, ...problem(kept, 'not-storable', detail) };
}

function problem(entry: Entry, reason: string, detail: string): Intake {
  return { entry, envelopes: [], problem: { reason, detail: detail.slice(0, limits.reasonLengthMax) } };
}
