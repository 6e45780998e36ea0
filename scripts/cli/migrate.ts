/** `migrate`: the tables in PostgreSQL. */
import type { Config } from '../../config/schema.ts';
import { migrate, migrationStatus } from '../../runtime/postgres/migrate.ts';
import { Pool } from '../../runtime/postgres/pool.ts';
import { createLog } from '../../runtime/telemetry/log.ts';
import type { Log } from '../../runtime/ports.ts';
import { startServers } from '../servers.ts';
import { dataDirectory } from '../settings.ts';
import { Transport } from '../transport.ts';
import type { Call, Command } from './command.ts';
import { noted } from './noted.ts';

export const migrateCommands: readonly Command[] = [
  {
    words: 'migrate status',
    summary: 'the migrations of this program, and which of them the database has',
    run: (call) => listed(call, () => 0),
  },
  {
    words: 'migrate up',
    summary: 'applies those that it lacks; a start of the orchestrator does so too',
    run: async ({ settings, output }) => {
      const config = settings();
      const { applied } = await noted(config, { action: 'migrate up', target: 'PostgreSQL' }, () =>
        withPool(config, migrate),
      );
      output.show({ applied }, () =>
        output.line(applied.length > 0 ? `applied ${applied.join(', ')}` : 'nothing to apply'),
      );
      return 0;
    },
  },
  {
    words: 'migrate validate',
    summary: 'exit code 1 unless the database is at this version and nothing was edited',
    run: (call) => listed(call, (states) => (states.every((state) => state === 'applied') ? 0 : 1)),
  },
];

async function listed({ settings, output }: Call, codeOf: (states: readonly string[]) => number): Promise<number> {
  const list = await withPool(settings(), migrationStatus);
  output.show(list, () => {
    for (const { name, state } of list) output.line(`${name} ${state}`);
  });
  return codeOf(list.map(({ state }) => state));
}

async function withPool<T>(config: Config, work: (pool: Pool, log: Log) => Promise<T>): Promise<T> {
  const log = createLog({ level: 'WARNING', format: config.logging.format });
  const servers = await startServers(config, dataDirectory(config), log);
  const pool = new Pool({ url: servers.postgresUrl, tls: new Transport(config).postgres, log });
  try {
    return await work(pool, log);
  } finally {
    await pool.close();
    await servers.stop();
  }
}
