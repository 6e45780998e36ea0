/** `orchestrator backup` and `orchestrator restore`. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { projectUpTo } from '../../runtime/host/reproject.ts';
import { rebuild, type RebuildReport } from '../../runtime/host/rebuild.ts';
import { checkBackup, readBackup, writeBackup, type Manifest } from '../../runtime/postgres/backup.ts';
import { migrate } from '../../runtime/postgres/migrate.ts';
import { cutHistory } from '../../runtime/postgres/retreat.ts';
import { projectRoot } from '../root.ts';
import { readSettings } from '../settings.ts';
import { rebuildText, timeOf } from './rebuild.ts';
import { archivedSite, withStores, type Stores } from './stores.ts';
import { UsageError } from './usage.ts';

export const backupUsage = `  backup DIR      writes everything that was decided so far into a new folder; the orchestrator may run
  restore DIR     fills an empty PostgreSQL from it, and Redis from that; the orchestrator must be stopped
    --until TIME    as it was at that time, such as 2030-01-31T12:00:00Z
    --force         replaces what PostgreSQL and Redis hold of a site
    --check         compares the sums and changes nothing`;

export async function backupCommand(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: { config: { type: 'string' }, set: { type: 'string', multiple: true, default: [] } },
  });
  const folder = folderOf('backup', positionals);
  const { config } = readSettings({ file: values.config, set: values.set });
  const manifest = await withStores(config, (stores) => backup(stores, folder));
  process.stdout.write(`${folder}: ${manifestText(manifest)}`);
  return 0;
}

export async function restoreCommand(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      until: { type: 'string' },
      force: { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
      config: { type: 'string' },
      set: { type: 'string', multiple: true, default: [] },
    },
  });
  const folder = folderOf('restore', positionals);
  const untilMs = timeOf(values.until);
  const manifest = await checkBackup(folder);
  process.stdout.write(`${folder}: ${manifestText(manifest)}`);
  if (values.check) return 0;
  const { config } = readSettings({ file: values.config, set: values.set });
  const report = await withStores(config, (stores) =>
    restore(stores, folder, manifest, { untilMs, force: values.force }),
  );
  process.stdout.write(rebuildText(report));
  return 0;
}

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

function folderOf(command: string, positionals: readonly string[]): string {
  const [folder, ...more] = positionals;
  if (folder === undefined || more.length > 0) throw new UsageError(`${command} takes one folder`);
  return folder;
}

function manifestText({ at, version, site, positions, tables }: Manifest): string {
  const rows = tables.reduce((sum, table) => sum + table.rows, 0);
  const ends = Object.entries(positions).map(([shard, position]) => `  shard ${shard} up to ${position}\n`);
  return `site ${site.incarnation} of ${at}, version ${version}, ${rows} rows in ${tables.length} tables\n${ends.join('')}`;
}
