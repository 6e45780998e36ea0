import { expect, test } from 'vitest';
import { stateTextOf } from '../../runtime/core/actor.ts';
import { follow, stateHash, type Actors } from '../../runtime/core/merge/replica.ts';
import { BranchTree } from '../../runtime/core/merge/tree.ts';
import type { Link } from '../../runtime/protocol/chain.ts';
import type { Address } from '../../runtime/protocol/ids.ts';
import { Branch, derivedEntry, reconciled, registry } from '../support/branch.ts';
import { Chance } from '../support/chance.ts';
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

/** Takes up again and joins until nothing is left; the number of rounds. */
function heal(branch: Branch, tree: BranchTree): number {
  for (let round = 0; round < 10; round++) {
    for (const link of branch.links) tree.add(link);
    const { reinjections, merges } = reconciled(tree);
    const next = reinjections.length > 0 ? reinjections : merges;
    if (next.length === 0) return round;
    branch.run([derivedEntry(next)], 9_000);
  }
  throw new Error('does not end');
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
  const tree = new BranchTree([...past.links, ...old.links, ...won.links]);
  expect(reconciled(tree).reinjections.map(({ id }) => id)).toEqual(['submit-c']);
  // The inputs first, then the time of the submit.
  expect(heal(won, tree)).toBe(2);
  expect(states(tree.current())).toMatchObject({
    [task('c')]: 'open.held.assigned',
    [task('d')]: 'open.held.assigned',
  });
  const conflict = reconciled(tree).conflicts.find(({ actor }) => actor === task('c'))!;
  expect(conflict.inputs).toMatchObject([{ command: 'submit-c', became: { fate: 'applied', epoch: 22 } }]);
  expect(conflict.fork).toEqual({ epoch: 11, sequence: 3 });
});

test('I10: finished work prevails over a cancel, and the end that was told is corrected in the open', () => {
  const past = common();
  const old = new Branch(11, past.links);
  old.run([complete(old, 'a', 'done')]);
  const won = new Branch(22, past.links);
  won.run([cancel('a')]);
  won.run([], 40_000, [`${task('a')} xstate.after.cancelGrace.task.open.held.cancelling`]);
  expect(states([...past.links, ...won.links])).toMatchObject({ [task('a')]: 'cancelled' });
  const tree = new BranchTree([...past.links, ...old.links, ...won.links]);
  heal(won, tree);
  expect(states(tree.current())).toMatchObject({ [task('a')]: 'succeeded' });
  const actor = won.bench.world.actors.get(task('a'))!;
  expect(actor.snapshot.context).toMatchObject({ result: 'done' });
  const corrections = tree.current().filter(({ text }) => text.includes('"CORRECTION"'));
  expect(corrections).toHaveLength(1);
  const [conflict] = reconciled(tree).conflicts.filter(({ actor: of }) => of === task('a'));
  expect(conflict?.inputs).toMatchObject([{ event: 'complete', became: { fate: 'superseded', winner: 'cancelled' } }]);
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
  const tree = new BranchTree([...past.links, ...old.links, ...won.links]);
  heal(won, tree);
  expect(states(tree.current())).toMatchObject({ [task('a')]: 'succeeded' });
  expect(won.bench.world.actors.get(`agent/${agent}`)!.snapshot.context).toMatchObject({ holding: {} });
});

test('I9: whatever comes first, the same is to be done, and doing it twice does nothing', () => {
  const past = common();
  const old = new Branch(11, past.links);
  old.run([submit('c'), cancel('b')]);
  old.run([complete(old, 'a', 'one')]);
  const won = new Branch(22, past.links);
  won.run([complete(won, 'b', 'two')]);
  const links = [...past.links, ...old.links, ...won.links];
  const expected = JSON.stringify(reconciled(new BranchTree(links)));
  const chance = new Chance(7);
  for (let turn = 0; turn < 20; turn++) {
    const shuffled = links.map((link) => ({ link, at: chance.next() })).sort((left, right) => left.at - right.at);
    const twice = [...shuffled, ...shuffled].map(({ link }) => link);
    expect(JSON.stringify(reconciled(new BranchTree(twice)))).toBe(expected);
  }
});

test('the highest epoch is current, however short, and three branches end in one', () => {
  const past = common();
  const old = new Branch(11, past.links);
  for (const name of ['c', 'd', 'e']) old.run([submit(name)]);
  const middle = new Branch(22, past.links);
  middle.run([submit('f')]);
  const won = new Branch(31, [...past.links, ...old.links.slice(0, 1)]);
  won.run([submit('g')]);
  const tree = new BranchTree([...past.links, ...old.links, ...middle.links, ...won.links]);
  expect(tree.tip).toBe(won.links[0]);
  expect(tree.lastCommon(middle.links[0]!.hash, won.links[0]!.hash)).toBe(past.links.at(-1)!.hash);
  heal(won, tree);
  expect(Object.keys(states(tree.current())).sort()).toEqual(
    [`agent/${agent}`, ...['a', 'b', 'c', 'd', 'e', 'f', 'g'].map(task)].sort(),
  );
});

test('I7: the other site, following the links, comes to the same hash of all states', () => {
  const past = common();
  past.run([complete(past, 'a', 'x'), cancel('b')]);
  const actors: Actors = new Map();
  follow(registry, actors, past.links);
  const mine = new Map(
    [...past.bench.world.actors].filter((pair): pair is [Address, NonNullable<(typeof pair)[1]>] => pair[1] !== null),
  );
  expect(stateHash(actors)).toBe(stateHash(mine));
  follow(
    registry,
    actors,
    [new Branch(11, past.links)].flatMap((next) => (next.run([submit('z')]), next.links)),
  );
  expect(stateHash(actors)).not.toBe(stateHash(mine));
});

test('I1: two links of one epoch in one place are a broken promise, not a conflict', () => {
  const past = common();
  const one = new Branch(22, past.links);
  const two = new Branch(22, past.links);
  one.run([submit('c')]);
  two.run([submit('d')]);
  expect(() => new BranchTree([...past.links, ...one.links, ...two.links])).toThrow(/I1/);
});
