/** Random histories of a whole shard, commit by commit: what must hold after each of them. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { agentStatus } from '../../actors/agent/status.ts';
import { LaneDispatcher } from '../../actors/dispatch/dispatcher.ts';
import { fleetAddress } from '../../actors/fleet/address.ts';
import { taskStatus } from '../../actors/task/status.ts';
import { freeze, stateOf, stateTextOf, viewOf, type Actor } from '../../runtime/core/actor.ts';
import type { Decided } from '../../runtime/core/batch.ts';
import type { Entry } from '../../runtime/core/decision.ts';
import { step } from '../../runtime/core/step.ts';
import type { Envelope, StateValue } from '../../runtime/protocol/envelope.ts';
import { parseAddress, type Address } from '../../runtime/protocol/ids.ts';
import type { ActorView } from '../../runtime/protocol/snapshot.ts';
import { commandEntry, createBench, reportEntry, type Bench } from '../support/decisions.ts';

const agents = ['a-0-1', 'a-0-2', 'a-0-3'];
const types = ['echo', 'sum'];
const agentsMax = 2;

/** What may come to the shard, told by numbers, so that it fits whatever the shard is by then. */
type Came =
  | { kind: 'submit'; id: number; type: number; priority: number; watched: boolean }
  | { kind: 'register'; agent: number; type: number; slots: number }
  | { kind: 'command'; to: number; event: string }
  | { kind: 'report'; agent: number; pick: number; report: string; stale: boolean }
  | { kind: 'heartbeat'; agent: number };

const came: fc.Arbitrary<Came> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('submit' as const),
      id: fc.nat(15),
      type: fc.nat(1),
      priority: fc.nat(2),
      watched: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('register' as const),
      agent: fc.nat(2),
      type: fc.nat(1),
      slots: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('command' as const),
      to: fc.nat(15),
      event: fc.constantFrom('cancel', 'redrive', 'pause', 'resume', 'drain', 'retire'),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('report' as const),
      agent: fc.nat(2),
      pick: fc.nat(5),
      report: fc.constantFrom(
        'started',
        'started',
        'progress',
        'completed',
        'failed',
        'released',
        'cancelled',
        'goodbye',
      ),
      stale: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('heartbeat' as const), agent: fc.nat(2) }) },
);

class Shard {
  readonly bench: Bench = createBench();
  readonly #stored = new Map<Address, string>();
  readonly #replayed = new Map<Address, Actor>();
  #deferred: Envelope[] = [];
  #number = 0;
  now = 1_000_000;

  /** Decides a batch, and looks at everything. */
  commit(list: readonly Came[], waitMs: number): Decided {
    this.now += waitMs;
    const due = this.bench.world.alarms.due(this.now, 500).map(({ actor, timer }) => `${actor} ${timer}`);
    const entries = list.flatMap((one) => this.#entry(one) ?? []);
    if (this.#deferred.length > 0)
      entries.unshift({
        source: 'commands',
        id: `${++this.#number}-9`,
        fields: ['derived', JSON.stringify(this.#deferred)],
      });
    const decided = this.bench.run(entries, this.now, due);
    this.#deferred = decided.commit.deferred;
    this.#check(decided);
    return decided;
  }

  get waits(): boolean {
    return this.#deferred.length > 0;
  }

  #held(agent: string): string[] {
    return [...this.bench.world.actors.values()].flatMap((actor) =>
      actor?.address.startsWith('task/') && actor.snapshot.context.agent === agent ? [actor.id] : [],
    );
  }

  #entry(one: Came): Entry | undefined {
    switch (one.kind) {
      case 'submit': {
        const input = {
          ...{ type: types[one.type]!, priority: one.priority },
          ...(one.watched && { timeouts: { heartbeat_ms: 4_000, schedule_to_close_ms: 60_000 } }),
        };
        return commandEntry({ to: `task/t-0-${one.id}`, input });
      }
      case 'register':
        return commandEntry({
          to: `agent/${agents[one.agent]!}`,
          input: { type: types[one.type]!, slots: one.slots, max_agents: agentsMax },
        });
      case 'command':
        return commandEntry({
          to: one.event === 'cancel' || one.event === 'redrive' ? `task/t-0-${one.to}` : `agent/${agents[one.to % 3]!}`,
          event: { type: one.event },
        });
      case 'report': {
        const agent = agents[one.agent]!;
        if (one.report === 'goodbye' && one.pick > 0) return undefined;
        const held = this.#held(agent);
        const task = held[one.pick % Math.max(1, held.length)] ?? 't-0-none';
        const token = this.bench.world.actors.get(`task/${task}`)?.snapshot.context.token as string | undefined;
        const fields = { kind: one.report, task, token: one.stale && one.pick === 0 ? 'stale' : (token ?? '') };
        return reportEntry(agent, { ...fields, error: '{"message":"no"}', result: '[1]', progress: '0.5' });
      }
      case 'heartbeat': {
        const agent = agents[one.agent]!;
        const attempts = this.#held(agent).map((task) => ({ task, token: 'any' }));
        return reportEntry(agent, { kind: 'heartbeat', attempts: JSON.stringify(attempts) });
      }
    }
  }

  #check(decided: Decided): void {
    const { world } = this.bench;
    const { commit } = decided;
    expect(commit.setAside).toEqual([]);
    expect(commit.outbound).toEqual([]);
    this.#replay(decided);
    for (const [address, text] of commit.snapshots)
      if (text === null) this.#stored.delete(address);
      else this.#stored.set(address, text);

    const actors = [...world.actors.values()].filter((actor) => actor !== null);
    // R9: what is stored is what is in memory, and what the journal gives.
    const stored = Object.fromEntries(this.#stored);
    expect(Object.fromEntries(actors.map((actor) => [actor.address, freeze(actor)]))).toEqual(stored);
    expect(Object.fromEntries([...this.#replayed].map(([address, actor]) => [address, freeze(actor)]))).toEqual(stored);
    // The alarms are the next timers of the actors.
    const set = actors.flatMap(({ address, timers }) => {
      const dues = Object.entries(timers).map(
        ([id, value]) => [typeof value === 'number' ? value : value[0], id] as const,
      );
      const [first] = dues.sort(([one, left], [other, right]) => one - other || (left < right ? -1 : 1));
      return first ? [`${address} ${first[1]}`] : [];
    });
    expect(this.bench.alarms().sort()).toEqual(set.sort());
    // The census counts what is there.
    const census: Record<string, number> = {};
    for (const actor of actors) {
      const key = `${actor.definition.id} ${stateTextOf(actor)}`;
      census[key] = (census[key] ?? 0) + 1;
    }
    expect(Object.fromEntries([...world.census].filter(([, count]) => count !== 0))).toEqual(census);
    if (!this.waits) this.#checkSlots(actors, decided);
  }

  /** R11: index and actors agree; nobody has more than its slots; no slot is free while a task of its type waits. */
  #checkSlots(actors: readonly Actor[], decided: Decided): void {
    const { dispatcher } = this.bench.world;
    const views = actors.map((actor): [Address, ActorView] => [actor.address, viewOf(actor)]);
    expect(dispatcher.audit(views)).toEqual([]);
    const rebuilt = new LaneDispatcher();
    for (const [address, view] of views) rebuilt.observe(address, view);
    const lanes = (list: ReturnType<LaneDispatcher['lanes']>): object =>
      Object.fromEntries(
        list.filter((lane) => lane.queued + lane.running + lane.agents > 0).map((lane) => [lane.type, lane]),
      );
    expect(lanes(dispatcher.lanes(this.now))).toEqual(lanes(rebuilt.lanes(this.now)));
    for (const { queued, freeSlots } of dispatcher.lanes(this.now))
      expect(queued === 0 || freeSlots === 0 || decided.more).toBe(true);
    const fleet = actors.find(({ address }) => address === fleetAddress);
    const members = Object.keys((fleet?.snapshot.context.members as object | undefined) ?? {});
    expect(members.length).toBeLessThanOrEqual(agentsMax);
    for (const { address, id, snapshot } of actors) {
      if (!address.startsWith('agent/')) continue;
      const status = agentStatus(snapshot.value as StateValue);
      // The fleet counts who is here, and nobody who is not.
      if (status === 'LOST' || status === 'RETIRED') expect(members).not.toContain(id);
      else if (status !== 'REGISTERING') expect(members).toContain(id);
      expect(Object.keys(snapshot.context.holding as object).length).toBeLessThanOrEqual(
        snapshot.context.slots as number,
      );
    }
  }

  /** R9: the journal is enough. */
  #replay(decided: Decided): void {
    for (const record of this.bench.records(decided)) {
      const envelope: Envelope = {
        ...{ id: record.id, to: record.actor, origin: record.origin },
        ...(record.input && { input: record.input }),
        ...(record.event && { event: record.event }),
      };
      const definition = this.bench.world.registry.get(parseAddress(record.actor)!.definition)!;
      const decision = step(definition, this.#replayed.get(record.actor), envelope, this.now);
      expect(decision.outcome).toBe(record.outcome ?? 'applied');
      if (decision.outcome === 'retired') this.#replayed.delete(record.actor);
      if (decision.outcome !== 'applied') continue;
      expect(decision.actor.revision).toBe(record.revision);
      this.#replayed.set(record.actor, decision.actor);
    }
  }
}

const batch = fc.tuple(fc.array(came, { maxLength: 6 }), fc.constantFrom(0, 1, 500, 3_000, 16_000, 61_000));

test('R9, R11: after every commit of any history, store, journal, clocks, census and index say the same', () => {
  fc.assert(
    fc.property(fc.array(batch, { maxLength: 25 }), (batches) => {
      const shard = new Shard();
      for (const [list, waitMs] of batches) shard.commit(list, waitMs);
    }),
    { numRuns: 120 },
  );
});

test('R1, R11: left alone with a working agent, every task comes to its end', () => {
  fc.assert(
    fc.property(fc.array(batch, { maxLength: 12 }), (batches) => {
      const shard = new Shard();
      for (const [list, waitMs] of batches) shard.commit(list, waitMs);
      const tasks = (): Actor[] =>
        [...shard.bench.world.actors.values()].filter(
          (actor) => actor !== null && actor.address.startsWith('task/'),
        ) as Actor[];
      const open = (): Actor[] =>
        tasks().filter((actor) => actor.snapshot.status === 'active' && taskStatus(stateOf(actor)) !== 'parked');
      for (let round = 0; round < 400 && open().length > 0; round++) {
        const list: Came[] = [0, 1].flatMap((agent): Came[] => [
          ...(round % 8 === 0 ? [{ kind: 'register' as const, agent, type: agent, slots: 3 }] : []),
          ...[0, 1, 2].map((pick) => ({ kind: 'report' as const, agent, pick, report: 'completed', stale: false })),
        ]);
        shard.commit(list, 2_000);
      }
      expect(open().map((actor) => [actor.id, stateTextOf(actor), actor.timers])).toEqual([]);
    }),
    { numRuns: 25 },
  );
});
