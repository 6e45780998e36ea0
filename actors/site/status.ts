/** The roles that a site of a pair can have, as REST and metrics show them. */
import type { SiteEpoch, SiteNumber } from '../../runtime/protocol/siteepoch.ts';

export const siteRoles = ['standby', 'promoting', 'active', 'draining', 'fenced'] as const;
export type SiteRole = (typeof siteRoles)[number];

/** `promoting.catching` is `promoting`. */
export function siteRole(state: string): SiteRole | undefined {
  const [top = ''] = state.split('.');
  return siteRoles.find((role) => role === top);
}

export interface SiteContext {
  number: SiteNumber;
  mode: 'manual' | 'witness';
  /** The epoch under which it decides, or decided last; 0 when it never did. */
  epoch: SiteEpoch;
  /** The highest epoch that it ever heard of. */
  highest: SiteEpoch;
  /** Why it has its role. */
  reason: string;
  since: number;
}
