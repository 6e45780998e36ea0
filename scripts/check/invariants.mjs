// R1 to R12: each stated once in runtime/README.md, cited in the code that upholds it, pinned by a test that names it.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { read, report, root, trackedFiles } from './tree.mjs';

const COUNT = 12;
const STATEMENTS = 'runtime/README.md';
const CODE = /^(?:runtime|actors|api|config)\/.*\.(?:ts|lua|sql)$/;
const TESTS = /^tests\/.*\.ts$/;
const CITATION = /\bR([1-9]\d*)\b/g;
const TITLE = /\b(?:test|it|describe)(?:\.[\w.]+(?:\([^)]*\))?)?\(\s*(['"`])((?:\\.|(?!\1)[^\\])*)\1/g;

const findings = [];
const stated = new Map();
const cited = new Map();
const tested = new Map();

function note(map, id, where) {
  map.set(id, [...(map.get(id) ?? []), where]);
}

/** The comments of a line-wise language, without its strings: `'R1'` in code is not a citation. */
function comments(path, text) {
  if (path.endsWith('.lua') || path.endsWith('.sql')) return text.match(/--.*$/gm) ?? [];
  return text.match(/\/\*[\s\S]*?\*\/|\/\/.*$/gm) ?? [];
}

if (existsSync(join(root, STATEMENTS))) {
  read(STATEMENTS)
    .split('\n')
    .forEach((line, index) => {
      const statement = /^- \*\*R(\d+)\*\*/.exec(line);
      if (statement !== null) note(stated, Number(statement[1]), `${STATEMENTS}:${index + 1}`);
    });
} else findings.push(`${STATEMENTS}: missing; it states the invariants as lines that start with - **R1**`);

for (const path of trackedFiles()) {
  if (CODE.test(path)) {
    for (const comment of comments(path, read(path))) {
      for (const [, id] of comment.matchAll(CITATION)) note(cited, Number(id), path);
    }
  } else if (TESTS.test(path)) {
    for (const [, , title] of read(path).matchAll(TITLE)) {
      for (const [, id] of title.matchAll(CITATION)) note(tested, Number(id), path);
    }
  }
}

for (let id = 1; id <= COUNT; id++) {
  const statements = stated.get(id) ?? [];
  if (statements.length === 0) findings.push(`${STATEMENTS}: R${id} is not stated; add a line - **R${id}** ...`);
  if (statements.length > 1) findings.push(`${statements.join(', ')}: R${id} is stated more than once; keep one`);
  if (!cited.has(id)) findings.push(`R${id} is cited nowhere in the code; name it in the comment where it is upheld`);
  if (!tested.has(id)) findings.push(`R${id} is in no test title; name it in the title of the test that pins it`);
}
for (const [map, kind] of [
  [stated, 'stated'],
  [cited, 'cited'],
  [tested, 'named in a test title'],
]) {
  for (const [id, where] of map) {
    if (id > COUNT) findings.push(`${where.join(', ')}: R${id} is ${kind}, but there are R1 to R${COUNT} only`);
  }
}

report('invariants', findings);
