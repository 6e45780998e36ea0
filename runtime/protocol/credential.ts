/**
 * What lets an agent in: names and passwords that follow from a secret of the site, the agent and its registration, so that
 * none is stored anywhere, a new registration has new ones, and every process of the site comes to the same.
 */
import { createHash, createHmac } from 'node:crypto';

/** What a credential is for: one never opens another door. */
export type Door = 'redis' | 'http';

/** @param grant names one registration of the mailbox */
export function passwordFor(secret: string, door: Door, mailbox: string, grant: string): string {
  return createHmac('sha256', secret).update(`${door}\n${mailbox}\n${grant}`).digest('base64url');
}

/** Redis stores and compares this form. */
export function hashOf(password: string): string {
  return createHash('sha256').update(password).digest('hex');
}

/** Name of a mailbox's user; several sites may share a Redis, and their prefixes have no dots. */
export function userOf(prefix: string, mailbox: string): string {
  return `${prefix.replaceAll(':', '.')}${mailbox}`;
}

/** The address of Redis with somebody else's name and password. */
export function addressFor(url: string, user: string, password: string): string {
  const address = new URL(url);
  address.username = user;
  address.password = password;
  return address.toString();
}
