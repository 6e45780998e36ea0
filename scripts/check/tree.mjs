// The files of the repository as the checks see them: what git would commit, or everything where there is no git.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

const NOT_OURS = new Set(['node_modules', '.git', '.build', '.data', '.cache']);
const NOT_TEXT = /\.(?:png|jpg|ico|woff2?|gz|zip)$/;

function walk(dir, found) {
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    if (NOT_OURS.has(entry.name)) continue;
    const path = join(dir, entry.name);
    if (entry.isDirectory()) walk(path, found);
    else found.push(relative(root, path));
  }
  return found;
}

/** Paths relative to the root, committed or about to be. */
export function trackedFiles() {
  try {
    const listing = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'ignore'],
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
    });
    return [...new Set(listing.split('\0'))].filter((path) => path !== '' && existsSync(join(root, path))).sort();
  } catch {
    // An unpacked archive, or a machine without git.
    return walk(root, []).sort();
  }
}

export function isText(path) {
  return !NOT_TEXT.test(path) && statSync(join(root, path)).isFile();
}

export function read(path) {
  return readFileSync(join(root, path), 'utf8');
}

/** Prints the findings, each `where: what; how to mend`, and sets the exit code. */
export function report(check, findings, warnings = []) {
  for (const line of warnings) console.log(`warning: ${line}`);
  for (const line of findings) console.log(line);
  console.log(`${check}: ${findings.length === 0 ? 'ok' : `${findings.length} finding(s)`}`);
  if (findings.length > 0) process.exitCode = 1;
}
