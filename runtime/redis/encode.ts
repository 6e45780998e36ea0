/** A commit as the arguments of the commit function: keys it touches, and operations on them. */
import { limits } from '../../config/limits.ts';
import type { MirrorChange } from '../core/decision.ts';
import type { Commit, Passage } from '../ports.ts';
import { headField, linkField } from '../protocol/chain.ts';
import { agentGroup, runtimeGroup, type Keyspace } from '../protocol/keys.ts';

/** Arguments of one operation: Lua's unpack has a stack limit, so long lists are cut. Even, for field-value pairs. */
const argumentsMax = 4_000;

/**
 * Operations travel as one JSON text: a thousand small arguments cost both sides more than reading them out of a text does.
 * Long texts follow as arguments of their own, because Lua hashes every byte of every string it makes, and so would twice.
 */
class CommitEncoder {
  readonly keys: string[];
  readonly #operations: (string | number)[] = [];
  readonly #texts: string[] = [];
  readonly #places = new Map<string, number>();

  constructor(leaseKey: string) {
    this.keys = [leaseKey];
    this.#places.set(leaseKey, 1);
  }

  place(key: string): number {
    let place = this.#places.get(key);
    if (place === undefined) {
      this.keys.push(key);
      place = this.keys.length;
      this.#places.set(key, place);
    }
    return place;
  }

  add(operation: string, key: string, list: readonly (string | number)[]): void {
    const place = this.place(key);
    for (let from = 0; from < list.length || from === 0; from += argumentsMax) {
      const part = list.length <= argumentsMax ? list : list.slice(from, from + argumentsMax);
      this.#operations.push(operation, place, part.length);
      for (const item of part) this.#operations.push(item);
    }
  }

  /** @returns what stands for the text among the arguments; the function takes the texts in this order */
  text(text: string): number {
    this.#texts.push(text);
    return 0;
  }

  arguments(): string[] {
    return [wellFormed(this.#operations), ...this.#texts];
  }
}

/** JSON whose every escape a strict reader takes: half of a surrogate pair, as cutting a text leaves it, is none. */
function wellFormed(operations: readonly (string | number)[]): string {
  const json = JSON.stringify(operations);
  if (!json.includes('\\ud')) return json;
  return JSON.stringify(operations.map((item) => (typeof item === 'string' ? Buffer.from(item).toString() : item)));
}

export function encodeCommit(
  space: Keyspace,
  shard: number,
  epoch: number,
  sequence: number,
  commit: Commit,
  passage: Passage,
): { keys: string[]; args: (string | number)[] } {
  const keys = space.shard(shard);
  const encoder = new CommitEncoder(keys.lease);

  if (commit.mirror?.anew) encodeAnew(encoder, space, shard, commit.mirror.anew);
  // Mailboxes first: a message may follow into an inbox that this commit opens.
  for (const mailbox of commit.mailboxesOpened) {
    encoder.add('group', space.inbox(shard, mailbox), [agentGroup]);
    encoder.add('group', space.outbox(shard, mailbox), [runtimeGroup]);
  }
  if (commit.mailboxesOpened.length > 0) encoder.add('sadd', keys.mailboxes, commit.mailboxesOpened);

  const written: (string | number)[] = [];
  const removed: string[] = [];
  for (const [address, text] of commit.snapshots) {
    if (text === null) removed.push(address);
    else written.push(address, encoder.text(text));
  }
  if (written.length > 0) encoder.add('store', keys.snapshots, written);
  if (removed.length > 0) encoder.add('hdel', keys.snapshots, removed);

  for (const [mailbox, texts] of commit.bundles) {
    const inbox = space.inbox(shard, mailbox);
    for (const text of texts)
      encoder.add('append', inbox, ['epoch', encoder.text(commit.bundleEpoch), 'batch', encoder.text(text)]);
  }
  for (const [mailbox, messages] of commit.posts) {
    const inbox = space.inbox(shard, mailbox);
    for (const message of messages) {
      const fields: string[] = [];
      for (const field in message) fields.push(field, message[field]!);
      encoder.add('post', inbox, fields);
    }
  }
  for (const { shard: target, number, envelope } of commit.outbound)
    encoder.add('xadd', keys.outbound, ['shard', target, 'number', number, 'envelope', JSON.stringify(envelope)]);
  for (const [target, number] of commit.sent) encoder.add('hset', keys.sent, [target, number]);
  for (let from = 0; from < commit.deferred.length; from += limits.batchEnvelopesMax)
    encoder.add('xadd', keys.commands, [
      'derived',
      JSON.stringify(commit.deferred.slice(from, from + limits.batchEnvelopesMax)),
    ]);
  for (const envelope of commit.deferredApart)
    encoder.add('xadd', keys.commands, ['derived', JSON.stringify([envelope])]);
  for (const [source, taken] of commit.relayed) encoder.add('hset', keys.relayed, [source, taken]);
  for (const item of commit.setAside)
    encoder.add('xadd', keys.setAside, [
      'source',
      item.source,
      'entry',
      item.entry,
      'reason',
      item.reason,
      'detail',
      item.detail,
      'fields',
      item.fields,
    ]);
  if (commit.redriven.length > 0) encoder.add('xdel', keys.setAside, commit.redriven);

  let journal = 0;
  if (commit.journal !== undefined) {
    // Texts stand in the order in which they are named.
    const fields = ['entry', encoder.text(commit.journal)];
    if (commit.link) fields.push('link', encoder.text(linkField(commit.link)));
    encoder.add('append', keys.journal, fields);
    if (commit.link) encoder.add('hset', keys.lease, ['head', headField(commit.link)]);
    if (commit.begins) encoder.add('hset', keys.lease, ['begins', JSON.stringify(commit.begins)]);
    journal = encoder.place(keys.journal);
  }
  for (const { recipient, request, outcomes } of commit.replies)
    encoder.add('reply', space.replies(shard, recipient), [
      limits.repliesKeepEntries,
      limits.repliesExpireMs,
      'request',
      request,
      'outcomes',
      JSON.stringify(outcomes),
    ]);

  if (commit.mirror) encodeMirror(encoder, space, shard, commit.mirror);
  const closed = new Set(commit.mailboxesClosed);
  for (const [source, ids] of commit.acks) {
    const stream = source === 'commands' ? keys.commands : space.outbox(shard, source.outbox);
    if (source === 'commands' || !closed.has(source.outbox))
      encoder.add(passage === 'mirror' ? 'pass' : 'ack', stream, ids);
  }
  for (const mailbox of closed) {
    encoder.add('del', space.inbox(shard, mailbox), []);
    encoder.add('del', space.outbox(shard, mailbox), []);
    encoder.add('srem', keys.mailboxes, [mailbox]);
  }
  return { keys: encoder.keys, args: [epoch, sequence, journal, passage, ...encoder.arguments()] };
}

/** Goes first: what the commit brings stands after it. */
function encodeAnew(
  encoder: CommitEncoder,
  space: Keyspace,
  shard: number,
  { mailboxes, head, begins }: NonNullable<MirrorChange['anew']>,
): void {
  const keys = space.shard(shard);
  for (const key of [keys.snapshots, keys.mailboxes, keys.relayed, keys.sent, keys.outbound, keys.deferred])
    encoder.add('del', key, []);
  for (const mailbox of mailboxes) {
    encoder.add('del', space.inbox(shard, mailbox), []);
    encoder.add('del', space.outbox(shard, mailbox), []);
  }
  encoder.add('hset', keys.lease, [
    'history',
    head.incarnation,
    'head',
    headField(head),
    'begins',
    JSON.stringify(begins),
  ]);
}

function encodeMirror(encoder: CommitEncoder, space: Keyspace, shard: number, change: MirrorChange): void {
  const keys = space.shard(shard);
  const { cursor, putOff, decided = [], delivered = [], copying, losses = [] } = change;
  if (cursor !== undefined) encoder.add('hset', keys.lease, ['cursor', cursor]);
  if (copying === true) encoder.add('hset', keys.lease, ['copying', 1]);
  if (copying === false) encoder.add('hdel', keys.lease, ['copying']);
  if (putOff && putOff.size > 0) encoder.add('hset', keys.deferred, [...putOff].flat());
  if (decided.length > 0) encoder.add('hdel', keys.deferred, decided);
  for (const { source, number, envelope } of delivered)
    encoder.add('xadd', keys.commands, ['relayed', envelope, 'source', source, 'number', number]);
  for (const { number, text } of losses)
    encoder.add('append', keys.lost, ['number', encoder.text(String(number)), 'lost', encoder.text(text)]);
}
