/** What a site of a pair says of itself in its own Redis: the other site, and every process of this one, go by it. */
import type { SiteRole } from '../../actors/site/status.ts';

export const noticeRoles = [
  /** Follows the other site; `paused` does so no more until it is told to. */
  'standby',
  'paused',
  /** Takes what is still missing; mirrors run. */
  'catching',
  /** Everything is here, mirrors stop, gates are about to open. */
  'preparing',
  /** Was active before a restart, and asks first. */
  'resuming',
  'active',
  'draining',
  /** Nothing is decided any more: the other site may take over. */
  'offered',
  'fenced',
] as const;
export type NoticeRole = (typeof noticeRoles)[number];

/** As people see it. */
export function roleOfNotice(notice: string): SiteRole | undefined {
  switch (notice as NoticeRole) {
    case 'standby':
    case 'paused':
      return 'standby';
    case 'catching':
    case 'preparing':
      return 'promoting';
    case 'resuming':
    case 'active':
      return 'active';
    case 'draining':
    case 'offered':
      return 'draining';
    case 'fenced':
      return 'fenced';
    default:
      return undefined;
  }
}
