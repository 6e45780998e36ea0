/**
 * The journal as the sites exchange it: every entry is a link that names the one before it by hash, so two sites that
 * hold the same hash hold the same history. Sequences are dense along a branch and go on across a fork; an epoch has one
 * writer. A receiver takes the next link and nothing else: what does not fit is refused by name, and nothing is applied.
 */
import { createHash } from 'node:crypto';
import type { SiteEpoch } from './siteepoch.ts';

/** A place in the history of one shard. */
export interface Cursor {
  /** Made when the store of a deployment is first written, and anew when it is restored from a backup. */
  readonly incarnation: string;
  readonly epoch: SiteEpoch;
  /** Number of the link along its branch, from 1; 0 is before the first. */
  readonly sequence: number;
  readonly hash: string;
}

export interface Link extends Cursor {
  /** Hash of the link before; it may have a lower epoch. */
  readonly previous: string;
  /** The journal entry as JSON. */
  readonly text: string;
}

/** Version of what the sites say to one another. */
export const mirrorVersion = 1;

export function origin(incarnation: string): Cursor {
  return { incarnation, epoch: 0, sequence: 0, hash: '' };
}

/** The link that stores `text` after `head`. */
export function linkAfter(head: Cursor, epoch: SiteEpoch, text: string): Link {
  const sequence = head.sequence + 1;
  return { incarnation: head.incarnation, epoch, sequence, previous: head.hash, text, hash: hashOf(head, epoch, text) };
}

export function cursorOf({ incarnation, epoch, sequence, hash }: Cursor): Cursor {
  return { incarnation, epoch, sequence, hash };
}

function hashOf(head: Pick<Cursor, 'incarnation' | 'sequence' | 'hash'>, epoch: SiteEpoch, text: string): string {
  const place = `${head.incarnation} ${epoch} ${head.sequence + 1} ${head.hash} `;
  return createHash('sha256').update(place).update(text).digest('base64url').slice(0, 22);
}

/** The link as the field `link` of a journal entry, whose text stands in the field `entry`. */
export function linkField({ epoch, sequence, hash, previous }: Link): string {
  return `${epoch} ${sequence} ${hash} ${previous}`;
}

/** Undefined for what is no such field. */
export function linkOf(incarnation: string, field: string | undefined, text: string): Link | undefined {
  const [epoch, sequence, hash, previous = ''] = (field ?? '').split(' ');
  if (!hash || !Number.isInteger(Number(epoch)) || !Number.isInteger(Number(sequence))) return undefined;
  return { incarnation, epoch: Number(epoch), sequence: Number(sequence), hash, previous, text };
}

/** A place in a history as text, without its incarnation. */
export function headField({ epoch, sequence, hash }: Cursor): string {
  return `${epoch} ${sequence} ${hash}`;
}

export function headOf(incarnation: string, field: string | null | undefined): Cursor {
  const [epoch, sequence, hash] = (field ?? '').split(' ');
  return hash ? { incarnation, epoch: Number(epoch), sequence: Number(sequence), hash } : origin(incarnation);
}

export interface Greeting {
  /** Name of the deployment: both sites of a pair have the same. */
  readonly deployment: string;
  readonly version: number;
  readonly shards: number;
  readonly incarnation: string;
}

export type Refusal = { readonly refused: RefusalReason; readonly detail: string; readonly remedy: string };
export type RefusalReason =
  | 'other-deployment'
  | 'newer-version'
  | 'other-shards'
  | 'other-incarnation'
  | 'old-epoch'
  | 'hole'
  | 'altered'
  | 'diverged'
  | 'untrusted'
  | 'not-allowed';

/** Whether a peer may be listened to at all; undefined when it may. */
export function checkGreeting(mine: Greeting, peer: Greeting): Refusal | undefined {
  if (peer.deployment !== mine.deployment)
    return {
      refused: 'other-deployment',
      detail: `the peer belongs to "${peer.deployment}", this site to "${mine.deployment}"`,
      remedy: 'correct the address of the peer, or give both sites the same deployment name before they first start',
    };
  if (peer.version > mine.version)
    return {
      refused: 'newer-version',
      detail: `the peer speaks version ${peer.version}, this site up to ${mine.version}`,
      remedy: 'upgrade this site; the standby is upgraded first',
    };
  if (peer.shards !== mine.shards)
    return {
      refused: 'other-shards',
      detail: `the peer has ${peer.shards} shards, this site ${mine.shards}`,
      remedy: 'a pair has one number of shards; start the standby empty with the number of the active site',
    };
  if (peer.incarnation !== mine.incarnation) return otherIncarnation(mine.incarnation, peer.incarnation);
  return undefined;
}

/** Why there is no link to a peer, where it will not come by waiting; undefined where it may. */
export function barrierOf(detail: string): Refusal | undefined {
  if (/certificate|altname|\bssl\b|\btls\b/i.test(detail))
    return {
      refused: 'untrusted',
      detail,
      remedy: 'give [peer] the authority that signed the certificate of the other site, and the host name in it',
    };
  if (/NOAUTH|WRONGPASS|NOPERM/.test(detail))
    return {
      refused: 'not-allowed',
      detail,
      remedy: 'check user and password in [peer] redis, and what that user may do (README of runtime)',
    };
  return undefined;
}

export type Reception =
  | { readonly taken: 'next' }
  /** It came before: delivery is at least once. */
  | { readonly taken: 'repeat' }
  | Refusal;

/**
 * What a receiver that stands at `at` does with a link of one origin's log. Links of an origin come in order.
 * @param holds whether the receiver has a link, of whatever origin
 */
export function receive(at: Cursor, link: Link, holds: (hash: string) => boolean): Reception {
  if (link.incarnation !== at.incarnation) return otherIncarnation(at.incarnation, link.incarnation);
  const head = { incarnation: link.incarnation, sequence: link.sequence - 1, hash: link.previous };
  if (hashOf(head, link.epoch, link.text) !== link.hash)
    return {
      refused: 'altered',
      detail: `link ${placeText(link)} does not have the hash that it names`,
      remedy: 'look for a damaged disk or a foreign writer at the site it came from, then copy this shard anew',
    };
  if (link.hash === at.hash) return { taken: 'repeat' };
  if (link.epoch < at.epoch || (link.epoch === at.epoch && link.sequence <= at.sequence))
    return {
      refused: 'old-epoch',
      detail: `link ${placeText(link)} came after ${placeText(at)}`,
      remedy: 'nothing to do when it was sent again; otherwise find the last common link of both sites',
    };
  // The first link of an epoch names a fork, which may lie before the end of what this origin said earlier.
  if (link.epoch > at.epoch)
    return link.previous === '' || holds(link.previous)
      ? { taken: 'next' }
      : hole(`link ${placeText(link)} forks from ${link.previous}, which is not here`);
  if (link.sequence !== at.sequence + 1)
    return hole(`link ${placeText(link)} came where ${at.epoch}.${at.sequence + 1} was expected`);
  if (link.previous !== at.hash)
    return {
      refused: 'diverged',
      detail: `link ${placeText(link)} continues ${link.previous || 'the beginning'}, this site holds ${at.hash}`,
      remedy: 'find the last common link; two processes wrote under one epoch if there is a later one',
    };
  return { taken: 'next' };
}

function hole(detail: string): Refusal {
  return {
    refused: 'hole',
    detail,
    remedy: 'read again from the cursor; a journal that lost entries needs a full copy',
  };
}

function otherIncarnation(mine: string, theirs: string): Refusal {
  return {
    refused: 'other-incarnation',
    detail: `the peer's store is incarnation ${theirs}, this site follows ${mine}`,
    remedy: 'the peer was restored from a backup or born anew: make it a standby by a full copy of the active site',
  };
}

function placeText({ epoch, sequence }: Pick<Cursor, 'epoch' | 'sequence'>): string {
  return `${epoch}.${sequence}`;
}
