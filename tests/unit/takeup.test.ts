import { expect, test } from 'vitest';
import { stateTextOf } from '../../runtime/core/actor.ts';
import { begun, courseOf, type Whereabouts } from '../../runtime/core/merge/course.ts';
import { isLost } from '../../runtime/core/merge/lost.ts';
import { follow, stateHash, type Actors } from '../../runtime/core/merge/replica.ts';
import type { TakenUp } from '../../runtime/core/merge/takeup.ts';
import { linkAfter, origin, type Link } from '../../runtime/protocol/chain.ts';
import type { Address } from '../../runtime/protocol/ids.ts';
import type { JournalEntry } from '../../runtime/protocol/journal.ts';
import { Branch, derivedEntry, lossesOfBranch, lostEntry, registry } from '../support/branch.ts';
import { commandEntry, reportEntry } from '../support/decisions.ts';

const agent = 'a-0-one';
const task = (name: string): Address => `task/t-0-${name}`;
const submit = (name: string) => commandEntry({ id: `submit-${name}`, to: task(name), input: { type: 'echo' } });
const cancel = (name: string) => commandEntry({ id: `cancel-${name}`, to: task(name), event: { type: 'cancel' } });
const register = commandEntry({ id: 'r1', to: `agent/${agent}`, input: { type: 'echo', slots: 9, max_agents: 9 } });
const admit = derivedEntry([{ id: 'x', to: `agent/${agent}`, origin: 'actor', event: { type: 'admitted' } }]);
const complete = (branch: Branch, name: string, result: string) =>
  reportEntry(agent, {
    kind: 'completed',
    task: `t-0-${name}`,
    token: String(branch.bench.world.actors.get(task(name))!.snapshot.context['token']),
    result: JSON.stringify(result),
  });

/** The current branch takes up what the other wrote; the reports that its journal keeps. */
function takeUp(won: Branch, lost: Branch, past: Branch): TakenUp[] {
  won.run(
    lossesOfBranch(lost, past.links.at(-1)!).map((one) => lostEntry(one)),
    9_000,
  );
  return (JSON.parse(won.commit!.journal!) as JournalEntry).beside!.lost as unknown as TakenUp[];
}

function states(links: readonly Link[]): Record<string, string> {
  const actors: Actors = new Map();
  follow(registry, actors, links);
  return Object.fromEntries([...actors].map(([address, actor]) => [address, stateTextOf(actor)]));
}

function common(): Branch {
  const past = new Branch(11);
  past.run([register]);
  past.run([admit]);
  past.run([submit('a'), submit('b')]);
  return past;
}

test('I5: what the site that lost had accepted is taken up again under its own id, once', () => {
  const past = common();
  const old = new Branch(11, past.links);
  old.run([submit('c')]);
  const won = new Branch(22, past.links);
  won.run([submit('d')]);
  const reports = takeUp(won, old, past);
  expect(states([...past.links, ...won.links])).toMatchObject({
    [task('c')]: 'open.held.assigned',
    [task('d')]: 'open.held.assigned',
  });
  const report = reports.find(({ actor }) => actor === task('c'))!;
  expect(report).toMatchObject({
    machine: 'task',
    fork: { epoch: 11, sequence: 3 },
    lost: { epoch: 11, state: 'open.held.assigned' },
    winner: { epoch: 22, before: '' },
    inputs: [{ command_id: 'submit-c', event: 'create', outcome: 'applied' }],
  });
  // The branch as it was stays to be looked at.
  expect(report.lost.records.map(({ record }) => record.origin)).toContain('dispatch');
});

test('I4: a package that comes twice is taken once', () => {
  const past = common();
  const old = new Branch(11, past.links);
  old.run([submit('c')]);
  const won = new Branch(22, past.links);
  const entries = lossesOfBranch(old, past.links.at(-1)!).map((one, index) => lostEntry(one, 1, 1_000 + index));
  const first = won.run(entries, 9_000).filter(({ id }) => id === 'submit-c');
  const again = won.run(entries, 9_500);
  expect(first).toHaveLength(1);
  expect(again).toEqual([]);
  // From the other site the same number is another package.
  expect(won.run([lostEntry(lossesOfBranch(old, past.links.at(-1)!)[0]!, 2, 1_000)], 9_600)).not.toEqual([]);
});

test('I10: finished work prevails over a cancel, and the end that was told is corrected in the open', () => {
  const past = common();
  const old = new Branch(11, past.links);
  old.run([complete(old, 'a', 'done')]);
  const won = new Branch(22, past.links);
  won.run([cancel('a')]);
  won.run([], 40_000, [`${task('a')} xstate.after.cancelGrace.task.open.held.cancelling`]);
  expect(states([...past.links, ...won.links])).toMatchObject({ [task('a')]: 'cancelled' });
  const report = takeUp(won, old, past).find(({ actor }) => actor === task('a'));
  expect(states([...past.links, ...won.links])).toMatchObject({ [task('a')]: 'succeeded' });
  expect(won.bench.world.actors.get(task('a'))!.snapshot.context).toMatchObject({ result: 'done' });
  expect(won.links.filter(({ text }) => text.includes('"CORRECTION"'))).toHaveLength(1);
  expect(report).toMatchObject({
    inputs: [{ event: 'complete', outcome: 'superseded', state: 'cancelled' }],
    correction: { told: 'cancelled', stands: 'succeeded' },
    winner: { before: 'cancelled', after: 'succeeded' },
  });
});

test('an end of the branch that lost settles a task that goes on elsewhere, and its agent is let go', () => {
  const past = new Branch(11);
  past.run([register]);
  past.run([admit]);
  const old = new Branch(11, past.links);
  old.run([submit('a')]);
  old.run([complete(old, 'a', 'done')]);
  const won = new Branch(22, past.links);
  won.run([submit('a')]);
  const report = takeUp(won, old, past).find(({ actor }) => actor === task('a'));
  expect(states([...past.links, ...won.links])).toMatchObject({ [task('a')]: 'succeeded' });
  expect(won.bench.world.actors.get(`agent/${agent}`)!.snapshot.context).toMatchObject({ holding: {} });
  expect(report?.inputs).toMatchObject([
    { command_id: 'submit-a', outcome: 'kept' },
    { event: 'complete', outcome: 'superseded' },
  ]);
});

test('R9: a standby that follows the journal comes to the same states, the merge included', () => {
  const past = common();
  const old = new Branch(11, past.links);
  old.run([submit('c'), cancel('b')]);
  old.run([complete(old, 'a', 'one')]);
  const won = new Branch(22, past.links);
  won.run([complete(won, 'b', 'two')]);
  takeUp(won, old, past);
  const actors: Actors = new Map();
  follow(registry, actors, [...past.links, ...won.links]);
  const mine = new Map(
    [...won.bench.world.actors].filter((pair): pair is [Address, NonNullable<(typeof pair)[1]>] => pair[1] !== null),
  );
  expect(stateHash(actors)).toBe(stateHash(mine));
});

test('a command that waited to be decided is handed over too', () => {
  const past = common();
  const won = new Branch(22, past.links);
  const { epoch, sequence, hash } = past.links.at(-1)!;
  const record = {
    ...{ actor: task('w'), id: 'submit-w', origin: 'command' as const, revision: 0, state: '' },
    input: { type: 'echo' },
  };
  const lost = {
    ...{ actor: task('w'), fork: { epoch, sequence, hash }, branch: { epoch, sequence } },
    ...{ records: [{ sequence, at: 5, record }], snapshot: null },
  };
  won.run([lostEntry(lost)]);
  expect(states([...past.links, ...won.links])).toMatchObject({ [task('w')]: 'open.held.assigned' });
});

test('R10: what is no package is set aside with its reason', () => {
  const won = new Branch(22);
  for (const fields of [
    ['lost', '{}', 'source', '-1', 'number', '1'],
    ['lost', 'no', 'source', '-1', 'number', '1'],
    ['lost', '{"actor":"task/t-0-x"}', 'source', '-1', 'number', '1'],
  ]) {
    won.run([{ source: 'commands', id: '1-0', fields }]);
    expect(won.commit!.setAside).toHaveLength(1);
    expect(won.commit!.setAside[0]!.reason).toMatch(/bad-lost|not-json/);
  }
  const past = common();
  const old = new Branch(11, past.links);
  old.run([submit('c')]);
  const [lost] = lossesOfBranch(old, past.links.at(-1)!);
  expect(isLost(lost)).toBe(true);
  expect(isLost({ ...lost, records: [] })).toBe(false);
  for (const source of ['1', '-3', '-0', ''])
    for (const number of ['0', 'x']) {
      won.run([
        {
          source: 'commands',
          id: '1-0',
          fields: ['lost', JSON.stringify(lost), 'source', source, 'number', number],
        },
      ]);
      expect(won.commit!.setAside).toHaveLength(1);
    }
});

/** A history: for each branch its epoch and number of links. */
function history(...branches: readonly [epoch: number, links: number][]): { links: Link[]; at: Whereabouts } {
  const links: Link[] = [];
  let at: Whereabouts = { head: origin('i1'), begins: [], oldest: 1 };
  for (const [epoch, count] of branches)
    for (let index = 0; index < count; index++) {
      const link = linkAfter(at.head, epoch, `${epoch}.${index}`);
      at = { ...at, begins: begun(at.begins, at.head, link), head: link };
      links.push(link);
    }
  return { links, at };
}

test('the course of a standby: follow, wait, yield or copy', () => {
  const past = history([11, 5]).at;
  const further = history([11, 9]).at;
  expect(courseOf(past, past)).toEqual({ course: 'follow' });
  expect(courseOf(past, further)).toEqual({ course: 'follow' });
  expect(courseOf(further, past)).toEqual({ course: 'wait' });
  expect(courseOf({ ...past, head: origin('i1'), begins: [] }, further)).toEqual({ course: 'follow' });
  expect(courseOf(past, { ...further, oldest: 6 })).toEqual({ course: 'follow' });
  expect(courseOf(past, { ...further, oldest: 7 })).toMatchObject({ course: 'copy' });
  expect(courseOf({ ...past, head: { ...past.head, incarnation: 'i0' } }, further)).toEqual({ course: 'refuse' });
  expect(courseOf({ head: origin('i0'), begins: [], oldest: 1 }, further)).toMatchObject({ course: 'copy' });
  const { links, at: promoted } = history([11, 5], [22, 2]);
  expect(courseOf(past, promoted)).toEqual({ course: 'follow' });
  expect(courseOf(promoted, past)).toEqual({ course: 'wait' });
  const fork = { epoch: 11, sequence: 5, hash: links[4]!.hash };
  expect(courseOf(further, promoted)).toEqual({ course: 'yield', fork, gone: 0 });
  expect(courseOf({ ...further, oldest: 8 }, promoted)).toEqual({ course: 'yield', fork, gone: 2 });
});

test('of two branches that both went on, the lower epoch yields from where they parted', () => {
  const { links, at: low } = history([11, 5], [22, 8]);
  const { at: high } = history([11, 9], [31, 2]);
  const fork = { epoch: 11, sequence: 5, hash: links[4]!.hash };
  expect(courseOf(low, high)).toEqual({ course: 'yield', fork, gone: 0 });
  expect(courseOf(high, low)).toEqual({ course: 'wait' });
  const { at: fresh } = history([21, 3]);
  expect(courseOf(fresh, high)).toEqual({ course: 'yield', fork: { epoch: 0, sequence: 0, hash: '' }, gone: 0 });
});
