/**
 * Finds out at the start what Redis and PostgreSQL hold: a new site, a whole one, or one that lost one of the two. A site
 * whose Redis is empty is rebuilt; a pair that does not belong together is refused.
 */
import type { Registry } from '../core/definition.ts';
import { limits } from '../../config/limits.ts';
import type { SiteIdentity, SiteRegister } from '../ports.ts';
import { comparePositions } from '../protocol/journal.ts';
import { rebuild } from './rebuild.ts';
import { reproject, type ReprojectSettings } from './reproject.ts';

export interface EstablishSettings extends ReprojectSettings {
  register: SiteRegister;
  registry: Registry;
  /** Number of shards that this process is set to run with. */
  shards: number;
  /** Incarnation of a site that is new; default: one of its own. The second site of a pair has that of the first. */
  birth?: () => Promise<string>;
}

/** @throws Error when the two do not belong together, or when the site was born with another number of shards */
export function establish(settings: EstablishSettings): Promise<SiteIdentity> {
  return settings.register.alone(async () => {
    const { store, register, shards } = settings;
    const [inStore, inRegister] = await Promise.all([store.site(), register.site()]);
    const known = inStore ?? inRegister ?? (await store.claimSite({ incarnation: await birthOf(settings), shards }));
    if (known.shards !== shards)
      throw new Error(
        `this site was born with ${known.shards} shards and cannot run with ${shards}: set [orchestrator] shards = ${known.shards}`,
      );
    if (!inRegister) {
      if (inStore) await bringListsBack(settings);
      return register.claimSite(known);
    }
    if (!inStore) await bringBack(settings, inRegister);
    else if (inStore.incarnation !== inRegister.incarnation)
      throw new Error(
        `Redis holds the site ${inStore.incarnation}, PostgreSQL the site ${inRegister.incarnation}: they do not belong together; check [redis] and [postgres] url`,
      );
    else await refuseOlder(settings);
    return known;
  });
}

function birthOf({ birth, system }: EstablishSettings): Promise<string> {
  return birth ? birth() : Promise.resolve(system.ulid());
}

async function bringBack({ store, archive, registry, log }: EstablishSettings, identity: SiteIdentity): Promise<void> {
  log.warn({ site: identity.incarnation }, 'Redis has lost this site; rebuilding it from PostgreSQL');
  const { shards } = await rebuild({ store, archive, registry, identity });
  for (const { shard, position, at, records, actors } of shards)
    if (records > 0)
      log.warn(
        { shard, position, until: new Date(at).toISOString(), records, actors },
        'shard rebuilt; what it decided after that, and what it had not decided, is lost',
      );
}

/** Owners that died without a word have their leases for a while yet. */
async function bringListsBack(settings: EstablishSettings): Promise<void> {
  const { store, system, log, shards } = settings;
  const deadline = system.monotonicMs() + 2 * limits.leaseTtlMs;
  while ((await store.held(shards)).length > 0) {
    if (system.monotonicMs() > deadline) {
      log.warn({}, 'PostgreSQL is empty and others work; stop all, then: orchestrator rebuild --postgres');
      return;
    }
    await system.sleep(limits.balanceEveryMs);
  }
  for (const fields of await reproject(settings, shards))
    log.warn(fields, 'PostgreSQL was lost: lists written from Redis; the history of before is lost');
}

/** A Redis that was started on an older copy of its data would decide again what was decided, and differently. */
async function refuseOlder({ store, projection, shards }: EstablishSettings): Promise<void> {
  for (const [shard, end] of (await store.journalEnds(shards)).entries()) {
    const stored = await projection.watermark(shard);
    if (comparePositions(end, stored) < 0)
      throw new Error(
        `shard ${shard}: Redis ends at ${end}, PostgreSQL has it up to ${stored}: Redis was restored from an older copy; "orchestrator rebuild --force" takes what PostgreSQL has`,
      );
  }
}
