/**
 * Rebuilds what Redis held from the archive of journals. What is lost is what the archive did not have yet, and what was
 * still to be decided: the report says up to when each shard is whole.
 */
import type { Registry } from '../core/definition.ts';
import { Reconstruction, reconcile } from '../core/reconstruction.ts';
import type { JournalArchive, ShardImage, SiteIdentity, SiteStore } from '../ports.ts';
import type { Position } from '../protocol/journal.ts';
import { projectorReader } from './projector.ts';

export interface RebuildReport {
  /** `at`: when the last entry was decided, in milliseconds since 1970; 0 where there is none. */
  shards: { shard: number; position: Position; at: number; records: number; actors: number }[];
  /** Where the replay did not give what the journal says. */
  drift: string[];
}

/** Nothing was written. */
export class RebuildRefused extends Error {}

export interface RebuildSettings {
  store: SiteStore;
  archive: JournalArchive;
  registry: Registry;
  identity: SiteIdentity;
  /** Point in time, milliseconds since 1970; default: everything that is archived. */
  untilMs?: number | undefined;
  /** Clears what Redis holds of the site, and takes a replay with drift. */
  force?: boolean;
}

/** @throws RebuildRefused when shards are held or hold something, or when the replay drifts */
export async function rebuild(settings: RebuildSettings): Promise<RebuildReport> {
  const { store, archive, registry, identity, untilMs, force = false } = settings;
  const [holder] = await store.held(identity.shards);
  if (holder) throw new RebuildRefused(`shard ${holder.shard} is held by ${holder.owner}: stop the orchestrator first`);
  const occupied = await store.occupied(identity.shards);
  if (occupied.length > 0 && !force)
    throw new RebuildRefused(
      `Redis holds ${occupied.length} shards of this site; --force removes them and everything that was not archived`,
    );
  const { images, report } = await reconstruct(archive, registry, identity.shards, untilMs);
  if (report.drift.length > 0 && !force)
    throw new RebuildRefused(
      `the replay differs from the journal in ${report.drift.length} places, the first: ${report.drift[0]}; was it written by another version?`,
    );
  if (occupied.length > 0) await store.clear();
  for (const image of images) await store.write(image, identity.incarnation, projectorReader);
  await store.finish(identity);
  return report;
}

async function reconstruct(
  archive: JournalArchive,
  registry: Registry,
  shards: number,
  untilMs: number | undefined,
): Promise<{ images: ShardImage[]; report: RebuildReport }> {
  const images: ShardImage[] = [];
  const report: RebuildReport = { shards: [], drift: [] };
  for (let shard = 0; shard < shards; shard++) {
    const reconstruction = await reconstructed(archive, registry, shard, untilMs);
    const image = reconstruction.image();
    images.push(image);
    report.drift.push(...reconstruction.drift);
    const { position, at, snapshots } = image;
    report.shards.push({ shard, position, at, records: reconstruction.records, actors: snapshots.size });
  }
  return { images: reconcile(images), report };
}

/** One shard as the archive has it. @throws RebuildRefused when the archive begins after that time */
export async function reconstructed(
  archive: JournalArchive,
  registry: Registry,
  shard: number,
  untilMs?: number,
): Promise<Reconstruction> {
  const checkpoint = await archive.checkpoint(shard, untilMs);
  if (checkpoint && 'begins' in checkpoint)
    throw new RebuildRefused(
      `the archive of shard ${shard} begins at ${new Date(checkpoint.begins).toISOString()}: what was before it is not there`,
    );
  const reconstruction = new Reconstruction(shard, registry, checkpoint);
  for await (const { position, entry } of archive.entries(shard, untilMs, checkpoint))
    reconstruction.take(position, entry);
  return reconstruction;
}
