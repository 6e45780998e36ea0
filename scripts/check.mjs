// npm run check: everything about the sources that needs no running system. One step after another, all of them.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureSetup } from './setup.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const folders = ['runtime', 'actors', 'api', 'config', 'scripts', 'tests'];
const generator = '.build/scripts/generate/main.js';

const steps = [
  { name: 'types', tool: 'node_modules/typescript/bin/tsc', args: ['--noEmit', '-p', '.'], mend: 'mend the types' },
  {
    name: 'lint',
    tool: 'node_modules/eslint/bin/eslint.js',
    args: ['--config', 'scripts/check/eslint.config.mjs', '--max-warnings', '0', '.'],
    mend: 'node_modules/.bin/eslint --config scripts/check/eslint.config.mjs --fix .',
  },
  {
    name: 'format',
    tool: 'node_modules/prettier/bin/prettier.cjs',
    args: ['--check', '--log-level', 'warn', '.'],
    mend: 'npm run format',
  },
  {
    name: 'layers',
    tool: 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs',
    args: ['--config', 'scripts/check/layers.cjs', '--output-type', 'err-long', ...folders],
    mend: 'see the layer table in scripts/check/layers.cjs',
  },
  { name: 'invariants', tool: 'scripts/check/invariants.mjs', args: [], mend: 'see runtime/README.md' },
  { name: 'keys', tool: 'scripts/check/keys.mjs', args: [], mend: 'take keys from runtime/protocol/keys.ts' },
  { name: 'root', tool: 'scripts/check/root.mjs', args: [], mend: 'each finding says how' },
  { name: 'generated', tool: generator, args: ['--check'], mend: 'npm run generate', optional: true },
];

function runStep(step) {
  const start = performance.now();
  const { status } = spawnSync(process.execPath, [join(root, step.tool), ...step.args], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const ok = status === 0;
  console.log(`check: ${step.name} ${ok ? 'ok' : 'FAILED'} (${seconds} s)`);
  return { name: step.name, ok, mend: step.mend };
}

/** Runs all steps, whatever fails; returns `{name, ok, mend}` of each. Dependencies and the build must be there. */
export function runChecks() {
  const wanted = steps.filter((step) => step.optional !== true || existsSync(join(root, step.tool)));
  const results = wanted.map(runStep);
  const failed = results.filter((step) => !step.ok);
  for (const step of failed) console.log(`check: ${step.name} failed; mend it with: ${step.mend}`);
  if (failed.length === 0) console.log(`check: all ${results.length} steps ok`);
  return results;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (!(await ensureSetup())) process.exit(1);
  if (runChecks().some((step) => !step.ok)) process.exitCode = 1;
}
