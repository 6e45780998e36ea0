/** Finds a Python that can import redis-py: the system's, or the system's with a private copy of Debian's package. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Python {
  python: string;
  /** To be merged into the environment of the process. */
  env: Record<string, string>;
}

export interface FindOptions {
  /** Holds the private copy, `<cacheDir>/python3-redis`; shared by several runs. */
  cacheDir: string;
  /** Whether Debian's package may be downloaded with apt-get (as any user; nothing is installed). */
  allowDownload: boolean;
}

const callDeadlineMs = 10_000;
const downloadDeadlineMs = 60_000;

/** Resolves with undefined where there is no such Python: the sample is then left out, it is not an error. */
export async function findPython({ cacheDir, allowDownload }: FindOptions): Promise<Python | undefined> {
  const copy = join(cacheDir, 'python3-redis');
  const privatePath = { PYTHONPATH: join(copy, 'usr/lib/python3/dist-packages') };
  const candidates: Python[] = ['/usr/bin/python3', 'python3'].flatMap((python) => [
    { python, env: {} },
    { python, env: privatePath },
  ]);
  const found = await firstThatWorks(candidates);
  if (found || !allowDownload || !(await download(copy))) return found;
  return firstThatWorks(candidates);
}

async function firstThatWorks(candidates: readonly Python[]): Promise<Python | undefined> {
  for (const candidate of candidates) if (await works(candidate)) return candidate;
  return undefined;
}

async function works({ python, env }: Python): Promise<boolean> {
  const program = 'import sys, redis; sys.exit(sys.version_info < (3, 9) or not hasattr(redis.Redis, "xreadgroup"))';
  return succeeds(python, ['-c', program], { env: { ...process.env, ...env }, timeout: callDeadlineMs });
}

/** Unpacked beside its place and moved there in one step, so that two runs at once do not see half a copy. */
async function download(copy: string): Promise<boolean> {
  await mkdir(join(copy, '..'), { recursive: true });
  const work = await mkdtemp(`${copy}-`);
  try {
    const options = { cwd: work, timeout: downloadDeadlineMs };
    if (!(await succeeds('apt-get', ['download', 'python3-redis'], options)) && !(await updateAndDownload(work)))
      return false;
    const archive = (await readdir(work)).find((name) => name.endsWith('.deb'));
    if (!archive || !(await succeeds('dpkg-deb', ['-x', archive, 'unpacked'], options))) return false;
    await rm(copy, { recursive: true, force: true });
    await rename(join(work, 'unpacked'), copy).catch((error: NodeJS.ErrnoException) => {
      // Another run was first.
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
    return true;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** For machines whose package lists are missing: lists of our own, in the working folder. */
async function updateAndDownload(work: string): Promise<boolean> {
  const options = { cwd: work, timeout: downloadDeadlineMs };
  for (const folder of ['lists/partial', 'cache/archives/partial'])
    await mkdir(join(work, folder), { recursive: true });
  const state = ['-o', `Dir::State::lists=${join(work, 'lists')}`, '-o', `Dir::Cache=${join(work, 'cache')}`];
  return (
    (await succeeds('apt-get', [...state, '-o', 'APT::Sandbox::User=', 'update'], options)) &&
    (await succeeds('apt-get', [...state, 'download', 'python3-redis'], options))
  );
}

async function succeeds(command: string, args: readonly string[], options: object): Promise<boolean> {
  return run(command, args, options).then(
    () => true,
    () => false,
  );
}
