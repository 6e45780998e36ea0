/**
 * Attempt tokens let their holder report about an attempt. Who may read history may not do that, so history and views show
 * a digest: equal tokens stay equal, and a replay decides as the machine did.
 */
import { hash32 } from './ids.ts';

const members = new Set(['token']);

/** The value with every member that authorises replaced by its digest; the same object where there is none. */
export function redacted<T>(value: T): T {
  return redact(value) as T;
}

function redact(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    const parts = value.map(redact);
    return parts.some((part, index) => part !== value[index]) ? parts : value;
  }
  let copy: Record<string, unknown> | undefined;
  for (const [name, member] of Object.entries(value)) {
    const shown = members.has(name) && typeof member === 'string' ? digestOf(member) : redact(member);
    if (shown !== member) (copy ??= { ...value })[name] = shown;
  }
  return copy ?? value;
}

/** A digest stays what it is, so that a history that was redacted before can be redacted again. */
export function digestOf(token: string): string {
  return /^~[0-9a-f]{8}$/.test(token) ? token : `~${hash32(token).toString(16).padStart(8, '0')}`;
}
