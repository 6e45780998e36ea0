/** A real browser for tests and screenshots: one of the machine, or a private copy of Debian's, unpacked without installing. */
import { execFile } from 'node:child_process';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { chromium, type Browser } from 'playwright-core';
import { unpackedLibraries, unpackPackage } from '../../runtime/embedded/debian-package.ts';
import { projectRoot } from '../../scripts/root.ts';

const names = ['chromium', 'chromium-headless-shell', 'google-chrome'];

interface Program {
  path: string;
  libraries: string[];
}

/** @throws Error that says what to do, where there is no browser and none can be had */
export async function launchChromium(): Promise<Browser> {
  const { path, libraries } = (await onPath()) ?? (await privateCopy());
  return chromium.launch({
    executablePath: path,
    // The sandbox of the browser needs rights that a container lacks; it only sees pages of this repository.
    args: ['--no-sandbox', '--disable-dev-shm-usage'],
    env: {
      ...(process.env as Record<string, string>),
      ...(libraries.length > 0 && { LD_LIBRARY_PATH: libraries.join(delimiter) }),
    },
  });
}

async function onPath(): Promise<Program | undefined> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter))
    for (const name of names)
      if (await runs(join(folder, name), [])) return { path: join(folder, name), libraries: [] };
  return undefined;
}

async function privateCopy(): Promise<Program> {
  const cacheDir = join(projectRoot, '.cache', 'chromium');
  const copyDir = join(cacheDir, 'copy');
  const path = join(copyDir, 'usr/lib/chromium/chromium-headless-shell');
  if (!(await runs(path, await unpackedLibraries(copyDir)))) {
    const unpacked = await unpackPackage({ name: 'chromium-headless-shell', aptGet: 'apt-get', cacheDir, copyDir });
    if (unpacked.outcome === 'failed')
      throw new Error(`there is no browser (${unpacked.reason}); install one: apt-get install chromium`);
  }
  return { path, libraries: await unpackedLibraries(copyDir) };
}

async function runs(path: string, libraries: readonly string[]): Promise<boolean> {
  const there = await access(path).then(
    () => true,
    () => false,
  );
  if (!there) return false;
  const env = libraries.length > 0 ? { ...process.env, LD_LIBRARY_PATH: libraries.join(delimiter) } : process.env;
  return promisify(execFile)(path, ['--version'], { env, timeout: 30_000 }).then(
    () => true,
    () => false,
  );
}
