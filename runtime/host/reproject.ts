/**
 * PostgreSQL was lost and Redis was not: lists are written from the actors, what stands in the journals is projected, and a
 * checkpoint of each shard lets Redis be rebuilt from here on. What had left the journals is lost: the history of before, and
 * rows of actors that Redis no longer has.
 */
import type { JournalArchive, JournalReader, ListStore, Log, ProjectionStore, SiteStore, System } from '../ports.ts';
import { comparePositions, type Position } from '../protocol/journal.ts';
import { Projector } from './projector.ts';

export interface ReprojectSettings {
  store: SiteStore;
  archive: JournalArchive;
  projection: ProjectionStore & ListStore;
  journals: JournalReader;
  system: System;
  log: Log;
}

/** Nothing was written. */
export class ReprojectRefused extends Error {}

/** @throws ReprojectRefused while somebody holds a shard */
export async function reproject(
  settings: ReprojectSettings,
  shards: number,
): Promise<{ shard: number; position: Position; actors: number }[]> {
  const { store, archive, projection } = settings;
  const [holder] = await store.held(shards);
  if (holder)
    throw new ReprojectRefused(`shard ${holder.shard} is held by ${holder.owner}: stop the orchestrator first`);
  const done: { shard: number; position: Position; actors: number }[] = [];
  for (const [shard, end] of (await store.journalEnds(shards)).entries()) {
    await projectUpTo(settings, shard, end);
    const image = await store.read(shard);
    if (!image) continue;
    await projection.restore(image);
    await archive.keep(image);
    done.push({ shard, position: image.position, actors: image.snapshots.size });
  }
  return done;
}

/** Projects what a journal has up to a position. Somebody else may do so too: who comes second writes nothing. */
export async function projectUpTo(
  {
    journals,
    projection: store,
    system,
    log,
  }: Pick<ReprojectSettings, 'journals' | 'system' | 'log'> & { projection: ProjectionStore },
  shard: number,
  end: Position,
): Promise<void> {
  const projector = new Projector({ shard, journals, store, system, log });
  for (;;) {
    const before = await store.watermark(shard);
    if (comparePositions(before, end) >= 0) return;
    await projector.runOnce();
    // The journal can be shorter than its end: what was projected into another database has left it.
    if ((await store.watermark(shard)) === before) return;
  }
}
