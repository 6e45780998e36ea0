/** `backup` and `restore`. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectUpTo } from '../../runtime/host/reproject.ts';
import { rebuild, type RebuildReport } from '../../runtime/host/rebuild.ts';
import { checkBackup, readBackup, writeBackup, type Manifest } from '../../runtime/postgres/backup.ts';
import { migrate } from '../../runtime/postgres/migrate.ts';
import { cutHistory } from '../../runtime/postgres/retreat.ts';
import { projectRoot } from '../root.ts';
import type { Command } from './command.ts';
import { noted } from './noted.ts';
import { rebuildText, timeOf, untilOption } from './rebuild.ts';
import { archivedSite, withStores, type Stores } from './stores.ts';

export const backupCommands: readonly Command[] = [
  {
    words: 'backup',
    positionals: 'DIR',
    summary: 'writes everything that was decided so far into a new folder; the orchestrator may run',
    run: async ({ positionals: [folder = ''], settings, output }) => {
      const config = settings();
      const manifest = await noted(config, { action: 'backup', target: folder }, () =>
        withStores(config, (stores) => backup(stores, folder)),
      );
      output.show(manifest, () => output.line(manifestText(folder, manifest)));
      return 0;
    },
  },
  {
    words: 'restore',
    positionals: 'DIR',
    summary: 'fills an empty PostgreSQL from it, and Redis from that; the orchestrator must be stopped',
    options: {
      until: untilOption,
      force: { type: 'boolean', describe: 'replaces what PostgreSQL and Redis hold of a site' },
      check: { type: 'boolean', describe: 'compares the sums and changes nothing' },
    },
    run: async ({ positionals: [folder = ''], text, flag, settings, output }) => {
      const untilMs = timeOf(text('until'));
      const manifest = await checkBackup(folder);
      if (flag('check')) {
        output.show(manifest, () => output.line(manifestText(folder, manifest)));
        return 0;
      }
      if (!output.json) output.line(manifestText(folder, manifest));
      const config = settings();
      const force = flag('force');
      const deed = { action: 'restore', target: folder, detail: { until: text('until'), force } };
      const report = await noted(config, deed, () =>
        withStores(config, (stores) => restore(stores, folder, manifest, { untilMs, force })),
      );
      output.show(report, () => output.line(rebuildText(report)));
      return 0;
    },
  },
];

/** Everything that was decided when this begins is in the backup: what is not projected yet is projected first. */
export async function backup(stores: Stores, folder: string): Promise<Manifest> {
  const { pool, store, system } = stores;
  const identity = await archivedSite(stores);
  for (const [shard, end] of (await store.journalEnds(identity.shards)).entries())
    await projectUpTo(stores, shard, end);
  const { version } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as { version: string };
  return writeBackup(pool, folder, { version, at: new Date(system.now()).toISOString() });
}

/** @throws Error before anything is changed where something is in the way */
export async function restore(
  stores: Stores,
  folder: string,
  manifest: Manifest,
  { untilMs, force }: { untilMs: number | undefined; force: boolean },
): Promise<RebuildReport> {
  const { pool, store, register, archive, projection, registry, log } = stores;
  await migrate(pool, log);
  return register.alone(async () => {
    const { site: identity } = manifest;
    const present = await register.site();
    const shards = Math.max(identity.shards, present?.shards ?? 0);
    const [holder] = await store.held(shards);
    if (holder) throw new Error(`shard ${holder.shard} is held by ${holder.owner}: stop the orchestrator first`);
    if (present && !force)
      throw new Error(`PostgreSQL holds the site ${present.incarnation}; --force replaces everything in it`);
    if ((await store.occupied(shards)).length > 0 && !force)
      throw new Error('Redis holds shards of a site; --force replaces them');
    await readBackup(pool, folder, manifest);
    if (untilMs !== undefined) await cutHistory({ pool, archive, projection, shards: identity.shards, untilMs });
    return rebuild({ store, archive, registry, identity, force });
  });
}

function manifestText(folder: string, { at, version, site, positions, tables }: Manifest): string {
  const rows = tables.reduce((sum, table) => sum + table.rows, 0);
  const ends = Object.entries(positions).map(([shard, position]) => `\n  shard ${shard} up to ${position}`);
  return `${folder}: site ${site.incarnation} of ${at}, version ${version}, ${rows} rows in ${tables.length} tables${ends.join('')}`;
}
