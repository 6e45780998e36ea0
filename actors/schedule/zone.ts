/** Names of time zones, and the nearest one to a name that is none. */
import { nearest } from '../../config/nearest.ts';

/** What is wrong with it, and what was probably meant; undefined when nothing is. */
export function zoneProblem(name: string): string | undefined {
  // Newer engines take offsets too; a zone is more: it knows when clocks change.
  const known = /^[A-Za-z]/.test(name) && isKnown(name);
  if (known) return undefined;
  const names = ['UTC', ...Intl.supportedValuesOf('timeZone')];
  const lower = name.toLowerCase();
  const city = names.find((zone) => zone.toLowerCase().endsWith(`/${lower.replaceAll(' ', '_')}`));
  const best = city ?? nearest(name, names);
  return `"${name.slice(0, 40)}" is no IANA time zone; ${best === undefined ? 'one is Europe/Berlin' : `did you mean ${best}?`}`;
}

function isKnown(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    // The only way to ask whether the engine knows a zone, with links such as Asia/Calcutta.
    return false;
  }
}
