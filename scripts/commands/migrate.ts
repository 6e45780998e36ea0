/** `orchestrator migrate status | up | validate`: the tables in PostgreSQL. */
import { parseArgs } from 'node:util';
import { createLog } from '../../runtime/telemetry/log.ts';
import { migrate, migrationStatus } from '../../runtime/postgres/migrate.ts';
import { Pool } from '../../runtime/postgres/pool.ts';
import { startServers } from '../servers.ts';
import { dataDirectory, readSettings } from '../settings.ts';
import { Transport } from '../transport.ts';
import { UsageError } from './usage.ts';

export const migrateUsage = `  migrate status  the migrations of this program, and which of them the database has
  migrate up      applies those that it lacks; a start of the orchestrator does so too
  migrate validate  exit code 1 unless the database is at this version and nothing was edited`;

export async function migrateCommand(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: { config: { type: 'string' }, set: { type: 'string', multiple: true, default: [] } },
  });
  const [action, ...more] = positionals;
  if (more.length > 0 || (action !== 'status' && action !== 'up' && action !== 'validate'))
    throw new UsageError('migrate takes status, up or validate');
  const { config } = readSettings({ file: values.config, set: values.set });
  const log = createLog({ level: 'WARNING', format: config.logging.format });
  const servers = await startServers(config, dataDirectory(config), log);
  const pool = new Pool({ url: servers.postgresUrl, tls: new Transport(config).postgres, log });
  try {
    if (action === 'up') {
      const { applied } = await migrate(pool, log);
      process.stdout.write(applied.length > 0 ? `applied ${applied.join(', ')}\n` : 'nothing to apply\n');
      return 0;
    }
    const list = await migrationStatus(pool);
    for (const { name, state } of list) process.stdout.write(`${name} ${state}\n`);
    return action === 'status' || list.every(({ state }) => state === 'applied') ? 0 : 1;
  } finally {
    await pool.close();
    await servers.stop();
  }
}
