/**
 * A private copy of a program of Debian: its package and what it lacks, downloaded with apt into a state folder of our own and unpacked beside it.
 * Nothing is installed, no service starts, no root is needed.
 */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const APT_TIMEOUT_MS = 180_000;
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;
const run = promisify(execFile);

export type PackageOutcome = { outcome: 'unpacked' } | { outcome: 'failed'; reason: string };

/** The folders of an unpacked copy that may hold the shared libraries which the machine lacks. */
export async function unpackedLibraries(copyDir: string): Promise<string[]> {
  const found: string[] = [];
  for (const parent of ['usr/lib', 'lib']) {
    const dir = join(copyDir, parent);
    const names = await readdir(dir, { withFileTypes: true }).catch(() => []);
    for (const name of names)
      if (name.isDirectory() && name.name.includes('linux-'))
        found.push(join(dir, name.name), ...(await inner(join(dir, name.name))));
  }
  return found;
}

/** Folders of a library folder: some packages keep what only they use in one of their own. */
async function inner(dir: string): Promise<string[]> {
  const names = await readdir(dir, { withFileTypes: true }).catch(() => []);
  return names.filter((name) => name.isDirectory()).map((name) => join(dir, name.name));
}

function aptConfig(work: string): string {
  const quoted = (path: string): string => `"${path.replaceAll('"', '')}"`;
  return [
    // Hooks of the machine (cleaning its package cache, refreshing catalogues) have no business with a private state.
    '#clear APT::Update::Pre-Invoke;',
    '#clear APT::Update::Post-Invoke;',
    '#clear APT::Update::Post-Invoke-Success;',
    '#clear DPkg::Post-Invoke;',
    `Dir::State ${quoted(join(work, 'state'))};`,
    // The machine's own list of installed packages, read only: only what is missing is downloaded.
    'Dir::State::status "/var/lib/dpkg/status";',
    `Dir::Cache ${quoted(join(work, 'cache'))};`,
    `Dir::Cache::archives ${quoted(join(work, 'cache/archives'))};`,
    // The download user of apt cannot enter a private folder.
    'APT::Sandbox::User "root";',
    'APT::Get::List-Cleanup "false";',
    'Acquire::Languages "none";',
    'Debug::NoLocking "true";',
    '',
  ].join('\n');
}

function reason(error: unknown): string {
  const { stderr, message } = error as { stderr?: string; message: string };
  const lines = (stderr ?? '').split('\n').filter((line) => /^[EW]: /.test(line));
  return lines.length > 0 ? lines.slice(0, 3).join(' ') : (message.split('\n')[0] ?? message);
}

async function download(aptGet: string, work: string, name: string): Promise<PackageOutcome> {
  for (const dir of ['state/lists/partial', 'cache/archives/partial']) {
    await mkdir(join(work, dir), { recursive: true });
  }
  const config = join(work, 'apt.conf');
  await writeFile(config, aptConfig(work));
  await copyFile('/var/lib/apt/extended_states', join(work, 'state/extended_states')).catch(() => undefined);
  const options = { timeout: APT_TIMEOUT_MS, maxBuffer: OUTPUT_BYTES_MAX, env: { ...process.env, LC_ALL: 'C' } };
  // One source that cannot be reached makes `update` fail although the package may come from another one.
  const update = await run(aptGet, ['-q', '-c', config, 'update'], options).then(
    () => undefined,
    (error: unknown) => reason(error),
  );
  const install = ['-q', '-y', '-c', config, '--no-install-recommends', '--download-only', 'install', name];
  const failed = await run(aptGet, install, options).then(
    () => undefined,
    (error: unknown) => reason(error),
  );
  if (failed === undefined) return { outcome: 'unpacked' };
  return { outcome: 'failed', reason: update === undefined ? failed : `${update} ${failed}` };
}

/**
 * Downloads and unpacks into `copyDir`. Two processes may do so at the same time: each works in a folder of its own and
 * the first to finish gives its copy the name; the other's is dropped.
 */
export async function unpackPackage(options: {
  /** As Debian calls it. */
  name: string;
  aptGet: string;
  cacheDir: string;
  copyDir: string;
}): Promise<PackageOutcome> {
  await mkdir(options.cacheDir, { recursive: true });
  const work = await mkdtemp(join(options.cacheDir, 'download-'));
  try {
    const downloaded = await download(options.aptGet, work, options.name);
    if (downloaded.outcome === 'failed') return downloaded;
    const archives = join(work, 'cache/archives');
    const packages = (await readdir(archives)).filter((name) => name.endsWith('.deb'));
    if (packages.length === 0) return { outcome: 'failed', reason: `apt has nothing to download for ${options.name}` };
    const tree = join(work, 'tree');
    for (const name of packages) await run('dpkg-deb', ['-x', join(archives, name), tree]);
    await rename(tree, options.copyDir).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
    return { outcome: 'unpacked' };
  } catch (error) {
    return { outcome: 'failed', reason: reason(error) };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
