/** The roles that a site of a pair can have, as REST and metrics show them. */
export const siteRoles = ['standby', 'promoting', 'active', 'draining', 'fenced'] as const;
export type SiteRole = (typeof siteRoles)[number];

/** `promoting.catching` is `promoting`. */
export function siteRole(state: string): SiteRole | undefined {
  const [top = ''] = state.split('.');
  return siteRoles.find((role) => role === top);
}
