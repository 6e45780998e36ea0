/**
 * The dispatcher of a shard: indexes over the tasks and agents of its lanes, each a fold of what the actors are, so that
 * they can be rebuilt from the snapshots and audited against them (R11). When an agent with room waits, a submit is
 * assigned in the same commit; nothing polls.
 */
import { limits } from '../../config/limits.ts';
import type { ActorView } from '../../runtime/protocol/snapshot.ts';
import type { Dispatcher, LaneStatus } from '../../runtime/ports.ts';
import type { Envelope } from '../../runtime/protocol/envelope.ts';
import type { Json, JsonObject } from '../../runtime/protocol/json.ts';
import type { Address } from '../../runtime/protocol/ids.ts';
import type { AgentContext } from '../agent/enrolment.ts';
import { rolled, type Account } from '../limit/account.ts';
import { nameOfId } from '../limit/address.ts';
import type { TaskContext } from '../task/attempt.ts';
import type { Demand } from '../task/demand.ts';
import { taskStatus } from '../task/status.ts';
import { wantedAgents } from './demand.ts';
import { seatOf } from './fit.ts';
import { Lane } from './lane.ts';
import { match, type Assignment } from './match.ts';
import { Purse } from './purse.ts';
import type { ReadyTask } from './ready.ts';
import { prospectsOf, reasonsOf, type Reason } from './reasons.ts';
import { select } from './select.ts';

const holding = new Set(['assigned', 'running', 'cancelling']);

export class LaneDispatcher implements Dispatcher {
  readonly #lanes = new Map<string, Lane>();
  /** Type of each indexed actor: a re-registration may change it. */
  readonly #typeOf = new Map<Address, string>();
  readonly #purse: Purse;
  readonly #limits = new Map<string, Account>();
  /** Actors that the last decision lacked. */
  #wanted: Address[] = [];
  /** Of the decision under way: units spent of each limit, and limits that were asked. */
  readonly #spent = new Map<string, number>();
  readonly #asked = new Set<string>();
  #more = false;

  constructor(shard = 0) {
    this.#purse = new Purse(shard);
  }

  observe(address: Address, actor: ActorView | undefined): void {
    if (address.startsWith('task/')) this.#observeTask(address, actor);
    else if (address.startsWith('agent/')) this.#observeAgent(address, address.slice('agent/'.length), actor);
    else if (address.startsWith('allotment/')) this.#purse.observe(address.slice('allotment/'.length), actor);
    else if (address.startsWith('limit/') && actor)
      this.#limits.set(nameOfId(actor.id), actor.context as unknown as Account);
    else if (address.startsWith('queue/') && actor)
      this.#lane(actor.context['type'] as string).paused = actor.state === 'paused';
  }

  candidates(incoming: number): Address[] {
    const found = this.#wanted;
    for (const lane of this.#lanes.values()) {
      if (lane.agents.size === 0 || lane.paused) continue;
      const count = Math.min(lane.freeSlots + incoming, limits.assignmentsPerBatchMax);
      for (const address of lane.heads(count)) found.push(address);
    }
    return found;
  }

  decide(now: number, loaded: (address: Address) => boolean, mint: () => string): Envelope[] {
    this.#more = false;
    this.#wanted = [];
    this.#spent.clear();
    this.#asked.clear();
    const envelopes: Envelope[] = [];
    let budget = limits.assignmentsPerBatchMax;
    for (const lane of this.#lanes.values()) {
      if (lane.changed.size === 0 && (lane.freeSlots === 0 || lane.queued === 0)) continue;
      const assignments = lane.simple
        ? this.#plain(lane, budget, loaded)
        : this.#chosen(lane, budget, loaded, now, envelopes);
      budget -= assignments.length;
      for (const { task, agent } of assignments)
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
    }
    return envelopes;
  }

  /** Nothing but order and free slots counts: most lanes, most of the time. */
  #plain(lane: Lane, budget: number, loaded: (address: Address) => boolean): Assignment<ReadyTask>[] {
    if (lane.paused) return [];
    const wanted = lane.plain.best(Math.min(lane.freeSlots, budget));
    // A task that is not in memory waits for the next batch, and no later one passes it.
    const missing = wanted.findIndex((task) => !loaded(task.address));
    if (missing !== -1 || (budget < lane.freeSlots && lane.plain.size > budget)) this.#more = true;
    return match(missing === -1 ? wanted : wanted.slice(0, missing), [...lane.withRoom.values()]);
  }

  /** @param envelopes takes what else there is to say: cancels by keys, what is spent, what is asked for */
  #chosen(
    lane: Lane,
    budget: number,
    loaded: (address: Address) => boolean,
    now: number,
    envelopes: Envelope[],
  ): Assignment<ReadyTask>[] {
    const leaving = this.#cancelSurplus(lane, loaded, envelopes);
    if (lane.paused || lane.freeSlots === 0 || lane.queued === 0) return [];
    const spendable = (name: string): number => this.#purse.spendable(name, now) - (this.#spent.get(name) ?? 0);
    const { picked, missing, spent, lacking, cut } = select(lane, { now, budget, loaded, spendable, leaving });
    this.#wanted.push(...missing);
    if (missing.length > 0 || cut) this.#more = true;
    for (const [name, units] of spent) {
      this.#spent.set(name, (this.#spent.get(name) ?? 0) + units);
      envelopes.push(this.#purse.spend(name, units));
    }
    for (const [name, units] of lacking) {
      const want = this.#asked.has(name) ? undefined : this.#purse.want(name, units);
      if (!want) continue;
      this.#asked.add(name);
      envelopes.push(want);
      // The answer may come in this very batch.
      this.#more = true;
    }
    return picked;
  }

  /** What keys with a cancelling strategy have too many of. */
  #cancelSurplus(lane: Lane, loaded: (address: Address) => boolean, envelopes: Envelope[]): ReadonlySet<Address> {
    const leaving = new Set<Address>();
    for (const gate of lane.changed) {
      let all = true;
      for (const { address } of gate.surplus()) {
        if (!loaded(address)) {
          this.#wanted.push(address);
          this.#more = true;
          all = false;
          continue;
        }
        leaving.add(address);
        this.#more = true;
        envelopes.push({ id: '', to: address, origin: 'dispatch', event: { type: 'cancel', reason: 'concurrency' } });
      }
      if (all) lane.changed.delete(gate);
    }
    return leaving;
  }

  explain(address: Address, now: number): Reason[] | undefined {
    const type = this.#typeOf.get(address);
    const lane = type === undefined ? undefined : this.#lanes.get(type);
    return lane && reasonsOf(lane, this.#purse, address, now);
  }

  /** What a task of this type will meet in the queue, when it comes there. */
  prospects(type: string, demand: Demand | undefined, now: number): Reason[] {
    return prospectsOf(this.#lanes.get(type) ?? new Lane(type), this.#purse, demand, now);
  }

  /** `{ask: "reasons", task}`, `{ask: "prospects", type, demand}`, `{ask: "lanes"}` or `{ask: "limits"}`. */
  answer(question: JsonObject, now: number): JsonObject {
    switch (question['ask']) {
      case 'reasons':
        return {
          reasons: (this.explain(`task/${String(question['task'] as string)}`, now) ?? null) as unknown as Json,
        };
      case 'prospects': {
        const demand = question['demand'] as unknown as Demand | undefined;
        return { reasons: this.prospects(String(question['type'] as string), demand, now) as unknown as Json };
      }
      case 'lanes':
        return { lanes: this.lanes(now) as unknown as Json };
      case 'limits':
        return {
          limits: [...this.#limits].map(([name, account]) => ({ name, ...rolled(account, now) })) as unknown as Json,
        };
      default:
        return {};
    }
  }

  more(): boolean {
    return this.#more;
  }

  lanes(now: number): LaneStatus[] {
    return [...this.#lanes].map(([type, lane]) => {
      let slots = 0;
      for (const agent of lane.agents.values()) slots += agent.slots;
      const demand = { queued: lane.queued, running: lane.held.size, agents: lane.agents.size, slots };
      return {
        ...{ type, ...demand, wantedAgents: wantedAgents(demand) },
        ...{ freeSlots: lane.freeSlots, paused: lane.paused },
        ...{ tenants: lane.tenants, behindKeys: lane.behindKeys },
        oldestQueuedMs: Math.max(0, now - (lane.oldestQueuedAt() ?? now)),
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
    const keyed = [...(lane?.gates.values() ?? [])].reduce((sum, { held }) => sum + held, 0);
    const { queued = 0, freeSlots = 0 } = lane ?? {};
    return `${queued} queued, ${lane?.held.size ?? 0} held, ${keyed} under keys, ${freeSlots} free`;
  }

  #observeTask(address: Address, actor: ActorView | undefined): void {
    const context = actor?.context as unknown as TaskContext | undefined;
    const type = context?.type ?? this.#typeOf.get(address);
    if (type === undefined) return;
    this.#lane(type).observeTask(address, actor && taskStatus(actor.state), context);
    if (actor && actor.status === 'active') this.#typeOf.set(address, type);
    else this.#typeOf.delete(address);
  }

  #observeAgent(address: Address, id: string, actor: ActorView | undefined): void {
    const known = this.#typeOf.get(address);
    if (known !== undefined) this.#lane(known).observeAgent(id, undefined);
    this.#typeOf.delete(address);
    if (!actor || !isAvailable(actor)) return;
    const context = actor.context as unknown as AgentContext;
    this.#lane(context.type).observeAgent(id, seatOf(id, context));
    this.#typeOf.set(address, context.type);
  }

  #lane(type: string): Lane {
    let lane = this.#lanes.get(type);
    if (!lane) this.#lanes.set(type, (lane = new Lane(type)));
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
