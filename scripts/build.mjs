// Compiles the sources into .build and puts the files beside them that the programs read (SQL, Lua, pages, samples).
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, extname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { exclusively } from './lock.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const out = join(root, '.build');
const stampFile = join(out, 'sources.sha256');
const buildInfo = join(out, 'tsconfig.tsbuildinfo');
const lockFile = join(root, '.cache/build.lock');

const COMPILED = ['runtime', 'actors', 'api', 'config', 'scripts', 'tests'];
const WITH_ASSETS = ['runtime', 'actors', 'api', 'config', 'scripts'];
const ASSETS = new Set(['.lua', '.sql', '.py', '.sh', '.html', '.css', '.svg', '.toml']);
/** Scripts that run as they are: pages and worker threads. Those of the project's own set-up stay where they are. */
const PLAIN_SCRIPTS = 'api/visualiser/';
const KEPT = new Set(['sources.sha256', 'tsconfig.tsbuildinfo']);
const SKIPPED = new Set(['node_modules', 'certs', 'secrets', '__pycache__']);

function files(folder) {
  const found = [];
  const walk = (dir) => {
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      const path = join(dir, entry.name);
      if (entry.isDirectory()) {
        if (!SKIPPED.has(entry.name)) walk(path);
      } else if (entry.isFile()) found.push(path);
    }
  };
  if (existsSync(folder)) walk(folder);
  return found;
}

function isSource(path) {
  return path.endsWith('.ts') && !path.startsWith(join(root, 'tests/bench/peer'));
}

function isAsset(path) {
  const top = relative(root, path).split('/')[0];
  if (relative(root, path).startsWith(PLAIN_SCRIPTS) && extname(path) === '.mjs') return true;
  return WITH_ASSETS.includes(top) && ASSETS.has(extname(path));
}

/** Changes when a source is changed, added or removed, or when the compiler is another one. */
function fingerprint(sources) {
  const hash = createHash('sha256');
  const settings = ['tsconfig.json', 'package-lock.json'].map((name) => join(root, name));
  for (const path of [...sources, ...settings].sort()) {
    const { mtimeMs, size } = statSync(path);
    hash.update(`${relative(root, path)}\0${mtimeMs}\0${size}\n`);
  }
  return hash.digest('hex');
}

function survey() {
  const all = COMPILED.flatMap((name) => files(join(root, name)));
  const sources = all.filter((path) => isSource(path) && !path.endsWith('.d.ts'));
  const assets = all.filter(isAsset);
  return { sources, assets, print: fingerprint([...all.filter(isSource), ...assets]) };
}

function fresh(print) {
  return existsSync(stampFile) && readFileSync(stampFile, 'utf8') === print;
}

function compiled(path) {
  return join(out, relative(root, path).replace(/\.ts$/, '.js'));
}

function compile() {
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  return spawnSync(process.execPath, [tsc, '-p', root], { cwd: root, stdio: ['ignore', 2, 2] }).status === 0;
}

/** Leftovers of removed sources would still be found: a migration by its folder, a test by its name. */
function prune(expected) {
  for (const path of files(out)) {
    const plain = path.replace(/\.map$/, '');
    if (!expected.has(plain) && !KEPT.has(relative(out, path))) rmSync(path);
  }
}

/** True when .build is up to date. Says what it does through `say`; the compiler's findings go to stderr. */
export async function ensureBuild({ say = (line) => process.stderr.write(`build: ${line}\n`) } = {}) {
  if (fresh(survey().print)) return true;
  return exclusively(lockFile, say, async () => {
    // Another process may have built while this one waited; and what is written from now on must count as newer.
    const { sources, assets, print } = survey();
    if (fresh(print)) return true;
    const start = performance.now();
    say('compiling TypeScript');
    rmSync(stampFile, { force: true });
    let ok = compile();
    if (ok && sources.some((path) => !existsSync(compiled(path)))) {
      // The compiler trusts its own notes: outputs that somebody removed are not written again until those go.
      rmSync(buildInfo, { force: true });
      ok = compile();
    }
    if (!ok) {
      say('FAILED: the sources have type errors (above); nothing is started. Mend them, or restore the files.');
      return false;
    }
    for (const path of assets) {
      const target = join(out, relative(root, path));
      mkdirSync(dirname(target), { recursive: true });
      copyFileSync(path, target);
    }
    prune(new Set([...sources.map(compiled), ...assets.map((path) => join(out, relative(root, path)))]));
    writeFileSync(stampFile, print);
    say(`done in ${((performance.now() - start) / 1000).toFixed(1)} s`);
    return true;
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (!(await ensureBuild())) process.exitCode = 1;
}
