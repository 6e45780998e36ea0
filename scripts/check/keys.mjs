// Redis keys are spelled in one file, and in the one library of functions that gets their prefix from it.
import { read, report, trackedFiles } from './tree.mjs';

const ALLOWED = new Set(['runtime/protocol/keys.ts', 'runtime/redis/functions.lua']);
const CODE = /^(?:runtime|actors|api|config|scripts)\/.*\.(?:ts|lua)$/;
/** Samples of agents in other languages speak the wire protocol, where keys come from the welcome message. */
const SPELLINGS = [
  [/\{s(?:\$\{|\d+\}|' ?\.\.|" ?\.\.)/, 'a shard hash tag'],
  [
    /[`'"][^`'"\n]*\}:(?:commands|outbound|journal|snapshots|timers|lease|mailboxes|readers|inbox|outbox)\b/,
    'a shard key',
  ],
];

const findings = [];
for (const path of trackedFiles()) {
  if (!CODE.test(path) || ALLOWED.has(path)) continue;
  read(path)
    .split('\n')
    .forEach((line, index) => {
      // Prose may show what a key looks like.
      const code = line.replace(/(?:^\s*\*|\/\/|\/\*|--).*$/, '');
      for (const [pattern, what] of SPELLINGS) {
        if (pattern.test(code)) {
          findings.push(`${path}:${index + 1}: spells ${what}; take it from runtime/protocol/keys.ts`);
        }
      }
    });
}
report('keys', findings);
