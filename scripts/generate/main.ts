/**
 * Writes what is generated from code: the state diagrams, the configuration, metrics and error references, the OpenAPI
 * document. With `--check` it writes nothing and says what is stale (exit 1). Usage: npm run generate [-- --check]
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createRegistry } from '../../actors/application.ts';
import { configReference } from '../../config/reference.ts';
import { chartOf } from '../../runtime/core/graph.ts';
import { createMetrics } from '../../runtime/telemetry/metrics.ts';
import { mermaidOf } from '../../api/visualiser/mermaid.ts';

interface Generated {
  /** Path from the root of the repository. */
  file: string;
  /** Name of the section between markers; absent where the whole file is generated. */
  section?: string;
  text: string;
}

/** From `.build/scripts/generate` or `scripts/generate`: the root of the repository. */
function repositoryRoot(): string {
  const here = fileURLToPath(new URL('../../', import.meta.url));
  return here.endsWith('/.build/') ? here.slice(0, -'.build/'.length) : here;
}

function diagrams(): Generated {
  const text = createRegistry()
    .all()
    .map((definition) => `### ${definition.id}\n\n\`\`\`mermaid\n${mermaidOf(chartOf(definition))}\n\`\`\``)
    .join('\n\n');
  return { file: 'actors/README.md', section: 'state diagrams', text };
}

function metrics(): Generated {
  const described = createMetrics({
    site: { name: 'primary', version: '0' },
    pair: () => undefined,
    lanes: () => [],
    census: () => new Map(),
    shardsHeld: () => 0,
    shards: 0,
    shardsRefused: () => 0,
    readAgeMs: () => 0,
    groups: () => Promise.resolve([]),
    projection: () => [],
    dependencies: () => Promise.resolve([]),
    certificates: () => [],
    agentStatus: (state) => state,
    taskStatus: (state) => state,
  }).describe();
  const rows = described.map(
    ({ name, type, labels, help }) => `| \`${name}\` | ${type} | ${labels.join(', ') || '-'} | ${help} |`,
  );
  return {
    file: 'deploy/README.md',
    section: 'metrics',
    text: ['| metric | kind | labels | meaning |', '|---|---|---|---|', ...rows].join('\n'),
  };
}

function place({ file, section, text }: Generated, present: string): string {
  if (section === undefined) return text;
  const [start, end] = [`<!-- generated: ${section} -->`, `<!-- end: ${section} -->`];
  const from = present.indexOf(start);
  const to = present.indexOf(end);
  if (from === -1 || to < from) throw new Error(`${file} lacks the markers ${start} and ${end}`);
  return `${present.slice(0, from + start.length)}\n${text}\n${present.slice(to)}`;
}

const root = repositoryRoot();
const check = process.argv.includes('--check');
const stale: string[] = [];
const all: Generated[] = [
  diagrams(),
  metrics(),
  { file: 'config/README.md', section: 'configuration', text: configReference() },
];
for (const generated of all) {
  const path = `${root}${generated.file}`;
  const present = readFileSync(path, 'utf8');
  const wanted = place(generated, present);
  if (wanted === present) continue;
  stale.push(generated.file);
  if (!check) writeFileSync(path, wanted);
}
if (stale.length > 0) console.error(`${check ? 'stale' : 'written'}: ${stale.join(', ')}`);
if (check && stale.length > 0) {
  console.error('run: npm run generate');
  process.exitCode = 1;
}
