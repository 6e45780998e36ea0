/** One task type: its waiting tasks by tenant, kind and key, and the agents that serve it. A fold of what actors are (R11). */
import { limits } from '../../config/limits.ts';
import type { Address } from '../../runtime/protocol/ids.ts';
import type { TaskContext } from '../task/attempt.ts';
import type { TaskStatus } from '../task/status.ts';
import type { Seat } from './fit.ts';
import { Flow, type Kind } from './flow.ts';
import { Gate } from './gate.ts';
import { rankOf, type ReadyQueue, type ReadyTask } from './ready.ts';

/** Where a waiting task stands that is not plain. */
export interface Spot {
  readonly flow: Flow;
  readonly kind: Kind;
  readonly gate: Gate | undefined;
}

const holding: ReadonlySet<string> = new Set(['assigned', 'running', 'cancelling']);

export class Lane {
  readonly type: string;
  paused = false;
  /** Agents that may be given work, with or without a free slot; and the ones with one. */
  readonly agents = new Map<string, Seat>();
  readonly withRoom = new Map<string, Seat>();
  freeSlots = 0;
  readonly held = new Set<Address>();
  readonly flows = new Map<string, Flow>();
  readonly gates = new Map<string, Gate>();
  /** Gates that changed since their surplus was looked at. */
  readonly changed = new Set<Gate>();
  /** Turns of the tenant that was served last, before it was. */
  turn = 0;
  /** Tasks that ask for nothing, of no tenant: most. */
  readonly plain: ReadyQueue;
  readonly #spots = new Map<Address, Spot>();
  #sweepAt: number = limits.idleTenantsMax;
  readonly #gateOf = new Map<Address, Gate>();

  constructor(type: string) {
    this.type = type;
    const flow = new Flow('');
    this.flows.set('', flow);
    this.plain = flow.kind(undefined).queue;
  }

  get queued(): number {
    return this.plain.size + this.#spots.size;
  }

  /** Tenants with tasks that wait. */
  get tenants(): number {
    let tenants = 0;
    for (const { tenant, waiting } of this.flows.values()) if (tenant !== '' && waiting > 0) tenants++;
    return tenants;
  }

  /** Tasks that do not stand in the queue for agents, because another one of their key goes first. */
  get behindKeys(): number {
    let behind = 0;
    for (const { queue, next } of this.gates.values()) behind += queue.size - (next ? 1 : 0);
    return behind;
  }

  /** Whether everything that waits is plain. */
  get simple(): boolean {
    return this.#spots.size === 0 && this.changed.size === 0;
  }

  spot(address: Address): Spot | undefined {
    return this.#spots.get(address) ?? (this.plain.has(address) ? this.#plainSpot : undefined);
  }

  get #plainSpot(): Spot {
    const flow = this.flows.get('')!;
    return { flow, kind: flow.kind(undefined), gate: undefined };
  }

  observeTask(address: Address, status: TaskStatus | undefined, context: TaskContext | undefined): void {
    if (status !== undefined && holding.has(status)) this.held.add(address);
    else this.held.delete(address);
    const gate = this.#observeKey(address, status, context);
    if (status === 'queued' && context) this.#queue(address, context, gate);
    else this.#leave(address);
    if (gate) this.#settle(gate);
  }

  observeAgent(agent: string, seat: Seat | undefined): void {
    this.freeSlots -= this.agents.get(agent)?.freeSlots ?? 0;
    this.agents.delete(agent);
    this.withRoom.delete(agent);
    if (!seat) return;
    this.agents.set(agent, seat);
    if (seat.freeSlots > 0) this.withRoom.set(agent, seat);
    this.freeSlots += seat.freeSlots;
  }

  /** A tenant had its turn. */
  served(flow: Flow, now: number): void {
    this.turn = Math.max(this.turn, flow.turns);
    flow.turns++;
    flow.servedAt = now;
  }

  /** Tasks that are soon to be assigned, as far as that can be told without looking at room. */
  heads(count: number): Address[] {
    if (this.simple) return this.plain.best(count).map(({ address }) => address);
    const found: Address[] = [];
    for (const flow of this.flows.values())
      for (const { queue } of flow.kinds.values()) {
        const share = Math.max(1, Math.ceil(count / (this.flows.size + flow.kinds.size)));
        for (const { address } of queue.best(share)) found.push(address);
        if (found.length >= 2 * count) return found;
      }
    return found;
  }

  oldestQueuedAt(): number | undefined {
    let oldest: number | undefined;
    const look = (queue: ReadyQueue): void => {
      const at = queue.oldestQueuedAt();
      if (at !== undefined && (oldest === undefined || at < oldest)) oldest = at;
    };
    for (const flow of this.flows.values()) for (const { queue } of flow.kinds.values()) look(queue);
    for (const { queue } of this.gates.values()) look(queue);
    return oldest;
  }

  #queue(address: Address, context: TaskContext, gate: Gate | undefined): void {
    const { demand, tenant, queuedAt, attempt } = context;
    const rank = rankOf(queuedAt, context.priority);
    if (demand === undefined && tenant === undefined) {
      const flow = this.flows.get('')!;
      if (this.plain.size === 0) flow.turns = Math.max(flow.turns, this.turn);
      this.plain.add(address, rank, queuedAt, attempt + 1);
      return;
    }
    const flow = this.#flow(tenant ?? '');
    const kind = flow.kind(demand);
    if (!this.#spots.has(address)) flow.waiting++;
    this.#spots.set(address, { flow, kind, gate });
    (gate ?? kind).queue.add(address, rank, queuedAt, attempt + 1, demand);
  }

  #leave(address: Address): void {
    const spot = this.#spots.size > 0 ? this.#spots.get(address) : undefined;
    if (!spot) {
      this.plain.remove(address);
      return;
    }
    this.#spots.delete(address);
    spot.flow.waiting--;
    spot.gate?.queue.remove(address);
    if (spot.gate?.next?.address === address) spot.gate.next = undefined;
    spot.kind.queue.remove(address);
    spot.flow.drop(spot.kind);
  }

  #observeKey(address: Address, status: TaskStatus | undefined, context: TaskContext | undefined): Gate | undefined {
    const key = context?.demand?.concurrency?.key;
    let gate = this.#gateOf.size > 0 ? this.#gateOf.get(address) : undefined;
    if (key === undefined && !gate) return undefined;
    if (!gate) {
      // Neither may have control characters.
      const name = `${context?.tenant ?? ''}\n${key!}`;
      gate = this.gates.get(name) ?? new Gate(name, key!);
      gate.observe(address, status, context);
      if (!gate.members.has(address)) return undefined;
      this.gates.set(name, gate);
    } else gate.observe(address, status, context);
    if (gate.members.has(address)) this.#gateOf.set(address, gate);
    else this.#gateOf.delete(address);
    this.changed.add(gate);
    return gate;
  }

  /** The right task of a key stands in the queue for agents, or none. */
  #settle(gate: Gate): void {
    const wanted = gate.candidate(0);
    const { next } = gate;
    if (next && next !== wanted) {
      const spot = this.#spots.get(next.address);
      spot?.kind.queue.remove(next.address);
      if (spot) spot.flow.drop(spot.kind);
    }
    gate.next = wanted;
    if (wanted) this.#enqueue(wanted);
    if (!gate.empty) return;
    this.changed.delete(gate);
    this.gates.delete(gate.name);
  }

  #enqueue({ address, rank, queuedAt, attempt, demand }: ReadyTask): void {
    const spot = this.#spots.get(address);
    if (!spot) return;
    const kind = spot.flow.kind(demand);
    if (kind !== spot.kind) this.#spots.set(address, { ...spot, kind });
    kind.queue.add(address, rank, queuedAt, attempt, demand);
  }

  #flow(tenant: string): Flow {
    let flow = this.flows.get(tenant);
    if (!flow) {
      flow = new Flow(tenant);
      this.flows.set(tenant, flow);
      if (this.flows.size > this.#sweepAt) this.#sweep();
    }
    // Whoever had nothing to do takes turns from now on; it has not saved any up.
    if (flow.waiting === 0) flow.turns = Math.max(flow.turns, this.turn);
    return flow;
  }

  /** Forgets tenants without tasks that have no turn to wait for. */
  #sweep(): void {
    for (const [tenant, flow] of this.flows)
      if (tenant !== '' && flow.waiting === 0 && flow.turns <= this.turn) this.flows.delete(tenant);
    this.#sweepAt = Math.max(limits.idleTenantsMax, 2 * this.flows.size);
  }
}
