/**
 * The dispatcher of a shard: indexes over the tasks and agents of its lanes, each a fold of what the actors are, so that
 * they can be rebuilt from the snapshots and audited against them (R11). When an agent with room waits, a submit is
 * assigned in the same commit; nothing polls.
 */
import { limits } from '../../config/limits.ts';
import type { ActorView } from '../../runtime/protocol/snapshot.ts';
import type { Dispatcher, LaneStatus } from '../../runtime/ports.ts';
import type { Envelope } from '../../runtime/protocol/envelope.ts';
import type { Address } from '../../runtime/protocol/ids.ts';
import type { AgentContext } from '../agent/enrolment.ts';
import type { TaskContext } from '../task/attempt.ts';
import { taskStatus } from '../task/status.ts';
import { wantedAgents } from './demand.ts';
import { match, type Room } from './match.ts';
import { rankOf, ReadyQueue } from './ready.ts';

interface AgentRoom extends Room {
  readonly slots: number;
  readonly inUse: number;
  readonly batch: boolean;
}

interface Lane {
  readonly ready: ReadyQueue;
  /** Agents that may be given work, with or without a free slot. */
  readonly agents: Map<string, AgentRoom>;
  /** The ones with a free slot. */
  readonly withRoom: Map<string, AgentRoom>;
  freeSlots: number;
  held: number;
}

const holding = new Set(['assigned', 'running', 'cancelling']);

export class LaneDispatcher implements Dispatcher {
  readonly #lanes = new Map<string, Lane>();
  /** Type of each indexed actor: a re-registration may change it. */
  readonly #typeOf = new Map<Address, string>();
  readonly #held = new Set<Address>();
  #more = false;

  observe(address: Address, actor: ActorView | undefined): void {
    if (address.startsWith('task/')) this.#observeTask(address, actor);
    else if (address.startsWith('agent/')) this.#observeAgent(address, actor);
  }

  candidates(incoming: number): Address[] {
    const found: Address[] = [];
    for (const lane of this.#lanes.values()) {
      if (lane.agents.size === 0 || lane.ready.size === 0) continue;
      const count = Math.min(lane.freeSlots + incoming, limits.assignmentsPerBatchMax);
      for (const task of lane.ready.best(count)) found.push(task.address);
    }
    return found;
  }

  decide(_now: number, loaded: (address: Address) => boolean, mint: () => string): Envelope[] {
    this.#more = false;
    const envelopes: Envelope[] = [];
    for (const lane of this.#lanes.values()) {
      if (lane.freeSlots === 0 || lane.ready.size === 0) continue;
      const room = limits.assignmentsPerBatchMax - envelopes.length;
      const wanted = lane.ready.best(Math.min(lane.freeSlots, room));
      // A task that is not in memory waits for the next batch, and no later one passes it.
      const missing = wanted.findIndex((task) => !loaded(task.address));
      const ready = missing === -1 ? wanted : wanted.slice(0, missing);
      for (const { task, agent } of match(ready, [...lane.withRoom.values()]))
        envelopes.push({
          id: '',
          to: task.address,
          origin: 'dispatch',
          event: {
            type: 'assign',
            agent,
            token: mint(),
            attempt: task.attempt,
            ...(lane.agents.get(agent)?.batch && { batch: true }),
          },
        });
      if (missing !== -1 || (room < lane.freeSlots && lane.ready.size > room)) this.#more = true;
    }
    return envelopes;
  }

  more(): boolean {
    return this.#more;
  }

  lanes(now: number): LaneStatus[] {
    return [...this.#lanes].map(([type, lane]) => {
      let slots = 0;
      for (const agent of lane.agents.values()) slots += agent.slots;
      const demand = { queued: lane.ready.size, running: lane.held, agents: lane.agents.size, slots };
      return {
        ...{ type, ...demand, wantedAgents: wantedAgents(demand) },
        freeSlots: lane.freeSlots,
        oldestQueuedMs: Math.max(0, now - (lane.ready.oldestQueuedAt() ?? now)),
      };
    });
  }

  audit(actors: Iterable<[Address, ActorView]>): string[] {
    const truth = new LaneDispatcher();
    const holders = new Map<string, Set<string>>();
    const claimed = new Map<string, Set<string>>();
    for (const [address, actor] of actors) {
      truth.observe(address, actor);
      if (address.startsWith('agent/'))
        claimed.set(actor.id, new Set(Object.keys((actor.context as unknown as AgentContext).holding)));
      const agent = (actor.context as unknown as TaskContext).agent;
      if (address.startsWith('task/') && holding.has(taskStatus(actor.state)) && agent !== undefined)
        (holders.get(agent) ?? holders.set(agent, new Set()).get(agent)!).add(actor.id);
    }
    const drift: string[] = [];
    for (const agent of new Set([...holders.keys(), ...claimed.keys()])) {
      const tasks = holders.get(agent) ?? new Set();
      const slots = claimed.get(agent) ?? new Set();
      for (const task of tasks)
        if (!slots.has(task)) drift.push(`R11: ${task} names ${agent}, which has no slot for it`);
      for (const task of slots)
        if (!tasks.has(task)) drift.push(`R11: ${agent} has a slot for ${task}, which does not name it`);
    }
    for (const type of new Set([...this.#lanes.keys(), ...truth.#lanes.keys()])) {
      const [mine, other] = [this.#summary(type), truth.#summary(type)];
      if (mine !== other) drift.push(`R11: lane ${type}: the index says ${mine}, the actors say ${other}`);
    }
    return drift;
  }

  #summary(type: string): string {
    const lane = this.#lanes.get(type);
    return lane ? `${lane.ready.size} queued, ${lane.held} held, ${lane.freeSlots} free` : '0 queued, 0 held, 0 free';
  }

  #observeTask(address: Address, actor: ActorView | undefined): void {
    const context = actor?.context as unknown as TaskContext | undefined;
    const status = actor && taskStatus(actor.state);
    const type = context?.type ?? this.#typeOf.get(address);
    if (type === undefined) return;
    const lane = this.#lane(type);
    if (status === 'queued' && context)
      lane.ready.add(address, rankOf(context.queuedAt, context.priority), context.queuedAt, context.attempt + 1);
    else lane.ready.remove(address);
    const isHeld = status !== undefined && holding.has(status);
    if (isHeld !== this.#held.has(address)) {
      lane.held += isHeld ? 1 : -1;
      if (isHeld) this.#held.add(address);
      else this.#held.delete(address);
    }
    if (actor && actor.status === 'active') this.#typeOf.set(address, type);
    else this.#typeOf.delete(address);
  }

  #observeAgent(address: Address, actor: ActorView | undefined): void {
    const known = this.#typeOf.get(address);
    if (known !== undefined) this.#forgetAgent(known, address.slice('agent/'.length));
    this.#typeOf.delete(address);
    if (!actor || !isAvailable(actor)) return;
    const context = actor.context as unknown as AgentContext;
    const inUse = Object.keys(context.holding).length;
    const room: AgentRoom = {
      agent: actor.id,
      slots: context.slots,
      inUse,
      freeSlots: Math.max(0, context.slots - inUse),
      usedAt: context.usedAt,
      batch: context.batch === true,
    };
    const lane = this.#lane(context.type);
    lane.agents.set(actor.id, room);
    if (room.freeSlots > 0) lane.withRoom.set(actor.id, room);
    lane.freeSlots += room.freeSlots;
    this.#typeOf.set(address, context.type);
  }

  #forgetAgent(type: string, agent: string): void {
    const lane = this.#lane(type);
    lane.freeSlots -= lane.agents.get(agent)?.freeSlots ?? 0;
    lane.agents.delete(agent);
    lane.withRoom.delete(agent);
  }

  #lane(type: string): Lane {
    let lane = this.#lanes.get(type);
    if (!lane) {
      lane = { ready: new ReadyQueue(), agents: new Map(), withRoom: new Map(), freeSlots: 0, held: 0 };
      this.#lanes.set(type, lane);
    }
    return lane;
  }
}

/** Work goes to agents that are present, well, and neither paused nor draining. */
function isAvailable(actor: ActorView): boolean {
  if (typeof actor.state === 'string') return false;
  const present = actor.state['present'];
  if (typeof present !== 'object') return false;
  const { availability, health } = present;
  return (availability === 'idle' || availability === 'busy') && health === 'healthy';
}
