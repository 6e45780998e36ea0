/** A program of Debian: the one on PATH, or its package, downloaded and unpacked into the cache; nothing is installed. */
import { execFile } from 'node:child_process';
import { access, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { projectRoot } from '../../scripts/root.ts';

const run = promisify(execFile);

export interface DebianTool {
  program: string;
  package: string;
  /** Packages of libraries that it needs, unpacked beside it. */
  libraries?: readonly string[];
  /** Folder of the package that it is in; default usr/bin. */
  folder?: string;
  /** Folder of the cache. */
  cache: string;
}

/** The program, or why there is none on this machine. */
export async function findTool(tool: DebianTool): Promise<{ path: string } | { missing: string }> {
  if (
    await run(tool.program, ['--version']).then(
      () => true,
      () => false,
    )
  )
    return { path: tool.program };
  const cache = join(projectRoot, '.cache', tool.cache);
  const path = join(cache, tool.folder ?? 'usr/bin', tool.program);
  if (await exists(path)) return { path };
  await mkdir(join(projectRoot, '.cache'), { recursive: true });
  const work = await mkdtemp(join(projectRoot, `.cache/${tool.cache}-`));
  try {
    const packages = [tool.package, ...(tool.libraries ?? [])];
    await run('apt-get', ['-q', 'download', ...packages], { cwd: work, timeout: 120_000 });
    const archives = (await readdir(work)).filter((name) => name.endsWith('.deb'));
    if (archives.length < packages.length) return { missing: `apt has not all of ${packages.join(', ')}` };
    for (const archive of archives) await run('dpkg-deb', ['-x', join(work, archive), join(work, 'tree')]);
    // Another run may have been faster.
    await rename(join(work, 'tree'), cache).catch(() => undefined);
    return (await exists(path)) ? { path } : { missing: `the package ${tool.package} has no ${tool.program}` };
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
