/** `decide`: from entries and actors to one commit. */
import { describe, expect, test } from 'vitest';
import { taskStatus } from '../../actors/task/status.ts';
import { limits } from '../../config/limits.ts';
import { freeze, stateOf } from '../../runtime/core/actor.ts';
import { decide, type Decided, type Unstorable } from '../../runtime/core/batch.ts';
import type { Entry } from '../../runtime/core/decision.ts';
import { intake } from '../../runtime/core/intake.ts';
import { application } from '../../actors/application.ts';
import { admitted, commandEntry, createBench, reportEntry, type Bench } from '../support/decisions.ts';
import { ovenAddress, ovenDefinition } from '../support/oven.ts';

const agent = 'a-0-one';
const submit = (id: string, more: object = {}): Entry =>
  commandEntry({ id: `submit-${id}`, to: `task/${id}`, input: { type: 'echo', ...more } });
const derived = (...envelopes: object[]): Entry => ({
  source: 'commands',
  id: '900-0',
  fields: ['derived', JSON.stringify(envelopes)],
});
const relayed = (source: number, number: number, envelope: object): Entry => ({
  source: 'commands',
  id: `${source}-${number}`,
  fields: ['relayed', JSON.stringify(envelope), 'source', String(source), 'number', String(number)],
});
const status = (bench: Bench, id: string): string => taskStatus(stateOf(bench.world.actors.get(`task/${id}`)!));
const reasons = ({ commit }: Decided): string[] => commit.setAside.map(({ reason }) => reason);
const release = (...tasks: string[]): object => ({
  ...{ id: 'x', to: `agent/${agent}`, origin: 'actor', event: { type: 'release', tasks } },
});

describe('what actors send one another', () => {
  test('many words to one agent in one batch are one transition', () => {
    const bench = createBench();
    admitted(bench, agent, 'echo', 50);
    const before = bench.world.actors.get(`agent/${agent}`)!.revision;
    const decided = bench.run(Array.from({ length: 50 }, (_, n) => submit(`t-0-${n}`)));
    const told = bench.records(decided).filter(({ actor }) => actor === `agent/${agent}`);
    expect(told.map(({ event }) => event?.type)).toEqual(['occupy']);
    expect(told[0]!.event!['tasks']).toHaveLength(50);
    expect(bench.world.actors.get(`agent/${agent}`)!.revision).toBe(before + 1);
    expect(decided.commit.posts.get(agent)).toHaveLength(50);
  });

  test('an event for an actor that is not in memory waits on the command stream', () => {
    const bench = createBench();
    admitted(bench, agent, 'echo');
    bench.run([submit('t-0-1')]);
    bench.world.actors.delete('task/t-0-1');
    const decided = bench.run([commandEntry({ to: `agent/${agent}`, event: { type: 'retire' } })]);
    expect(decided.commit.deferred).toMatchObject([
      { to: 'task/t-0-1', origin: 'actor', event: { type: 'revoke' } },
      { to: 'fleet/f-0-site', origin: 'actor', event: { type: 'leave' } },
    ]);
    const again = bench.run([derived(...decided.commit.deferred)]);
    expect(again.commit.setAside).toEqual([]);
  });

  test('an event for another shard is numbered for its target, without gaps', () => {
    const bench = createBench([], 5);
    const register = (id: string): Entry =>
      commandEntry({ to: `agent/${id}`, input: { type: 'echo', slots: 1, max_agents: 9 } });
    const first = bench.run([register('a-5-x'), register('a-5-y')]);
    expect(first.commit.outbound).toMatchObject([
      { shard: 0, number: 1, envelope: { to: 'fleet/f-0-site', origin: 'relay', event: { type: 'admit' } } },
      { shard: 0, number: 2 },
    ]);
    const second = bench.run([register('a-5-z')]);
    expect(second.commit.outbound).toMatchObject([{ shard: 0, number: 3 }]);
    expect([...second.commit.sent]).toEqual([[0, 3]]);
    const ids = [...first.commit.outbound, ...second.commit.outbound].map(({ envelope }) => envelope.id);
    expect(new Set(ids).size).toBe(3);
    expect(ids.every((id) => id.startsWith('5.1.'))).toBe(true);
  });

  test('a trace goes along', () => {
    const bench = createBench();
    admitted(bench, agent, 'echo');
    bench.run([submit('t-0-1')]);
    const entry = commandEntry({ to: `agent/${agent}`, event: { type: 'retire' }, traceparent: '00-1-2-01' });
    const revoke = bench.records(bench.run([entry])).find(({ event }) => event?.type === 'revoke');
    expect(revoke).toMatchObject({ actor: 'task/t-0-1', traceparent: '00-1-2-01', by: `agent/${agent}` });
  });
});

describe('R1: what another shard sent is taken once', () => {
  const admit = { id: 'p', to: 'fleet/f-0-site', origin: 'actor', event: { type: 'admit', agent: 'a-3-x', max: 9 } };

  test('a repeat is acknowledged and passed over', () => {
    const bench = createBench();
    const first = bench.run([relayed(3, 1, admit)]);
    expect([...first.commit.relayed]).toEqual([[3, '1']]);
    expect(first.records).toBe(1);
    const again = bench.run([relayed(3, 1, admit)]);
    expect(again.records).toBe(0);
    expect(again.commit.relayed.size).toBe(0);
    expect(again.commit.journal).toBeUndefined();
    expect(again.commit.acks.get('commands')).toEqual(['3-1']);
  });

  test('in whatever order; sources are counted apart', () => {
    const bench = createBench();
    const taken = bench.run([
      relayed(3, 2, admit),
      relayed(4, 1, { ...admit, id: 'q' }),
      relayed(3, 1, { ...admit, id: 'r' }),
    ]);
    expect(Object.fromEntries(taken.commit.relayed)).toEqual({ 3: '2', 4: '1' });
    expect(taken.records).toBe(3);
  });
});

describe('R3: what leaves the shard is in the commit and nowhere else', () => {
  test('a message names the site epoch; mailboxes open and close by the commit', () => {
    const bench = createBench();
    const born = bench.run([commandEntry({ to: `agent/${agent}`, input: { type: 'echo', slots: 1, max_agents: 9 } })]);
    expect(born.commit.mailboxesOpened).toEqual([agent]);
    bench.run([derived({ id: 'x', to: `agent/${agent}`, origin: 'actor', event: { type: 'admitted' } })]);
    const gone = bench.run([commandEntry({ to: `agent/${agent}`, event: { type: 'drain' } })], 5_000);
    expect(gone.commit.posts.get(agent)!.every(({ epoch }) => epoch === '11')).toBe(true);
    const [timer = ''] = Object.keys(bench.world.actors.get(`agent/${agent}`)!.timers);
    const closed = bench.run([], 5_000 + 600_000, [`agent/${agent} ${timer}`]);
    expect(closed.commit.mailboxesClosed).toEqual([agent]);
  });

  test('an entry is acknowledged by the commit that holds its outcome', () => {
    const bench = createBench();
    admitted(bench, agent, 'echo');
    const report = reportEntry(agent, { kind: 'heartbeat' });
    const one = submit('t-0-1');
    const { acks } = bench.run([one, report]).commit;
    expect(acks.get('commands')).toEqual([one.id]);
    expect([...acks].map(([source, ids]) => [source, ids])).toContainEqual([{ outbox: agent }, [report.id]]);
  });
});

describe('R10: a fault is set aside alone', () => {
  test('and the rest of the batch is decided', () => {
    const bench = createBench([ovenDefinition]);
    const to = ovenAddress;
    const entries = [
      commandEntry({ to, input: {} }),
      commandEntry({ to, event: { type: 'break' } }),
      commandEntry({ to, event: { type: 'spin' } }),
      commandEntry({ to, event: { type: 'bake' } }),
      submit('t-0-1'),
    ];
    const decided = bench.run(entries);
    expect(reasons(decided)).toEqual(['machine-threw', 'machine-threw']);
    expect(decided.commit.acks.get('commands')).toHaveLength(5);
    expect([bench.world.actors.get(to)!.revision, status(bench, 't-0-1')]).toEqual([2, 'queued']);
    // It is kept such that a redrive decides it alone.
    const kept = {
      source: 'commands' as const,
      id: '1-0',
      fields: JSON.parse(decided.commit.setAside[0]!.fields) as string[],
    };
    expect(intake(kept, application).envelopes).toMatchObject([{ to, event: { type: 'break' }, origin: 'command' }]);
  });

  test('a snapshot that nobody can read is neither guessed nor overwritten', () => {
    const bench = createBench();
    bench.world.unreadable.set('task/t-0-1', 'the snapshot has version 9');
    bench.world.actors.set('task/t-0-1', null);
    const key = 'task/t-0-1 overdue';
    const decided = bench.run([submit('t-0-1')], 1_000, [key]);
    expect(reasons(decided)).toEqual(['unreadable-actor', 'unreadable-actor']);
    expect(decided.commit.snapshots.size).toBe(0);
    expect(bench.alarms()).toEqual([]);
  });

  test('a machine that sends to no address does not end the batch', () => {
    const bench = createBench();
    admitted(bench, agent, 'echo');
    const odd = {
      id: 'x',
      to: 'task/t-0-1',
      origin: 'dispatch',
      event: { type: 'assign', agent: 'no one', token: 't', attempt: 1 },
    };
    bench.run([commandEntry({ to: `agent/${agent}`, event: { type: 'pause' } }), submit('t-0-1')]);
    const decided = bench.run([derived(odd)]);
    expect(reasons(decided)).toEqual(['bad-address']);
    expect(status(bench, 't-0-1')).toBe('assigned');
  });

  const hostile: [what: string, envelope: object][] = [
    ['a report that creates', { id: 'x', to: `agent/${agent}`, origin: 'report', input: { type: 'echo' } }],
    ['a clock that creates', { id: 'x', to: `agent/${agent}`, origin: 'timer', input: { type: 'echo' } }],
    ['an assignment without anything', { id: 'x', to: 'task/t-0-1', origin: 'dispatch', event: { type: 'assign' } }],
    ['a release of nothing', { id: 'x', to: `agent/${agent}`, origin: 'actor', event: { type: 'release' } }],
    ['an occupy of a number', { id: 'x', to: `agent/${agent}`, origin: 'actor', event: { type: 'occupy', tasks: 7 } }],
    ['an event of the engine', { id: 'x', to: 'task/t-0-1', origin: 'actor', event: { type: 'xstate.init' } }],
    [
      'an error of the engine',
      { id: 'x', to: `agent/${agent}`, origin: 'actor', event: { type: 'xstate.error.actor.x' } },
    ],
  ];
  test.each(hostile)('%s, written to the stream by hand, ends nothing', (_what, envelope) => {
    const bench = createBench();
    admitted(bench, agent, 'echo');
    bench.run([commandEntry({ to: `agent/${agent}`, event: { type: 'pause' } }), submit('t-0-1')]);
    const decided = bench.run([derived(envelope), submit('t-0-2')]);
    expect(status(bench, 't-0-2')).toBe('queued');
    expect(decided.commit.acks.get('commands')).toHaveLength(2);
  });

  test('a snapshot over its limit is an error that names the actor', () => {
    const bench = createBench([ovenDefinition]);
    const text = 'x'.repeat(limits.snapshotBytesMax);
    const entries = [
      commandEntry({ to: ovenAddress, input: {} }),
      commandEntry({ to: ovenAddress, event: { type: 'note', text } }),
    ];
    expect(() => bench.run(entries)).toThrow(
      expect.objectContaining({ name: 'Unstorable', address: ovenAddress }) as Unstorable,
    );
  });
});

test('a thousand assignments are made in one batch, and the rest in the next', () => {
  const bench = createBench();
  admitted(bench, agent, 'echo', 2_500);
  const tasks = (from: number, to: number): Entry[] =>
    Array.from({ length: to - from }, (_, n) => submit(`t-0-${from + n}`));
  const first = bench.run(tasks(0, 1_500));
  expect([first.commit.posts.get(agent)!.length, first.more]).toEqual([limits.assignmentsPerBatchMax, true]);
  const second = bench.run([]);
  expect([second.commit.posts.get(agent)!.length, second.more]).toEqual([500, false]);
  expect(Object.keys(bench.world.actors.get(`agent/${agent}`)!.snapshot.context.holding as object)).toHaveLength(1_500);
  expect(bench.world.dispatcher.lanes(0)).toMatchObject([{ queued: 0, running: 1_500, freeSlots: 1_000 }]);
});

test('R2: decisions do not depend on what was decided before in another world', () => {
  const history = (): string[] => {
    const bench = createBench([ovenDefinition]);
    admitted(bench, agent, 'echo', 2, 1_000);
    const entry = (id: string, fields: string[]): Entry => ({ source: 'commands', id, fields });
    const command = (id: string, rest: object): Entry => entry(id, ['command', JSON.stringify({ id, ...rest })]);
    const one = decide(
      bench.world,
      [
        command('1-0', { to: 'task/t-0-1', input: { type: 'echo' } }),
        command('2-0', { to: ovenAddress, input: {} }),
        command('3-0', { to: ovenAddress, event: { type: 'break' } }),
        entry('4-0', ['derived', JSON.stringify([release('t-0-none')])]),
      ].map((given) => intake(given, application)),
      [],
      7_000,
      1,
      9,
    );
    return [
      one.commit.journal!,
      ...[...one.commit.snapshots].map(String),
      JSON.stringify([one.commit.setAside, bench.alarms(), [...one.commit.posts]]),
      ...[...bench.world.actors.values()].map((actor) => (actor ? freeze(actor) : '')),
    ];
  };
  const first = history();
  createBench().run([submit('t-0-7')]);
  expect(history()).toEqual(first);
});
