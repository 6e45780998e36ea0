/** `rebuild`: what Redis held, from the archive in PostgreSQL, or the other way round; `prune` makes the archive smaller. */
import { rebuild, reconstructed, type RebuildReport } from '../../runtime/host/rebuild.ts';
import { reproject } from '../../runtime/host/reproject.ts';
import { migrate } from '../../runtime/postgres/migrate.ts';
import type { Call, Command, OptionRule } from './command.ts';
import { archivedSite, withStores, type Stores } from './stores.ts';
import { noted } from './noted.ts';
import { UsageError } from './usage.ts';

export const untilOption: OptionRule = {
  type: 'string',
  value: 'TIME',
  describe: 'as it was at that time, such as 2030-01-31T12:00:00Z',
};

export const rebuildCommands: readonly Command[] = [
  {
    words: 'rebuild',
    summary: 'brings what Redis held back from PostgreSQL; the orchestrator must be stopped',
    options: {
      until: untilOption,
      force: { type: 'boolean', describe: 'removes what is still there of the site' },
      postgres: {
        type: 'boolean',
        describe: 'the other way round: lists, and a base to bring Redis back from, out of what Redis holds',
      },
    },
    run: (call) => (call.flag('postgres') ? rebuildOfPostgres(call) : rebuildOfRedis(call)),
  },
  {
    words: 'prune',
    summary: 'takes journals out of the archive that are older; what they led to is kept as a checkpoint',
    options: { days: { type: 'string', value: 'N', describe: 'how far back --until can go afterwards' } },
    examples: ['prune --days 30'],
    run: async ({ text, settings, output }) => {
      const days = Number(text('days') ?? NaN);
      if (!(days >= 0 && days <= 36_500)) throw new UsageError('prune takes --days with a number, such as --days 30');
      const config = settings();
      const pruned = await noted(config, { action: 'prune', target: 'archive', detail: { days } }, () =>
        withStores(config, async (stores) => {
          await migrate(stores.pool, stores.log);
          const { shards } = await archivedSite(stores);
          return prune(stores, shards, stores.system.now() - days * 86_400_000);
        }),
      );
      output.show({ pruned: pruned.trimEnd().split('\n') }, () => output.line(pruned.trimEnd()));
      return 0;
    },
  },
];

async function rebuildOfRedis({ text, flag, settings, output }: Call): Promise<number> {
  const untilMs = timeOf(text('until'));
  const config = settings();
  const force = flag('force');
  const deed = { action: 'rebuild', target: 'Redis', detail: { until: text('until'), force } };
  const report = await noted(config, deed, () =>
    withStores(config, async (stores) => {
      await migrate(stores.pool, stores.log);
      const identity = await archivedSite(stores);
      return stores.register.alone(() => rebuild({ ...stores, identity, untilMs, force }));
    }),
  );
  output.show(report, () => output.line(rebuildText(report)));
  return 0;
}

async function rebuildOfPostgres({ text, flag, settings, output }: Call): Promise<number> {
  if (text('until') !== undefined) throw new UsageError('--postgres takes Redis as it is: there is no --until');
  const config = settings();
  const force = flag('force');
  const rebuilt = await noted(config, { action: 'rebuild', target: 'PostgreSQL', detail: { force } }, () =>
    withStores(config, (stores) => rebuildPostgres(stores, force)),
  );
  output.show({ rebuilt: rebuilt.trimEnd().split('\n') }, () => output.line(rebuilt.trimEnd()));
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
      `shard ${shard}: ${actors} actors from ${records} records${records > 0 ? `, up to ${position} of ${new Date(at).toISOString()}` : ''}`,
  );
  const lost = [
    'lost: what a shard decided after its time, commands, reports and messages to',
    '      agents that were not decided, and entries that were set aside',
  ];
  return [...lines, ...lost, ...drift.map((place) => `DRIFT: ${place}`)].join('\n');
}
