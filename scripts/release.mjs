// node scripts/release.mjs FOLDER: builds, and puts what an installation needs into FOLDER/<version>-<hash>: the compiled
// programs, the production dependencies, the samples, the service files. The hash is of the content, so that the same
// program is the same release. Prints the folder's name.
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureSetup } from './setup.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const COPIED = [
  ...['.build', 'deploy', 'scripts', 'config/orchestrator.toml'],
  ...['package.json', 'package-lock.json', 'LICENSE', 'README.md'],
];
/** Sources, tests and what belongs to them. */
const LEFT = /^\.build\/tests\/|\.map$|\.tsbuildinfo$|^scripts\/.*\.(?:ts|[cm]js)$/;

function files(path) {
  if (!statSync(join(root, path)).isDirectory()) return LEFT.test(path) ? [] : [path];
  return readdirSync(join(root, path)).flatMap((name) => files(`${path}/${name}`));
}

/** Folders in node_modules that the programs need; embedded servers are not among them. */
function dependencies() {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  const wanted = Object.entries(packages)
    .filter(([path, entry]) => path !== '' && !entry.dev && !entry.devOptional && !entry.optional)
    .map(([path]) => path)
    .sort();
  // A dependency inside of another one is copied with it, unless the outer one is not wanted.
  return wanted.filter((path) => !wanted.some((outer) => path.startsWith(`${outer}/`)));
}

function assemble(folder) {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const program = COPIED.flatMap(files).sort();
  const hash = createHash('sha256');
  for (const path of program)
    if (!path.endsWith('sources.sha256')) hash.update(`${path}\0`).update(readFileSync(join(root, path)));
  const name = `${version}-${hash.digest('hex').slice(0, 12)}`;
  const target = join(folder, name);
  if (existsSync(target)) return name;
  // Appears whole or not at all: an installation that was interrupted is simply started again.
  const partial = `${target}.partial`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  for (const path of program) {
    mkdirSync(dirname(join(partial, path)), { recursive: true });
    cpSync(join(root, path), join(partial, path), { preserveTimestamps: true });
  }
  for (const path of dependencies()) cpSync(join(root, path), join(partial, path), { recursive: true });
  renameSync(partial, target);
  return name;
}

const [folder] = process.argv.slice(2);
if (folder === undefined) {
  process.stderr.write('release: say into which folder, as: node scripts/release.mjs /opt/sutazaiapp/releases\n');
  process.exit(2);
}
if (relative(folder, root) === '') {
  process.stderr.write('release: the folder may not be that of the sources\n');
  process.exit(2);
}
if (!(await ensureSetup())) process.exit(1);
process.stdout.write(`${assemble(folder)}\n`);
