/** `orchestrator rebuild`: what Redis held, from the archive in PostgreSQL. */
import { parseArgs } from 'node:util';
import { rebuild, reconstructed, type RebuildReport } from '../../runtime/host/rebuild.ts';
import { reproject } from '../../runtime/host/reproject.ts';
import { migrate } from '../../runtime/postgres/migrate.ts';
import { readSettings } from '../settings.ts';
import { archivedSite, withStores, type Stores } from './stores.ts';
import { UsageError } from './usage.ts';

export const rebuildUsage = `  rebuild         brings what Redis held back from PostgreSQL
    --until TIME    as it was at that time, such as 2030-01-31T12:00:00Z
    --force         removes what Redis still holds of the site
    --postgres      the other way round: lists, and a base to bring Redis back from, out of what Redis holds
  prune           takes journals out of the archive that are older; what they led to is kept as a checkpoint
    --days N        how far back \`--until\` can go afterwards`;

export async function rebuildCommand(argv: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      until: { type: 'string' },
      force: { type: 'boolean', default: false },
      postgres: { type: 'boolean', default: false },
      config: { type: 'string' },
      set: { type: 'string', multiple: true, default: [] },
    },
  });
  const untilMs = timeOf(values.until);
  const { config } = readSettings({ file: values.config, set: values.set });
  if (values.postgres) {
    if (values.until !== undefined) throw new UsageError('--postgres takes Redis as it is: there is no --until');
    process.stdout.write(await withStores(config, (stores) => rebuildPostgres(stores, values.force)));
    return 0;
  }
  const report = await withStores(config, async (stores) => {
    await migrate(stores.pool, stores.log);
    const identity = await archivedSite(stores);
    return stores.register.alone(() => rebuild({ ...stores, identity, untilMs, force: values.force }));
  });
  process.stdout.write(rebuildText(report));
  return 0;
}

/** @throws Error where Redis holds no site, or PostgreSQL holds one and it is not forced */
export async function rebuildPostgres(stores: Stores, force: boolean): Promise<string> {
  const { pool, log, register, store } = stores;
  await migrate(pool, log);
  return register.alone(async () => {
    const identity = await store.site();
    if (!identity) throw new Error('Redis holds no site: check [redis] url');
    const present = await register.site();
    if (present && !force)
      throw new Error(
        `PostgreSQL holds the site ${present.incarnation}; --force writes its lists anew and takes its journals out of the archive`,
      );
    const done = await reproject(stores, identity.shards);
    await register.claimSite(identity);
    const lines = done.map(({ shard, position, actors }) => `shard ${shard}: ${actors} actors, up to ${position}\n`);
    return `${lines.join('')}lost: history that had left the journals, audit notes, and rows of what Redis no longer has\n`;
  });
}

export async function pruneCommand(argv: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      days: { type: 'string' },
      config: { type: 'string' },
      set: { type: 'string', multiple: true, default: [] },
    },
  });
  const days = Number(values.days ?? NaN);
  if (!(days >= 0 && days <= 36_500)) throw new UsageError('prune takes --days with a number, such as --days 30');
  const { config } = readSettings({ file: values.config, set: values.set });
  process.stdout.write(
    await withStores(config, async (stores) => {
      await migrate(stores.pool, stores.log);
      const { shards } = await archivedSite(stores);
      return prune(stores, shards, stores.system.now() - days * 86_400_000);
    }),
  );
  return 0;
}

/** Beside a running orchestrator too: only what was archived is touched. @throws Error when the replay drifts */
export async function prune({ archive, registry }: Stores, shards: number, untilMs: number): Promise<string> {
  const lines: string[] = [];
  for (let shard = 0; shard < shards; shard++) {
    const present = await archive.checkpoint(shard, untilMs);
    const reconstruction =
      present && 'begins' in present ? undefined : await reconstructed(archive, registry, shard, untilMs);
    if (!reconstruction || reconstruction.records === 0) continue;
    const [drift] = reconstruction.drift;
    if (drift !== undefined) throw new Error(`shard ${shard}: nothing was pruned, the replay differs: ${drift}`);
    const image = reconstruction.image();
    const { entries } = await archive.keep(image);
    lines.push(`shard ${shard}: ${entries} entries removed, ${image.snapshots.size} actors kept\n`);
  }
  return lines.join('') || 'nothing is older\n';
}

/** @throws UsageError when the text is no time */
export function timeOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(text) ? Date.parse(text) : NaN;
  if (Number.isNaN(ms)) throw new UsageError(`--until takes a time such as 2030-01-31T12:00:00Z, not ${text}`);
  return ms;
}

/** What came back, and up to when: what is not in it is lost. */
export function rebuildText({ shards, drift }: RebuildReport): string {
  const lines = shards.map(
    ({ shard, position, at, records, actors }) =>
      `shard ${shard}: ${actors} actors from ${records} records${records > 0 ? `, up to ${position} of ${new Date(at).toISOString()}` : ''}\n`,
  );
  const lost = `lost: what a shard decided after its time, and what it had not decided yet (commands, reports, messages to agents)\n`;
  return `${lines.join('')}${lost}${drift.map((place) => `DRIFT: ${place}\n`).join('')}`;
}
