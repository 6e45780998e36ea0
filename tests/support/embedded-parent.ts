/** Started by a test and killed by it: starts both servers in the folder given and prints their process ids. */
import { join } from 'node:path';
import { startPostgres } from '../../runtime/embedded/postgres.ts';
import { findRedisServer, startRedis } from '../../runtime/embedded/redis.ts';
import { postgresTemplateDir, redisCacheDir } from './folders.ts';

const [folder = ''] = process.argv.slice(2);
const redis = await startRedis({
  server: await findRedisServer({ cacheDir: redisCacheDir }),
  dataDir: join(folder, 'redis'),
  password: false,
});
const postgres = await startPostgres({
  dataDir: join(folder, 'postgres'),
  templateDir: postgresTemplateDir,
  fsync: false,
});
console.log(JSON.stringify([redis.pid, postgres.pid]));
