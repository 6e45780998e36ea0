// Everything between a fresh clone and a program that runs: Node's version, dependencies, build. Plain Node without
// dependencies, because it runs before there are any. All words go to stderr: stdout belongs to the program.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureBuild } from './build.mjs';
import { exclusively } from './lock.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const modules = join(root, 'node_modules');
const stampFile = join(modules, '.installed.sha256');
const lockFile = join(root, '.cache/setup.lock');

function readJson(path) {
  return JSON.parse(readFileSync(path, 'utf8'));
}

function nodeProblem() {
  const wanted = /(\d+)\.(\d+)/.exec(readJson(join(root, 'package.json')).engines.node);
  const [major, minor] = process.versions.node.split('.').map(Number);
  const enough = major > Number(wanted[1]) || (major === Number(wanted[1]) && minor >= Number(wanted[2]));
  if (enough) return undefined;
  return `Node ${process.versions.node} is too old: ${wanted[0]} or newer is needed. Install a newer Node and start again.`;
}

function lockHash() {
  return createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
}

/** True when what npm says it installed is what the lock file asks for. Optional packages may be missing. */
function installedAsLocked() {
  const noted = join(modules, '.package-lock.json');
  if (!existsSync(noted)) return false;
  const installed = readJson(noted).packages;
  const wanted = Object.entries(readJson(join(root, 'package-lock.json')).packages).filter(([path]) => path !== '');
  return wanted.every(([path, entry]) => {
    const have = installed[path];
    if (have === undefined) return entry.optional === true;
    return have.version === entry.version && existsSync(join(root, path, 'package.json'));
  });
}

function npm(args) {
  // Under `npm run` this is the very npm that runs us, which need not be the one on PATH.
  const npmCli = process.env.npm_execpath;
  const viaNode = npmCli !== undefined && /\.c?js$/.test(npmCli) && existsSync(npmCli);
  const [file, before] = viaNode ? [process.execPath, [npmCli]] : ['npm', []];
  return spawnSync(file, [...before, ...args], { cwd: root, stdio: ['ignore', 2, 2] });
}

async function ensureDependencies(say) {
  const fresh = () => existsSync(stampFile) && readFileSync(stampFile, 'utf8') === lockHash();
  if (fresh()) return true;
  return exclusively(lockFile, say, async () => {
    if (fresh()) return true;
    if (!installedAsLocked()) {
      const start = performance.now();
      say('installing dependencies (npm ci)');
      // The build needs the development dependencies, whatever NODE_ENV or a user's npm settings say.
      const { status, error } = npm([
        'ci',
        '--loglevel=warn',
        '--include=dev',
        '--include=optional',
        '--no-audit',
        '--no-fund',
      ]);
      if (error !== undefined) {
        say(`FAILED: npm could not be started (${error.message}). Install npm, which comes with Node.`);
        return false;
      }
      if (status !== 0) {
        say('FAILED: npm ci did not succeed (its words are above). Check the network and run: npm ci');
        return false;
      }
      say(`dependencies installed in ${((performance.now() - start) / 1000).toFixed(1)} s`);
    }
    writeFileSync(stampFile, lockHash());
    return true;
  });
}

/** True when the programs in .build can be started; otherwise the reason has been printed. */
export async function ensureSetup({ quiet = false } = {}) {
  const say = (line) => {
    if (!quiet || line.startsWith('FAILED')) process.stderr.write(`setup: ${line}\n`);
  };
  const problem = nodeProblem();
  if (problem !== undefined) {
    say(`FAILED: ${problem}`);
    return false;
  }
  return (await ensureDependencies(say)) && (await ensureBuild({ say }));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (await ensureSetup()) process.stderr.write('setup: ready\n');
  else process.exitCode = 1;
}
