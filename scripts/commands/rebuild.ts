/** `orchestrator rebuild`: what Redis held, from the archive in PostgreSQL. */
import { parseArgs } from 'node:util';
import { rebuild, type RebuildReport } from '../../runtime/host/rebuild.ts';
import { migrate } from '../../runtime/postgres/migrate.ts';
import { readSettings } from '../settings.ts';
import { archivedSite, withStores } from './stores.ts';
import { UsageError } from './usage.ts';

export const rebuildUsage = `  rebuild         brings what Redis held back from PostgreSQL
    --until TIME    as it was at that time, such as 2030-01-31T12:00:00Z
    --force         removes what Redis still holds of the site`;

export async function rebuildCommand(argv: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      until: { type: 'string' },
      force: { type: 'boolean', default: false },
      config: { type: 'string' },
      set: { type: 'string', multiple: true, default: [] },
    },
  });
  const untilMs = timeOf(values.until);
  const { config } = readSettings({ file: values.config, set: values.set });
  const report = await withStores(config, async (stores) => {
    await migrate(stores.pool, stores.log);
    const identity = await archivedSite(stores);
    return stores.register.alone(() => rebuild({ ...stores, identity, untilMs, force: values.force }));
  });
  process.stdout.write(rebuildText(report));
  return 0;
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
