/** A statechart as a Mermaid state diagram. Text for readers; the visualiser draws its own. */
import type { Chart, ChartState } from '../../runtime/ports.ts';

export function mermaidOf(chart: Chart): string {
  const children = new Map<string | undefined, ChartState[]>();
  for (const state of chart.states) children.set(state.parent, [...(children.get(state.parent) ?? []), state]);
  const [root] = children.get(undefined) ?? [];
  if (!root) return '';
  const name = (id: string): string => id.replaceAll(/[^A-Za-z0-9]/g, '_');
  const lines = ['stateDiagram-v2'];
  const inside = (parent: ChartState, indent: string): void => {
    const list = children.get(parent.id) ?? [];
    if (parent.initial) lines.push(`${indent}[*] --> ${name(parent.initial)}`);
    for (const [index, state] of list.entries()) {
      if (parent.type === 'parallel' && index > 0) lines.push(`${indent}--`);
      const nested = children.get(state.id);
      if (nested) {
        lines.push(`${indent}state "${state.key}" as ${name(state.id)} {`);
        inside(state, `${indent}  `);
        lines.push(`${indent}}`);
      } else {
        lines.push(`${indent}state "${state.key}" as ${name(state.id)}`);
        if (state.type === 'final') lines.push(`${indent}${name(state.id)} --> [*]`);
      }
    }
  };
  inside(root, '  ');
  // Several events may take the same way: one arrow with all of them keeps the picture readable.
  const arrows = new Map<string, Set<string>>();
  for (const edge of chart.edges) {
    if (edge.to === undefined || edge.from === root.id) continue;
    const arrow = `${name(edge.from)} --> ${name(edge.to)}`;
    const label =
      edge.kind === 'after' ? `after ${edge.event}` : edge.kind === 'always' ? `[${edge.guard ?? ''}]` : edge.event;
    (arrows.get(arrow) ?? arrows.set(arrow, new Set()).get(arrow)!).add(label);
  }
  for (const [arrow, labels] of arrows) lines.push(`  ${arrow} : ${[...labels].join(', ')}`);
  return lines.join('\n');
}
