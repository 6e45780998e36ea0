/** A statechart in the language of Graphviz. */
import type { Chart, ChartState } from '../../runtime/ports.ts';
import { labelOf, waysOf } from './chartgraph.ts';

export function dotOf(chart: Chart): string {
  const children = new Map<string | undefined, ChartState[]>();
  for (const state of chart.states) children.set(state.parent, [...(children.get(state.parent) ?? []), state]);
  const lines = [
    `digraph ${quoted(chart.definition)} {`,
    '  compound=true; rankdir=TB; fontname="sans-serif";',
    '  node [shape=box, style=rounded, fontname="sans-serif"]; edge [fontname="sans-serif", fontsize=10];',
  ];
  const visit = (state: ChartState, indent: string): void => {
    const below = children.get(state.id);
    if (!below) {
      const final = state.type === 'final' ? ', peripheries=2' : '';
      lines.push(`${indent}${quoted(state.id)} [label=${quoted(state.key)}${final}];`);
      return;
    }
    lines.push(`${indent}subgraph ${quoted(`cluster ${state.id}`)} {`, `${indent}  label=${quoted(state.key)};`);
    if (state.initial !== undefined) lines.push(`${indent}  ${quoted(`initial ${state.id}`)} [shape=point, label=""];`);
    for (const child of below) visit(child, `${indent}  `);
    lines.push(`${indent}}`);
  };
  for (const root of children.get(undefined) ?? []) visit(root, '  ');
  // An edge of Graphviz joins boxes; one of a cluster is cut off at its border.
  const inside = (id: string): string => {
    const [first] = children.get(id) ?? [];
    return first ? inside(first.id) : id;
  };
  const border = (id: string, end: 'ltail' | 'lhead'): string[] =>
    children.has(id) ? [`${end}=${quoted(`cluster ${id}`)}`] : [];
  for (const { id, initial } of chart.states)
    if (initial !== undefined)
      lines.push(
        `  ${quoted(`initial ${id}`)} -> ${quoted(inside(initial))} [${border(initial, 'lhead').join(', ')}];`,
      );
  for (const { from, to, lines: words } of waysOf(chart)) {
    const label = `label=${quoted(words.map(({ text }) => text).join('\n'))}`;
    const attributes = [label, ...border(from, 'ltail'), ...border(to, 'lhead')].join(', ');
    lines.push(`  ${quoted(inside(from))} -> ${quoted(inside(to))} [${attributes}];`);
  }
  for (const edge of chart.edges)
    if (edge.to === undefined)
      lines.push(
        `  ${quoted(inside(edge.from))} -> ${quoted(inside(edge.from))} [style=dotted, label=${quoted(labelOf(edge))}];`,
      );
  return `${lines.join('\n')}\n}\n`;
}

function quoted(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
}
