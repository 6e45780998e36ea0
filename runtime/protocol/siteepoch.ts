/**
 * The site epoch: a term times ten plus the number of the site that took it. It rises with every promotion, is never the
 * same at two sites, and its owner can be read from it. Every fork of history begins with an epoch of its own.
 */
export type SiteEpoch = number;
export type SiteNumber = 1 | 2;

/** The epoch of a site that runs for the first time. */
export function firstEpoch(site: SiteNumber): SiteEpoch {
  return 10 + site;
}

/** The epoch that a promoted site takes. @param highest the highest epoch that it ever heard of */
export function nextEpoch(highest: SiteEpoch, site: SiteNumber): SiteEpoch {
  return (Math.floor(highest / 10) + 1) * 10 + site;
}

export function siteOfEpoch(epoch: SiteEpoch): SiteNumber | undefined {
  const site = epoch % 10;
  return site === 1 || site === 2 ? site : undefined;
}
