/** One shard decided in memory, batch by batch, with the real machines: tasks with demands, agents, limits, queues. */
import type { LaneDispatcher } from '../../actors/dispatch/dispatcher.ts';
import type { Reason } from '../../actors/dispatch/reasons.ts';
import type { AgentContext } from '../../actors/agent/enrolment.ts';
import { allotmentAddress, limitAddress } from '../../actors/limit/address.ts';
import type { Account } from '../../actors/limit/account.ts';
import { queueAddress } from '../../actors/queue/address.ts';
import type { TaskContext } from '../../actors/task/attempt.ts';
import { taskStatus, type TaskStatus } from '../../actors/task/status.ts';
import { beforeQueue, stateReasons, type StateReason } from '../../actors/task/reasons.ts';
import { stateOf, viewOf } from '../../runtime/core/actor.ts';
import type { Entry } from '../../runtime/core/decision.ts';
import type { MachineEvent } from '../../runtime/protocol/envelope.ts';
import { address, type Address } from '../../runtime/protocol/ids.ts';
import type { ActorView, StoredActor } from '../../runtime/protocol/snapshot.ts';
import type { JsonObject } from '../../runtime/protocol/json.ts';
import { commandEntry, createBench, reportEntry, type Bench } from './decisions.ts';

export class DispatchBed {
  readonly bench: Bench = createBench();
  now = 1_000_000;
  /** Tasks in the order in which they were assigned. */
  readonly assigned: string[] = [];
  #submitted = 0;
  readonly #agents: string[] = [];

  get dispatcher(): LaneDispatcher {
    return this.bench.world.dispatcher as LaneDispatcher;
  }

  /** Decides until nothing is left to do at this time. */
  settle(entries: readonly Entry[] = []): void {
    let next = [...entries];
    for (let round = 0; round < 1_000; round++) {
      const due = this.bench.world.alarms.due(this.now, 1_000).map(({ actor, timer }) => `${actor} ${timer}`);
      const decided = this.bench.run(next, this.now, due);
      const records = this.bench.records(decided);
      for (const { event, actor } of records)
        if (event?.type === 'assign') this.assigned.push(actor.slice('task/'.length));
      next = decided.commit.deferred.map((envelope, index) => ({
        source: 'commands',
        id: `${round}-${index}`,
        fields: ['derived', JSON.stringify([envelope])],
      }));
      if (next.length === 0 && !decided.more && due.length === 0) return;
    }
    throw new Error('the shard does not come to rest');
  }

  /** Time passes; timers ring when they are due, agents are heard of every few seconds. */
  pass(ms: number): void {
    for (let left = ms; left > 0; left -= 5_000) {
      this.now += Math.min(left, 5_000);
      this.settle(this.#agents.map((agent) => reportEntry(agent, { kind: 'heartbeat' })));
    }
  }

  submitEntry(input: JsonObject = {}, id = `t-0-${String(++this.#submitted).padStart(6, '0')}`): Entry {
    return commandEntry({ to: address('task', id), input: { type: 'echo', ...input } });
  }

  /** @returns the id */
  submit(input: JsonObject = {}): string {
    const entry = this.submitEntry(input);
    this.settle([entry]);
    return `t-0-${String(this.#submitted).padStart(6, '0')}`;
  }

  submitMany(count: number, input: JsonObject = {}): void {
    this.settle(Array.from({ length: count }, () => this.submitEntry(input)));
  }

  agent(name: string, input: JsonObject = {}): string {
    const id = `a-0-${name}`;
    const to = address('agent', id);
    this.#agents.push(id);
    this.settle([commandEntry({ to, input: { type: 'echo', max_agents: 1_000, ...input } })]);
    return id;
  }

  tell(to: Address, event: MachineEvent): void {
    this.settle([commandEntry({ to, event })]);
  }

  setLimit(name: string, units: number, windowMs: number): void {
    this.tell(limitAddress(name), { type: 'set', units, window_ms: windowMs });
  }

  pause(event: 'pause' | 'resume', type = 'echo'): void {
    const to = queueAddress(type, 1);
    this.settle([commandEntry({ to, input: { type } }), commandEntry({ to, event: { type: event } })]);
  }

  complete(id: string, more: Record<string, string> = {}): void {
    this.end(id, 'completed', more);
  }

  /** The agent starts it, if it has not, and reports how it ended. */
  end(id: string, how: 'completed' | 'failed' | 'released', more: Record<string, string> = {}): void {
    const { agent = '', token = '' } = this.task(id);
    const report = { task: id, token };
    const said = { completed: { result: '1' }, failed: { error: '{"message":"no"}' }, released: {} }[how];
    const started = this.status(id) === 'assigned' ? [reportEntry(agent, { kind: 'started', ...report })] : [];
    const cancelling = this.status(id) === 'cancelling';
    this.settle([
      ...started,
      reportEntry(agent, cancelling ? { kind: 'cancelled', ...report } : { kind: how, ...report, ...said, ...more }),
    ]);
  }

  task(id: string): TaskContext {
    return this.bench.world.actors.get(address('task', id))!.snapshot.context as TaskContext;
  }

  status(id: string): string {
    return taskStatus(stateOf(this.bench.world.actors.get(address('task', id))!));
  }

  reasons(id: string): Reason[] {
    return this.dispatcher.explain(address('task', id), this.now) ?? [];
  }

  /** Every reason that holds now, whatever the task does: as the API puts them together. */
  waiting(id: string): (Reason | StateReason)[] {
    const actor = this.bench.world.actors.get(address('task', id))!;
    const view = viewOf(actor);
    const { type, demand } = this.task(id);
    const ofState = stateReasons(view, actor.timers as StoredActor['timers'] & object, this.now);
    const status = this.status(id) as TaskStatus;
    if (status === 'queued') return this.reasons(id);
    return beforeQueue.has(status) ? [...ofState, ...this.dispatcher.prospects(type, demand, this.now)] : ofState;
  }

  codes(id: string): string[] {
    return this.reasons(id).map(({ code }) => code);
  }

  agentContext(id: string): AgentContext {
    return this.bench.world.actors.get(address('agent', id))!.snapshot.context as AgentContext;
  }

  limit(name: string): Account {
    return this.bench.world.actors.get(limitAddress(name))!.snapshot.context as Account;
  }

  /** Units that the shard could still spend. */
  allotted(name: string): number {
    const { free, untilMs } = this.bench.world.actors.get(allotmentAddress(0, name))?.snapshot.context as {
      free: number;
      untilMs: number;
    };
    return this.now < untilMs ? free : 0;
  }

  tasks(...statuses: string[]): { id: string; context: TaskContext }[] {
    const found: { id: string; context: TaskContext }[] = [];
    for (const [to, actor] of this.bench.world.actors)
      if (actor && to.startsWith('task/') && statuses.includes(taskStatus(stateOf(actor))))
        found.push({ id: actor.id, context: actor.snapshot.context as TaskContext });
    return found;
  }

  /** What the auditor finds (R11). */
  drift(): string[] {
    return this.dispatcher.audit(
      [...this.bench.world.actors].flatMap(([to, actor]): [Address, ActorView][] =>
        actor ? [[to, viewOf(actor)]] : [],
      ),
    );
  }
}
