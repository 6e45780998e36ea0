/** Makes one commit true in a `MemoryWorld`, in the order of the Redis adapter. */
import { limits } from '../../config/limits.ts';
import type { Commit } from '../ports.ts';
import { cursorOf, linkField } from '../protocol/chain.ts';
import type { Position } from '../protocol/journal.ts';
import { agentGroup, runtimeGroup } from '../protocol/keys.ts';
import type { MemoryWorld } from './world.ts';

type Append = readonly [key: string, fields: readonly string[]];

/** Returns the position of the journal entry, if there is one. */
export function appendCommit(world: MemoryWorld, shard: number, commit: Commit): Position | undefined {
  // What could throw comes first, so that nothing is written by a commit that cannot be written whole (R1).
  const appends = streamEntries(world, shard, commit);
  const replies = replyEntries(world, shard, commit);
  const keys = world.space.shard(shard);
  const record = world.shard(shard);

  if (commit.mirror?.anew) {
    const { mailboxes, head, begins } = commit.mirror.anew;
    for (const part of [record.snapshots, record.relayed, record.sent, record.mailboxes, record.standing.deferred])
      part.clear();
    world.remove(keys.outbound);
    for (const mailbox of mailboxes) {
      world.remove(world.space.inbox(shard, mailbox));
      world.remove(world.space.outbox(shard, mailbox));
    }
    record.standing.incarnation = head.incarnation;
    record.standing.head = head;
    record.standing.begins = begins;
  }
  for (const mailbox of commit.mailboxesOpened) {
    record.mailboxes.add(mailbox);
    world.stream(world.space.inbox(shard, mailbox)).createGroup(agentGroup);
    world.stream(world.space.outbox(shard, mailbox)).createGroup(runtimeGroup);
  }
  for (const [address, text] of commit.snapshots) {
    if (text === null) record.snapshots.delete(address);
    else record.snapshots.set(address, text);
  }
  for (const [target, number] of commit.sent) record.sent.set(target, number);
  for (const [source, taken] of commit.relayed) record.relayed.set(source, taken);
  world.find(keys.setAside)?.delete(commit.redriven);
  const inboxes = new Set([...commit.posts.keys()].map((mailbox) => world.space.inbox(shard, mailbox)));
  // A message for a mailbox that was closed is for nobody.
  for (const [key, fields] of appends) if (!inboxes.has(key) || world.find(key)) world.append(key, fields);
  let journal: Position | undefined;
  if (commit.journal !== undefined) {
    const link = commit.link ? ['link', linkField(commit.link)] : [];
    journal = world.append(keys.journal, ['entry', commit.journal, ...link]);
    if (commit.link) record.standing.head = cursorOf(commit.link);
    if (commit.begins) record.standing.begins = commit.begins;
  }
  if (commit.mirror) {
    const {
      cursor,
      putOff = new Map<string, string>(),
      decided = [],
      delivered = [],
      copying,
      losses = [],
    } = commit.mirror;
    for (const { source, number, envelope } of delivered)
      world.append(keys.commands, [...['relayed', envelope, 'source', String(source), 'number', String(number)]]);
    const { standing } = record;
    if (cursor !== undefined) standing.cursor = cursor;
    if (copying !== undefined) standing.copying = copying;
    for (const [name, envelope] of putOff) standing.deferred.set(name, envelope);
    for (const name of decided) standing.deferred.delete(name);
    for (const { number, text } of losses) world.append(keys.lost, ['number', String(number), 'lost', text]);
  }
  for (const [key, fields] of replies) {
    world.append(key, fields);
    const stream = world.stream(key);
    stream.trimTo(limits.repliesKeepEntries);
    stream.expiresMs = world.system.now() + limits.repliesExpireMs;
  }
  for (const [source, ids] of commit.acks) {
    const stream = world.find(source === 'commands' ? keys.commands : world.space.outbox(shard, source.outbox));
    stream?.acknowledge(runtimeGroup, ids);
    stream?.delete(ids);
  }
  for (const mailbox of commit.mailboxesClosed) {
    world.remove(world.space.inbox(shard, mailbox));
    world.remove(world.space.outbox(shard, mailbox));
    record.mailboxes.delete(mailbox);
  }
  return journal;
}

function streamEntries(world: MemoryWorld, shard: number, commit: Commit): Append[] {
  const keys = world.space.shard(shard);
  const appends: Append[] = [];
  for (const [mailbox, texts] of commit.bundles)
    for (const text of texts)
      appends.push([world.space.inbox(shard, mailbox), ['epoch', commit.bundleEpoch, 'batch', text]]);
  for (const [mailbox, messages] of commit.posts)
    for (const message of messages)
      appends.push([world.space.inbox(shard, mailbox), Object.entries(message).flat().map(String)]);
  for (const { shard: target, number, envelope } of commit.outbound)
    appends.push([
      keys.outbound,
      ['shard', String(target), 'number', String(number), 'envelope', JSON.stringify(envelope)],
    ]);
  for (let from = 0; from < commit.deferred.length; from += limits.batchEnvelopesMax) {
    const part = commit.deferred.slice(from, from + limits.batchEnvelopesMax);
    appends.push([keys.commands, ['derived', JSON.stringify(part)]]);
  }
  for (const envelope of commit.deferredApart) appends.push([keys.commands, ['derived', JSON.stringify([envelope])]]);
  for (const { source, entry, reason, detail, fields } of commit.setAside)
    appends.push([
      keys.setAside,
      ['source', source, 'entry', entry, 'reason', reason, 'detail', detail, 'fields', fields],
    ]);
  return appends;
}

function replyEntries(world: MemoryWorld, shard: number, commit: Commit): Append[] {
  return commit.replies.map(({ recipient, request, outcomes }) => [
    world.space.replies(shard, recipient),
    ['request', request, 'outcomes', JSON.stringify(outcomes)],
  ]);
}
