/** `orchestrator machine export`: the statechart of a definition in the format of another tool. Needs no running server. */
import { parseArgs } from 'node:util';
import { createRegistry } from '../../actors/application.ts';
import { graphOf } from '../../api/visualiser/chartgraph.ts';
import { dotOf } from '../../api/visualiser/dot.ts';
import { drawing } from '../../api/visualiser/drawing.ts';
import { Layouts } from '../../api/visualiser/layout.ts';
import { mermaidOf } from '../../api/visualiser/mermaid.ts';
import { standaloneStyle } from '../../api/visualiser/standalone.ts';
import { Catalogue } from '../../runtime/core/catalogue.ts';
import type { Chart } from '../../runtime/ports.ts';
import { UsageError } from './usage.ts';

export const machineUsage = `  machine export NAME
                  the statechart of a definition, on standard output
    --format F      json, mermaid, dot or svg (default: json)`;

const formats: Record<string, (chart: Chart) => string | Promise<string>> = {
  json: (chart) => `${JSON.stringify(chart, undefined, 2)}\n`,
  mermaid: (chart) => `${mermaidOf(chart)}\n`,
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

export async function machineCommand(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    options: { format: { type: 'string', default: 'json' } },
    allowPositionals: true,
  });
  const [action, name, ...rest] = positionals;
  if (action !== 'export' || rest.length > 0) throw new UsageError('machine takes: export NAME');
  const catalogue = new Catalogue(createRegistry());
  const known = catalogue.charts().map(({ definition }) => definition);
  const chart = name === undefined ? undefined : catalogue.chart(name);
  if (!chart) throw new UsageError(`there is no definition "${name ?? ''}"; known: ${known.join(', ')}`);
  const format = Object.hasOwn(formats, values.format) ? formats[values.format] : undefined;
  if (!format) throw new UsageError(`--format ${values.format}: known are ${Object.keys(formats).join(', ')}`);
  process.stdout.write(await format(chart));
  return 0;
}
