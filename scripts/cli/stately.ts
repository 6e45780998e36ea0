/**
 * An actor in the events of `@statelyai/inspect` (0.7): what an inspector of Stately shows of a machine that runs elsewhere.
 * The past comes first, without its contexts, which only a replay has; the present has everything.
 */
import type { Chart, ChartState } from '../../runtime/core/graph.ts';

/** Version of the form of the events, as its senders write it. */
const version = '0.7.2';

export interface StatelyEvent {
  type: '@xstate.actor' | '@xstate.event' | '@xstate.snapshot';
  sessionId: string;
  rootId: string;
  /** Milliseconds since 1970. */
  createdAt: string;
  id: string;
  _version: string;
  [member: string]: unknown;
}

export interface Step {
  event: string;
  payload?: Record<string, unknown>;
  /** `open.held.running` */
  state: string;
  /** Revision: orders the steps. */
  revision: number;
  at: string;
  by?: string;
}

export class StatelyStory {
  readonly #address: string;
  readonly #chart: Chart;
  #number = 0;

  constructor(address: string, chart: Chart) {
    this.#address = address;
    this.#chart = chart;
  }

  /** Introduces the actor. */
  actor(state: string | undefined, context: unknown, at: string): StatelyEvent {
    return {
      ...this.#base('@xstate.actor', at),
      name: this.#address,
      parentId: undefined,
      definition: JSON.stringify(configOf(this.#chart)),
      snapshot: this.#snapshot(state, context),
    };
  }

  /** One transition: the event that came, and where it led. */
  step({ event, payload, state, at, by }: Step, context?: unknown): StatelyEvent[] {
    const told = { ...payload, type: event };
    return [
      { ...this.#base('@xstate.event', at), event: told, ...(by !== undefined && { sourceId: by }) },
      { ...this.#base('@xstate.snapshot', at), event: told, snapshot: this.#snapshot(state, context) },
    ];
  }

  #base(type: StatelyEvent['type'], at: string): StatelyEvent {
    const [address, number] = [this.#address, this.#number++];
    const createdAt = String(Date.parse(at));
    return { type, sessionId: address, rootId: address, createdAt, id: `${address}#${number}`, _version: version };
  }

  #snapshot(state: string | undefined, context: unknown): object {
    if (state === undefined) return { status: 'active' };
    const [root] = this.#chart.states;
    const last = this.#chart.states.find(({ id }) => id === `${root!.id}.${state}`);
    const status = last?.type === 'final' && last.parent === root!.id ? 'done' : 'active';
    return { status, value: valueOf(state), ...(context !== undefined && { context }) };
  }
}

/** `open.held` as XState writes it, `{open: 'held'}`. Parallel regions stay the text that they are. */
function valueOf(state: string): unknown {
  if (state.includes(',')) return state;
  const parts = state.split('.');
  return parts.slice(0, -1).reduceRight<unknown>((inner, name) => ({ [name]: inner }), parts.at(-1)!);
}

interface Node {
  id?: string;
  type?: string;
  initial?: string;
  states?: Record<string, Node>;
  on?: Record<string, Way[]>;
  after?: Record<string, Way[]>;
  always?: Way[];
  onDone?: Way[];
}

interface Way {
  target?: string;
  guard?: string;
}

/** The configuration of a machine without its functions, from its chart. */
function configOf({ definition, states, edges }: Chart): Node {
  const nodes = new Map(states.map((state) => [state.id, nodeOf(state)]));
  for (const { id, key, parent } of states) {
    const above = parent === undefined ? undefined : nodes.get(parent);
    if (above) (above.states ??= {})[key] = nodes.get(id)!;
  }
  for (const { from, to, event, kind, guard } of edges)
    waysOf(nodes.get(from)!, kind, event).push({
      ...(to !== undefined && { target: `#${to}` }),
      ...(guard !== undefined && { guard }),
    });
  return { ...nodes.get(states[0]!.id), id: definition };
}

function nodeOf({ id, type, initial }: ChartState): Node {
  return {
    id,
    ...((type === 'final' || type === 'parallel' || type === 'history') && { type }),
    ...(initial !== undefined && { initial: initial.split('.').at(-1)! }),
  };
}

function waysOf(node: Node, kind: Chart['edges'][number]['kind'], event: string): Way[] {
  switch (kind) {
    case 'event':
      return ((node.on ??= {})[event] ??= []);
    case 'after':
      return ((node.after ??= {})[event] ??= []);
    case 'always':
      return (node.always ??= []);
    case 'done':
      return (node.onDone ??= []);
  }
}
