/**
 * Transitions with their structure worked out once.
 *
 * XState's interpreter derives exit sets, entry sets and the state value anew for every transition, and copies the whole
 * snapshot for every `assign`: most of what a step costs. For a machine of nested states without regions none of that
 * depends on the context: it is a property of (innermost state, transition), so it is planned at first use and kept.
 * Which transition is taken, guards, actions, params and delays stay XState's own code, called in its order. A machine
 * with regions, history, `always` or outputs has no plan and goes through XState whole. A property test holds both
 * together, for the built-in machines and for generated ones.
 */
import type { AnyActorScope, AnyMachineSnapshot, AnyStateMachine, AnyStateNode } from 'xstate';
import type { StateValue } from '../protocol/envelope.ts';

interface Event {
  readonly type: string;
}

/** An action as a machine names it, and an implementation as XState's action creators make it. */
type Action = string | Implementation | { readonly type: string; readonly params?: unknown };
interface Implementation {
  (...args: never[]): unknown;
  readonly type?: string;
  readonly assignment?: Assigner | Readonly<Record<string, unknown>>;
  readonly resolve?: (
    scope: AnyActorScope,
    snapshot: AnyMachineSnapshot,
    args: object,
    params: unknown,
    action: Implementation,
    extra: { internalQueue: Event[] },
  ) => [snapshot: AnyMachineSnapshot, params: unknown, more: readonly Action[] | undefined];
  readonly execute?: unknown;
}
type Assigner = (args: object, params: unknown) => object;

interface Transition {
  readonly source: AnyStateNode;
  readonly target: readonly AnyStateNode[] | undefined;
  readonly reenter: boolean;
  readonly actions: readonly Action[];
}

/** How XState chooses among the transitions of one state: the first whose guard holds. */
interface Selecting {
  next(snapshot: AnyMachineSnapshot, event: Event): readonly Transition[] | undefined;
}

/** An action with its implementation found. */
interface Deed {
  readonly type: string;
  readonly implementation: Implementation | undefined;
  readonly params: unknown;
}

interface Move {
  /** In order: of the states that are left, of the transition, of the states that are entered. */
  readonly deeds: readonly Deed[];
  readonly to: Place;
  /** Tells that a state is complete, after everything that the deeds raise. */
  readonly done: Event | undefined;
}

/** One innermost state and its ancestors: a whole configuration of the machine. */
interface Place {
  /** Innermost first. */
  readonly nodes: readonly AnyStateNode[];
  /** XState's own snapshot of the configuration; only its context is replaced. */
  readonly template: AnyMachineSnapshot;
  readonly moves: Map<Transition, Move>;
}

export class Plan {
  readonly #machine: AnyStateMachine;
  readonly #places = new Map<AnyStateNode, Place>();
  #birth: Move | undefined;

  private constructor(machine: AnyStateMachine) {
    this.#machine = machine;
  }

  /** Undefined where the structure of a transition depends on more than the innermost state. */
  static of(machine: AnyStateMachine): Plan | undefined {
    const plain = (node: AnyStateNode): boolean =>
      (node.type === 'atomic' || node.type === 'final' || node.type === 'compound') &&
      !node.always?.length &&
      node.invoke.length === 0 &&
      node.output === undefined &&
      [...node.transitions.values()].flat().every((transition) => (transition.target?.length ?? 0) <= 1) &&
      Object.values(node.states).every(plain);
    return machine.root.type === 'compound' && plain(machine.root) ? new Plan(machine) : undefined;
  }

  /** As `machine.getInitialSnapshot`, except that what is thrown is thrown, and not kept in the snapshot. */
  initial(input: unknown, scope: AnyActorScope): AnyMachineSnapshot {
    const { config, root } = this.#machine;
    const { context } = config;
    const made: unknown =
      typeof context === 'function' ? context({ input, self: scope.self, spawn } as never) : context;
    this.#birth ??= this.#planned([], [], [], [root, ...defaultsBelow(root)], undefined);
    const blank = { ...this.#birth.to.template, status: 'active', context: { ...(made as object) } };
    return this.#settle(this.#birth, blank as AnyMachineSnapshot, { type: 'xstate.init', input } as Event, scope);
  }

  /** As `machine.transition`: the very same snapshot where nothing takes the event. */
  transition(snapshot: AnyMachineSnapshot, event: Event, scope: AnyActorScope): AnyMachineSnapshot {
    const move = this.#taken(snapshot, event);
    return move ? this.#settle(move, snapshot, event, scope) : snapshot;
  }

  /** As `machine.resolveState` of what is stored. */
  restore(value: StateValue, context: object): AnyMachineSnapshot {
    return { ...this.#placeOf(value).template, context };
  }

  /** Makes a move, and what the events that it raises lead to. */
  #settle(first: Move, before: AnyMachineSnapshot, event: Event, scope: AnyActorScope): AnyMachineSnapshot {
    const raised: Event[] = [];
    let snapshot = this.#made(first, before, event, scope, raised);
    const { maxIterations = Infinity } = this.#machine.options ?? {};
    for (let steps = 1; raised.length > 0 && snapshot.status === 'active'; steps++) {
      if (steps > maxIterations) throw new Error(`the machine took more than ${maxIterations} steps for one event`);
      const next = raised.shift()!;
      const move = this.#taken(snapshot, next);
      if (move) snapshot = this.#made(move, snapshot, next, scope, raised);
    }
    return snapshot;
  }

  #made(
    move: Move,
    before: AnyMachineSnapshot,
    event: Event,
    scope: AnyActorScope,
    raised: Event[],
  ): AnyMachineSnapshot {
    const acted = this.#perform(move.deeds, before, event, scope, raised);
    if (move.done) raised.push(move.done);
    const { template } = move.to;
    if (before._nodes === template._nodes && before.status === template.status) return acted;
    return { ...template, context: acted.context };
  }

  #taken(snapshot: AnyMachineSnapshot, event: Event): Move | undefined {
    const place = this.#placeOf(snapshot.value as StateValue);
    for (const node of place.nodes) {
      const transition = (node as unknown as Selecting).next(snapshot, event)?.[0];
      if (!transition) continue;
      let move = place.moves.get(transition);
      if (!move) {
        move = this.#moveOf(place, transition);
        place.moves.set(transition, move);
      }
      return move;
    }
    return undefined;
  }

  #moveOf(place: Place, { source, target: targets, reenter, actions }: Transition): Move {
    const target = targets?.[0];
    if (!target) return { deeds: this.#deeds(actions), to: place, done: undefined };
    // Nothing outside of the domain is left or entered; without one, everything is.
    const inside = !reenter && (target === source || isBelow(target, source));
    const domain = inside ? source : (commonAncestor(target, source) ?? (reenter ? undefined : this.#machine.root));
    const within = (node: AnyStateNode): boolean => domain === undefined || isBelow(node, domain);
    const left = place.nodes.filter(within);
    const above = target === domain ? [] : ancestorsOf(target).filter(within).reverse();
    const onto =
      target === source && target === domain && !reenter ? defaultsBelow(target) : [target, ...defaultsBelow(target)];
    return this.#planned(left, actions, above, onto, place);
  }

  /** @param onto the target and what is entered in it by default: their initial actions are taken too */
  #planned(
    left: readonly AnyStateNode[],
    actions: readonly Action[],
    above: readonly AnyStateNode[],
    onto: readonly AnyStateNode[],
    from: Place | undefined,
  ): Move {
    const leaf = onto[onto.length - 1];
    const to = leaf ? this.#place(leaf) : from!;
    const completed = leaf?.type === 'final' ? leaf.parent : undefined;
    const ended = completed !== undefined && completed.parent === undefined;
    const all: readonly Action[] = [
      ...left.flatMap((node) => node.exit as Action[]),
      ...actions,
      ...above.flatMap((node) => node.entry as Action[]),
      ...onto.flatMap((node) => [...node.entry, ...node.initial.actions] as Action[]),
      ...(ended ? to.nodes.flatMap((node) => node.exit as Action[]) : []),
    ];
    return {
      deeds: this.#deeds(all),
      to,
      done: completed && ({ type: `xstate.done.state.${completed.id}`, output: undefined } as Event),
    };
  }

  #deeds(actions: readonly Action[]): Deed[] {
    return actions.map((action) => {
      if (typeof action === 'function')
        return { type: action.type ?? action.name, implementation: action, params: undefined };
      const type = typeof action === 'string' ? action : action.type;
      const implementations = this.#machine.implementations.actions as Record<string, Implementation | undefined>;
      const params = typeof action === 'string' ? undefined : action.params;
      return { type, implementation: implementations[type], params };
    });
  }

  #place(leaf: AnyStateNode): Place {
    let place = this.#places.get(leaf);
    if (!place) {
      const nodes = [leaf, ...ancestorsOf(leaf)];
      let value: StateValue = leaf.key;
      for (const node of nodes.slice(1, -1)) value = { [node.key]: value };
      const template = this.#machine.resolveState({ value, context: {} } as never) as AnyMachineSnapshot;
      place = { nodes, template, moves: new Map() };
      this.#places.set(leaf, place);
    }
    return place;
  }

  #placeOf(value: StateValue): Place {
    let node: AnyStateNode = this.#machine.root;
    for (let rest: StateValue | undefined = value; rest !== undefined;) {
      let key: string;
      if (typeof rest === 'string') [key, rest] = [rest, undefined];
      else [[key, rest]] = Object.entries(rest) as [[string, StateValue]];
      node = node.states[key] as AnyStateNode;
    }
    return this.#place(node);
  }

  /** Performs actions in order: `assign` changes the context that the later ones see, everything else is asked for. */
  #perform(
    deeds: readonly Deed[],
    before: AnyMachineSnapshot,
    event: Event,
    scope: AnyActorScope,
    raised: Event[],
  ): AnyMachineSnapshot {
    let snapshot = before;
    let own: AnyMachineSnapshot | undefined;
    for (const { type, implementation, params } of deeds) {
      const { context } = snapshot;
      const given: unknown = typeof params === 'function' ? params({ context, event }) : params;
      if (implementation?.assignment !== undefined) {
        const update = assigned(
          implementation.assignment,
          { context, event, self: scope.self, system: scope.system, spawn },
          given,
        );
        if (snapshot !== own) snapshot = own = { ...snapshot };
        own.context = Object.assign({}, context, update);
        continue;
      }
      const args = { context, event, self: scope.self, system: scope.system };
      if (!implementation?.resolve) {
        scope.actionExecutor({ type, info: args, params: given, exec: implementation } as never);
        continue;
      }
      const extra = { internalQueue: raised };
      const [next, resolved, more] = implementation.resolve(scope, snapshot, args, given, implementation, extra);
      snapshot = next;
      if ('execute' in implementation)
        scope.actionExecutor({ type: implementation.type, info: args, params: resolved } as never);
      if (more) snapshot = this.#perform(this.#deeds(more), snapshot, event, scope, raised);
    }
    return snapshot;
  }
}

function assigned(assignment: NonNullable<Implementation['assignment']>, args: object, params: unknown): object {
  if (typeof assignment === 'function') return assignment(args, params);
  const update: Record<string, unknown> = {};
  for (const key in assignment) {
    const value = assignment[key];
    update[key] = typeof value === 'function' ? (value as Assigner)(args, params) : value;
  }
  return update;
}

/** An actor made inside of `assign` would not survive its process. */
function spawn(): never {
  throw new Error('spawn is not durable; use the effect "spawn"');
}

/** Innermost first, the root last. */
function ancestorsOf(node: AnyStateNode): AnyStateNode[] {
  const ancestors: AnyStateNode[] = [];
  for (let above = node.parent; above; above = above.parent) ancestors.push(above);
  return ancestors;
}

function isBelow(node: AnyStateNode, above: AnyStateNode): boolean {
  return ancestorsOf(node).includes(above);
}

/** The innermost state that has both strictly inside of it. */
function commonAncestor(left: AnyStateNode, right: AnyStateNode): AnyStateNode | undefined {
  return ancestorsOf(left).find((node) => isBelow(right, node));
}

function defaultsBelow(node: AnyStateNode): AnyStateNode[] {
  const [first] = node.type === 'compound' ? (node.initial.target as AnyStateNode[]) : [];
  return first ? [first, ...defaultsBelow(first)] : [];
}
