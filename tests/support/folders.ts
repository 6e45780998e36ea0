import { mkdir, mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const rootDir = fileURLToPath(new URL('../..', import.meta.url));
export const redisCacheDir = join(rootDir, '.cache/redis');
/** A cluster that is made once and copied for each test server. */
export const postgresTemplateDir = join(rootDir, '.cache/postgres-tests');
/** Data of test servers. Folder names start with the process id, so that a later run can remove what a killed one left. */
export const testDataDir = join(rootDir, '.cache/tests');

/** An empty folder for one test; its owner removes it. */
export async function freshFolder(label: string): Promise<string> {
  await mkdir(testDataDir, { recursive: true });
  return mkdtemp(join(testDataDir, `${process.pid}-${label}-`));
}
