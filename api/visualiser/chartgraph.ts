/** A statechart as the graph that is laid out: boxes with the size of what stands in them, and edges with their labels. */
import type { Chart, ChartEdge, ChartState } from '../../runtime/ports.ts';
import { fonts, lineHeight, textWidth } from './sizing.ts';

/** What stays of several transitions between the same two states: one way, with a line of text for each. */
export interface Way {
  id: string;
  from: string;
  to: string;
  /** It leads to a state that is written earlier: laid out the other way round, so that what comes first stands above. */
  back: boolean;
  lines: { edge: string; text: string }[];
}

export interface GraphNode {
  id: string;
  width?: number;
  height?: number;
  layoutOptions?: Record<string, string>;
  children?: GraphNode[];
}

export interface GraphEdge {
  id: string;
  sources: [string];
  targets: [string];
  labels?: { id: string; text: string; width: number; height: number }[];
}

export interface Graph extends GraphNode {
  edges: GraphEdge[];
}

export const initialPrefix = 'initial:';
const statePadding = 14;
const stateHeight = 36;

const rootOptions: Record<string, string> = {
  'elk.algorithm': 'layered',
  'elk.direction': 'DOWN',
  'elk.hierarchyHandling': 'INCLUDE_CHILDREN',
  'elk.edgeRouting': 'ORTHOGONAL',
  'elk.json.edgeCoords': 'ROOT',
  'elk.json.shapeCoords': 'ROOT',
  'elk.layered.considerModelOrder.strategy': 'NODES_AND_EDGES',
  'elk.layered.spacing.nodeNodeBetweenLayers': '26',
  'elk.layered.spacing.edgeNodeBetweenLayers': '14',
  'elk.layered.nodePlacement.strategy': 'NETWORK_SIMPLEX',
  'elk.spacing.nodeNode': '26',
  'elk.spacing.edgeNode': '16',
  'elk.spacing.edgeEdge': '12',
  'elk.spacing.edgeLabel': '4',
  'elk.edgeLabels.inline': 'true',
  'elk.padding': '[top=12,left=12,bottom=12,right=12]',
};

/** What a transition is called in the picture: `fail [current]`, `after backoff`, `[full]`. */
export function labelOf({ kind, event, guard }: ChartEdge): string {
  const condition = guard === undefined ? '' : `[${guard}]`;
  const name = kind === 'after' ? `after ${event}` : kind === 'always' ? '' : event;
  return [name, condition].filter((part) => part !== '').join(' ') || 'always';
}

/** Transitions that lead nowhere, as lines in the box of their state. */
export function innerLines(chart: Chart): Map<string, { edge: string; text: string }[]> {
  const lines = new Map<string, { edge: string; text: string }[]>();
  for (const edge of chart.edges) {
    if (edge.to !== undefined) continue;
    lines.set(edge.from, [...(lines.get(edge.from) ?? []), { edge: edge.id, text: `↻ ${labelOf(edge)}` }]);
  }
  return lines;
}

export function waysOf(chart: Chart): Way[] {
  const ways = new Map<string, Way>();
  const order = new Map(chart.states.map(({ id }, index) => [id, index]));
  const place = (id: string): number => order.get(id) ?? 0;
  for (const edge of chart.edges) {
    if (edge.to === undefined) continue;
    const key = `${edge.from} ${edge.to}`;
    const way = ways.get(key) ?? {
      id: `w${ways.size}`,
      from: edge.from,
      to: edge.to,
      back: place(edge.to) < place(edge.from),
      lines: [],
    };
    way.lines.push({ edge: edge.id, text: labelOf(edge) });
    ways.set(key, way);
  }
  return [...ways.values()];
}

export function graphOf(chart: Chart): Graph {
  const children = new Map<string | undefined, ChartState[]>();
  for (const state of chart.states) children.set(state.parent, [...(children.get(state.parent) ?? []), state]);
  const inner = innerLines(chart);
  const starts: GraphEdge[] = [];
  const node = (state: ChartState): GraphNode => {
    const lines = inner.get(state.id) ?? [];
    const width = Math.max(
      textWidth(state.key, fonts.state) + 2 * statePadding,
      ...lines.map(({ text }) => textWidth(text, fonts.edge) + 2 * statePadding),
    );
    const below = children.get(state.id) ?? [];
    if (below.length === 0) return { id: state.id, width, height: stateHeight + lines.length * lineHeight };
    const top = 30 + lines.length * lineHeight;
    const parts = below.map(node);
    if (state.initial !== undefined) {
      const start = initialPrefix + state.id;
      parts.unshift({ id: start, width: 10, height: 10 });
      starts.push({ id: `start:${state.id}`, sources: [start], targets: [state.initial] });
    }
    return {
      id: state.id,
      children: parts,
      layoutOptions: {
        'elk.padding': `[top=${top + 8},left=18,bottom=18,right=18]`,
        'elk.nodeSize.constraints': 'MINIMUM_SIZE',
        'elk.nodeSize.minimum': `(${width},${top})`,
      },
    };
  };
  const edges = waysOf(chart).map(({ id, from, to, back, lines }): GraphEdge => {
    const text = lines.map((line) => line.text).join('\n');
    const width = Math.max(...lines.map((line) => textWidth(line.text, fonts.edge))) + 8;
    return {
      id,
      sources: [back ? to : from],
      targets: [back ? from : to],
      labels: [{ id: `${id}:label`, text, width, height: lines.length * lineHeight + 2 }],
    };
  });
  return {
    id: 'chart',
    layoutOptions: rootOptions,
    children: (children.get(undefined) ?? []).map(node),
    edges: [...starts, ...edges],
  };
}
