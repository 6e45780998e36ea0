/** `machine export`: the statechart of a definition in the format of another tool. Needs no running server. */
import { createRegistry } from '../../actors/application.ts';
import { graphOf } from '../../api/visualiser/chartgraph.ts';
import { dotOf } from '../../api/visualiser/dot.ts';
import { drawing } from '../../api/visualiser/drawing.ts';
import { Layouts } from '../../api/visualiser/layout.ts';
import { mermaidOf } from '../../api/visualiser/mermaid.ts';
import { standaloneStyle } from '../../api/visualiser/standalone.ts';
import { nearest } from '../../config/nearest.ts';
import { Catalogue } from '../../runtime/core/catalogue.ts';
import type { Chart } from '../../runtime/ports.ts';
import { UsageError } from './usage.ts';
import type { Command } from './command.ts';

const formats: Record<string, (chart: Chart) => string | Promise<string>> = {
  json: (chart) => JSON.stringify(chart, undefined, 2),
  mermaid: mermaidOf,
  dot: dotOf,
  svg: async (chart) => {
    const layouts = new Layouts();
    try {
      return drawing(chart, await layouts.layout(graphOf(chart)), standaloneStyle);
    } finally {
      await layouts.stop();
    }
  },
};

/** One of the words, or an error that names them. */
function oneOf(given: string, known: readonly string[], what: string): string {
  if (known.includes(given)) return given;
  const best = nearest(given, known);
  throw new UsageError(
    `${what} "${given.slice(0, 40)}" is not known; known are ${known.join(', ')}${best === undefined ? '' : `; did you mean "${best}"?`}`,
  );
}

export const machineCommands: readonly Command[] = [
  {
    words: 'machine export',
    positionals: 'NAME',
    summary: 'the statechart of a definition; needs no server',
    options: {
      format: { type: 'string', value: 'F', describe: `one of ${Object.keys(formats).join(', ')} (default: json)` },
    },
    examples: ['machine export task --format svg > task.svg', 'machine export agent --format mermaid'],
    run: async ({ positionals: [name = ''], text, output }) => {
      const catalogue = new Catalogue(createRegistry());
      const known = catalogue.charts().map(({ definition }) => definition);
      const chart = catalogue.chart(oneOf(name, known, 'definition'))!;
      const format = oneOf(text('format') ?? 'json', Object.keys(formats), '--format');
      output.line((await formats[format]!(chart)).trimEnd());
      return 0;
    },
  },
];
