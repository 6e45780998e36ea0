/** Prometheus' own checker: the one on PATH, or Debian's package, downloaded and unpacked into the cache; nothing is installed. */
import { execFile } from 'node:child_process';
import { access, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { projectRoot } from '../../scripts/root.ts';

const run = promisify(execFile);

/** The program, or why there is none on this machine. */
export async function findPromtool(): Promise<{ path: string } | { missing: string }> {
  if (
    await run('promtool', ['--version']).then(
      () => true,
      () => false,
    )
  )
    return { path: 'promtool' };
  const cache = join(projectRoot, '.cache/prometheus');
  const path = join(cache, 'usr/bin/promtool');
  if (await exists(path)) return { path };
  await mkdir(join(projectRoot, '.cache'), { recursive: true });
  const work = await mkdtemp(join(projectRoot, '.cache/promtool-'));
  try {
    await run('apt-get', ['-q', 'download', 'prometheus'], { cwd: work, timeout: 120_000 });
    const archive = (await readdir(work)).find((name) => name.endsWith('.deb'));
    if (archive === undefined) return { missing: 'apt has no package named prometheus' };
    await run('dpkg-deb', ['-x', join(work, archive), join(work, 'tree')]);
    // Another run may have been faster.
    await rename(join(work, 'tree'), cache).catch(() => undefined);
    return (await exists(path)) ? { path } : { missing: 'the package prometheus has no promtool' };
  } catch (error) {
    return { missing: error instanceof Error ? error.message.slice(0, 300) : String(error) };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
