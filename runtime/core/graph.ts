/** A definition's statechart as data: what the diagrams, the lints and the visualiser draw from. */
import type { AnyStateNode } from 'xstate';
import type { LoadedDefinition } from './definition.ts';

export interface ChartState {
  id: string;
  /** Own name, the last part of the id. */
  key: string;
  type: 'atomic' | 'compound' | 'parallel' | 'final' | 'history';
  parent: string | undefined;
  /** Id of the child that is entered first, for a compound state. */
  initial: string | undefined;
}

export interface ChartEdge {
  /** `e` and the number of the edge in the chart. */
  id: string;
  from: string;
  /** Absent where the event only acts. */
  to: string | undefined;
  /** Event type; empty for `always`; for a timer its delay's name. */
  event: string;
  kind: 'event' | 'after' | 'always' | 'done';
  guard: string | undefined;
}

export interface Chart {
  definition: string;
  /** Changes when the structure does: `<version>-<structural hash>`. */
  version: string;
  /** Parents before their children. */
  states: ChartState[];
  edges: ChartEdge[];
  /** Events that may be sent as commands, and those that agents report. */
  commands: string[];
  reports: string[];
}

export function chartOf(definition: LoadedDefinition): Chart {
  const states: ChartState[] = [];
  const edges: Omit<ChartEdge, 'id'>[] = [];
  const visit = (node: AnyStateNode): void => {
    states.push({
      id: node.id,
      key: node.key,
      type: node.type,
      parent: node.parent?.id,
      initial: node.initial?.target[0]?.id,
    });
    for (const [type, transitions] of node.transitions)
      for (const transition of transitions)
        edges.push(edge(node, type, transition.target?.[0]?.id, guardName(transition.guard)));
    for (const transition of node.always ?? [])
      edges.push({
        from: node.id,
        to: transition.target?.[0]?.id,
        event: '',
        kind: 'always',
        guard: guardName(transition.guard),
      });
    for (const child of Object.values(node.states)) visit(child);
  };
  visit(definition.machine.root);
  const reports = [...(definition.reports ?? [])];
  return {
    definition: definition.id,
    version: definition.versionTag,
    states,
    edges: edges.map((one, index) => ({ id: `e${index}`, ...one })),
    commands: Object.keys(definition.events).filter((type) => !reports.includes(type)),
    reports,
  };
}

function edge(
  node: AnyStateNode,
  type: string,
  to: string | undefined,
  guard: string | undefined,
): Omit<ChartEdge, 'id'> {
  const after = `.${node.id}`;
  if (type.startsWith('xstate.after.') && type.endsWith(after))
    return { from: node.id, to, event: type.slice('xstate.after.'.length, -after.length), kind: 'after', guard };
  if (type.startsWith('xstate.done.state.')) return { from: node.id, to, event: 'done', kind: 'done', guard };
  return { from: node.id, to, event: type, kind: 'event', guard };
}

function guardName(guard: unknown): string | undefined {
  if (guard === undefined) return undefined;
  if (typeof guard === 'string') return guard;
  if (typeof guard === 'object' && guard !== null && 'type' in guard) return String(guard.type);
  if (typeof guard === 'function' && 'guards' in guard && Array.isArray(guard.guards))
    return guard.guards.map((part) => guardName(part) ?? 'guard').join(' and ');
  return 'guard';
}
