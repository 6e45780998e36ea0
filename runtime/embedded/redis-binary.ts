/** Which Redis server program to run: the configured one, one on PATH, our cached copy, or a fresh copy from apt. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { access, constants, rm } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { EmbeddedServerError } from './error.ts';
import { unpackedLibraries, unpackPackage } from './debian-package.ts';

/** Redis Functions and multi-part AOF came with 7.0. */
const MAJOR_MIN = 7;
const VERSION_TIMEOUT_MS = 5_000;
const USUAL_FOLDERS = ['/usr/local/bin', '/usr/bin', '/usr/sbin', '/opt/homebrew/bin', '/snap/bin'];

const run = promisify(execFile);

export interface RedisServer {
  path: string;
  version: string;
  source: 'configured' | 'path' | 'cache' | 'apt';
  /** Folders for LD_LIBRARY_PATH; empty unless it is a private copy. */
  libraries: readonly string[];
}

export interface RedisSearch {
  /** Where the private copy is kept, as `<root>/.cache/redis`. */
  cacheDir: string;
  /** A path the user has configured; nothing else is tried then. */
  configuredPath?: string;
  /** Instead of the PATH of this process. */
  searchPath?: string;
  /** Instead of `apt-get`. */
  aptGet?: string;
}

type Trial = { outcome: 'usable'; server: RedisServer } | { outcome: 'unusable'; reason: string };

export function libraryEnv(libraries: readonly string[], env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  if (libraries.length === 0) return env;
  const inherited = env['LD_LIBRARY_PATH'];
  return { ...env, LD_LIBRARY_PATH: [...libraries, ...(inherited ? [inherited] : [])].join(delimiter) };
}

async function trial(path: string, source: RedisServer['source'], libraries: string[] = []): Promise<Trial> {
  try {
    await access(path, constants.X_OK);
  } catch {
    return { outcome: 'unusable', reason: `${path} does not exist or may not be executed` };
  }
  try {
    const { stdout } = await run(path, ['--version'], {
      timeout: VERSION_TIMEOUT_MS,
      env: libraryEnv(libraries, process.env),
    });
    const version = /\bv=(\d+)((?:\.\d+)*)/.exec(stdout);
    if (version === null) return { outcome: 'unusable', reason: `${path} --version does not answer like Redis` };
    const text = `${version[1]}${version[2]}`;
    if (Number(version[1]) < MAJOR_MIN) {
      return { outcome: 'unusable', reason: `${path} is version ${text}, ${MAJOR_MIN}.0 or newer is needed` };
    }
    return { outcome: 'usable', server: { path, version: text, source, libraries } };
  } catch (error) {
    const first = (error instanceof Error ? error.message : String(error)).split('\n').slice(0, 2).join(' ');
    return { outcome: 'unusable', reason: `${path} does not run: ${first}` };
  }
}

async function cached(copyDir: string, source: 'cache' | 'apt'): Promise<Trial> {
  return trial(join(copyDir, 'usr/bin/redis-server'), source, await unpackedLibraries(copyDir));
}

function notFound(reasons: readonly string[]): EmbeddedServerError {
  const mend =
    process.platform === 'darwin'
      ? 'brew install redis'
      : 'sudo apt-get update && sudo apt-get install -y redis-server';
  return new EmbeddedServerError(
    'not-found',
    `No Redis server (${MAJOR_MIN}.0 or newer) could be found or downloaded.\n` +
      reasons.map((line) => `  - ${line}\n`).join('') +
      `Mend it with: ${mend}\n` +
      `or configure the URL of a Redis that already runs.`,
  );
}

/**
 * Finds a server and runs it with `--version` before it is given out. Rejects with one EmbeddedServerError that lists
 * what was tried and the command that mends it.
 */
export async function findRedisServer(search: RedisSearch): Promise<RedisServer> {
  if (search.configuredPath !== undefined) {
    const configured = await trial(search.configuredPath, 'configured');
    if (configured.outcome === 'usable') return configured.server;
    throw new EmbeddedServerError(
      'not-found',
      `The configured Redis server cannot be used: ${configured.reason}. Correct the path, or remove it to let one be found.`,
    );
  }

  const reasons: string[] = [];
  const path = search.searchPath ?? [process.env['PATH'] ?? '', ...USUAL_FOLDERS].join(delimiter);
  for (const folder of new Set(path.split(delimiter).filter((part) => part !== ''))) {
    for (const name of ['redis-server', 'valkey-server']) {
      const tried = await trial(join(folder, name), 'path');
      if (tried.outcome === 'usable') return tried.server;
      if (!tried.reason.includes('does not exist')) reasons.push(tried.reason);
    }
  }
  if (reasons.length === 0) reasons.push('no redis-server or valkey-server on PATH');

  const copyDir = join(search.cacheDir, 'copy');
  const present = existsSync(copyDir);
  const kept = await cached(copyDir, 'cache');
  if (kept.outcome === 'usable') return kept.server;

  // A copy that does not run (another machine's, half deleted) would win against the fresh one. One that was not there
  // a moment ago is another process's fresh copy and stays.
  if (present) await rm(copyDir, { recursive: true, force: true });
  const unpacked = await unpackPackage({
    name: 'redis-server',
    aptGet: search.aptGet ?? 'apt-get',
    cacheDir: search.cacheDir,
    copyDir,
  });
  if (unpacked.outcome === 'failed') throw notFound([...reasons, `private copy through apt: ${unpacked.reason}`]);
  const fresh = await cached(copyDir, 'apt');
  if (fresh.outcome === 'usable') return fresh.server;
  throw notFound([...reasons, `private copy through apt: ${fresh.reason}`]);
}
