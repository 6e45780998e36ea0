/** What a batch does at its edges: when too much happens at once, and when the shard is told what is over. */
import { describe, expect, test } from 'vitest';
import { LaneDispatcher } from '../../actors/dispatch/dispatcher.ts';
import { limits } from '../../config/limits.ts';
import { viewOf } from '../../runtime/core/actor.ts';
import type { Entry } from '../../runtime/core/decision.ts';
import { retireTimer } from '../../runtime/core/step.ts';
import type { Address } from '../../runtime/protocol/ids.ts';
import { admitted, commandEntry, createBench, reportEntry, type Bench } from '../support/decisions.ts';

const agent = 'a-0-one';

/** So many submits, as many to an entry as it takes. */
function submits(count: number): Entry[] {
  return Array.from({ length: count / limits.batchEnvelopesMax }, (_, entry) => {
    const batch = Array.from({ length: limits.batchEnvelopesMax }, (_, index) => {
      const id = `t-0-${entry}x${index}`;
      return { id, to: `task/${id}`, input: { type: 'echo' } };
    });
    return { source: 'commands', id: `${entry + 1}-0`, fields: ['batch', JSON.stringify(batch)] } as const;
  });
}

function drift(bench: Bench): string[] {
  const views = [...bench.world.actors].flatMap(([address, actor]) =>
    actor ? [[address, viewOf(actor)] as [Address, ReturnType<typeof viewOf>]] : [],
  );
  const dispatcher = new LaneDispatcher();
  for (const [address, view] of views) dispatcher.observe(address, view);
  return dispatcher.audit(views);
}

const holding = (bench: Bench): string[] => {
  const actor = bench.world.actors.get(`agent/${agent}`);
  return Object.keys(viewOf(actor!).context['holding'] as object);
};

describe('R12: what actors send one another in one batch has its bound', () => {
  test('R11: a flood of submits does not hide from an agent what it was given: never over capacity', () => {
    const bench = createBench();
    admitted(bench, agent, 'echo', 3);
    const flood = bench.run(submits(limits.cascadeStepsMax + limits.batchEnvelopesMax));
    expect(flood.commit.posts.get(agent)).toHaveLength(3);
    expect(flood.commit.deferred).toEqual([]);
    const next = bench.run([]);
    expect(next.commit.posts.size).toBe(0);
    expect(holding(bench)).toHaveLength(3);
    expect(drift(bench)).toEqual([]);
  });

  test('what is beyond it waits on the command stream, and an agent that waits for word is given no work meanwhile', () => {
    const bench = createBench();
    // Watched tasks make every heartbeat a send; the agent's last word of the batch comes after them.
    const slots = 5_000;
    admitted(bench, agent, 'echo', slots);
    const timeouts = { heartbeat_ms: 60_000 };
    const ids = Array.from({ length: slots }, (_, index) => `t-0-${index}`);
    const tokens = new Map<string, string>();
    for (let at = 0; at < slots; at += limits.assignmentsPerBatchMax) {
      const part = ids.slice(at, at + limits.assignmentsPerBatchMax);
      const batch = part.map((id) => ({ id, to: `task/${id}`, input: { type: 'echo', timeouts } }));
      const { commit } = bench.run([{ source: 'commands', id: '1-0', fields: ['batch', JSON.stringify(batch)] }]);
      for (const { task = '', token = '' } of commit.posts.get(agent) ?? []) tokens.set(task, token);
    }
    expect(tokens.size).toBe(slots);
    const report = (id: string, kind: string) => ({ kind, task: id, token: tokens.get(id)! });
    for (let at = 0; at < slots; at += limits.batchEnvelopesMax)
      bench.run([
        reportEntry(agent, { batch: JSON.stringify(ids.slice(at, at + 1_000).map((id) => report(id, 'started'))) }),
      ]);
    const attempts = JSON.stringify(ids.map((id) => ({ task: id, token: tokens.get(id)! })));
    const beats = Array.from({ length: limits.cascadeStepsMax / slots }, () =>
      reportEntry(agent, { kind: 'heartbeat', attempts }),
    );
    const released = reportEntry(agent, report(ids[0]!, 'released') as never);
    const decided = bench.run([...beats, released], 3_000);
    expect(decided.commit.deferred).toMatchObject([
      { to: `agent/${agent}`, event: { type: 'release', tasks: [ids[0]] } },
    ]);
    expect(decided.commit.posts.get(agent)).toBeUndefined();
    expect(decided.more).toBe(true);
    const fields = ['derived', JSON.stringify(decided.commit.deferred)];
    const next = bench.run([{ source: 'commands', id: '9-0', fields }], 3_100);
    expect(next.commit.posts.get(agent)).toMatchObject([{ kind: 'assign', task: ids[0], attempt: '2' }]);
    expect(holding(bench)).toHaveLength(slots);
    expect(drift(bench)).toEqual([]);
  });
});

describe('R6: a timer that was read twice while its commit was under way leaves no trace', () => {
  test('of an actor that went', () => {
    const bench = createBench();
    const to: Address = 'task/t-0-x';
    bench.run([commandEntry({ to, input: { type: 'echo' } })], 1_000);
    bench.run([commandEntry({ to, event: { type: 'cancel' } })], 1_000);
    const key = `${to} ${retireTimer}`;
    expect(bench.records(bench.run([], 1e9, [key]))).toMatchObject([{ outcome: 'retired' }]);
    const again = bench.run([], 1e9, [key]);
    expect(again.commit.journal).toBeUndefined();
    expect(bench.alarms()).toEqual([]);
  });

  test('of an actor that lives', () => {
    const bench = createBench();
    admitted(bench, agent, 'echo');
    const [timer, due] = Object.entries(bench.world.actors.get(`agent/${agent}`)!.timers)[0]!;
    const key = `agent/${agent} ${timer}`;
    expect(bench.records(bench.run([], Number(due), [key]))).toHaveLength(1);
    const again = bench.run([], Number(due), [key]);
    expect(again.commit.journal).toBeUndefined();
    expect(bench.alarms()).toHaveLength(1);
  });
});

test('R10: a task whose assignment fails is set aside once, and offered no more', () => {
  const bench = createBench();
  const to: Address = 'task/t-0-x';
  bench.run([commandEntry({ to, input: { type: 'echo' } })]);
  const actor = bench.world.actors.get(to)!;
  // What only an earlier, wrong release could have stored.
  const context = { ...(actor.snapshot.context as object), parameters: 1n };
  bench.world.actors.set(to, { ...actor, snapshot: { ...actor.snapshot, context } as never });
  bench.run([commandEntry({ id: 'r', to: `agent/${agent}`, input: { type: 'echo', max_agents: 9 } })]);
  const admit = { id: 'x', to: `agent/${agent}`, origin: 'actor', event: { type: 'admitted' } };
  const derived: Entry = { source: 'commands', id: '5-0', fields: ['derived', JSON.stringify([admit])] };
  expect(bench.run([derived]).commit.setAside).toMatchObject([{ reason: 'machine-threw' }]);
  const next = bench.run([]);
  expect([next.commit.setAside, next.more]).toEqual([[], false]);
});

test('R6: a registration that is sent twice is one generation', () => {
  const bench = createBench();
  const to: Address = `agent/${agent}`;
  const register = commandEntry({ id: 'register', to, input: { type: 'echo', max_agents: 9 } });
  bench.run([register]);
  expect(bench.records(bench.run([register]))).toMatchObject([{ outcome: 'duplicate' }]);
  bench.run([commandEntry({ id: 'again', to, input: { type: 'echo', max_agents: 9 } })]);
  expect(viewOf(bench.world.actors.get(to)!).context['generation']).toBe(2);
});
