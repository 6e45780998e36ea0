// What may stand in the root, what may stand in no file, and how long a file may be.
import { homedir } from 'node:os';
import { isText, read, report, root, trackedFiles } from './tree.mjs';

const ROOT = new Set([
  ...['package.json', 'tsconfig.json', 'runtime', 'actors', 'api', 'config', 'scripts', 'deploy', 'tests'],
  ...['README.md', 'package-lock.json', 'LICENSE'],
]);
const LINES_WARN = 350;

const SOURCE = /\.(?:ts|mjs|cjs|lua|sql|py|sh|html|css)$/;
/** This file and its test name what they forbid. */
const SELF = 'scripts/check/root.mjs';

const findings = [];
const warnings = [];
const files = trackedFiles();

for (const name of new Set(files.map((path) => path.split('/')[0]))) {
  if (!ROOT.has(name) && !name.startsWith('.')) {
    findings.push(`${name}: may not stand in the root; move it into the folder that uses it`);
  }
}

/** [pattern, which files, what it is, how to mend it, whether a comment in the line above excuses it] */
const forbidden = [
  [
    /"resolved":\s*"http/,
    /^package-lock\.json$/,
    'the address of a registry',
    'run npm install again; .npmrc leaves it out',
  ],
  [/\b(?:TODO|FIXME|XXX)\b/, SOURCE, 'an unfinished note', 'do it, or file an issue'],
  [/^(?!\s*(?:\*|\/\/|\/\*)).*\bas any\b/, /\.ts$/, 'any', 'give it a type, or unknown and a check'],
  [/@ts-(?:ignore|nocheck)/, /\.(?:ts|mjs)$/, 'a switched-off compiler', 'mend the types'],
  [/\b(?:test|it|describe)\.only\(/, /^tests\//, '.only, which hides all other tests', 'remove it'],
  [
    /\b(?:test|it|describe)\.(?:skip|todo)\(/,
    /^tests\//,
    'a skipped test',
    'say why in a comment in the line above',
    true,
  ],
  [
    /\b(?:test|it|describe)\.(?:skipIf|runIf)\(/,
    /^tests\//,
    'a skipped test',
    'say why in a comment in the line above',
    true,
  ],
  [
    /eslint-disable(?!.* -- \S)/,
    /\.(?:ts|mjs)$/,
    'a rule switched off without a reason',
    'write: eslint-disable... -- reason',
  ],
];

function commentAbove(lines, index) {
  return /^\s*(?:\/\/|\*\/|\*|\/\*)/.test(lines[index - 1] ?? '');
}

const places = [root, homedir()].filter((path) => path.split('/').filter(Boolean).length >= 2);

for (const path of files) {
  if (!isText(path) || path === SELF) continue;
  const lines = read(path).split('\n');
  lines.forEach((line, index) => {
    for (const place of places) {
      if (line.includes(place))
        findings.push(`${path}:${index + 1}: holds ${place}, a path of this machine; make it relative`);
    }
    for (const [pattern, where, what, mend, excusable] of forbidden) {
      if (!where.test(path) || !pattern.test(line)) continue;
      if (excusable && commentAbove(lines, index)) continue;
      findings.push(`${path}:${index + 1}: ${what}; ${mend}`);
    }
  });
  if (/\.(?:ts|mjs|lua)$/.test(path) && !path.startsWith('tests/') && lines.length > LINES_WARN) {
    warnings.push(`${path}: ${lines.length} lines; a file of one concept is rarely above 300`);
  }
}
report('root', findings, warnings);
