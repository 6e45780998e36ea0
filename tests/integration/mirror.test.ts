import { afterEach, expect, test } from 'vitest';
import type { TakenUp } from '../../runtime/core/merge/takeup.ts';
import type { Command } from '../../runtime/protocol/envelope.ts';
import type { Address } from '../../runtime/protocol/ids.ts';
import type { JournalEntry } from '../../runtime/protocol/journal.ts';
import { Chance } from '../support/chance.ts';
import { submitLoad } from '../support/load.ts';
import { PairSite, untilEqual, type PairSiteOptions } from '../support/pair.ts';
import { RawAgent } from '../support/rawagent.ts';
import { startPrivateRedis } from '../support/servers.ts';
import { laneShard } from '../support/site.ts';

const shards = 2;
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function startPair(
  second: Partial<PairSiteOptions> = {},
): Promise<{ one: PairSite; two: PairSite; urls: string[] }> {
  const servers = await Promise.all([startPrivateRedis(), startPrivateRedis()]);
  closing.push(...servers.map((server) => () => server.dispose()));
  const [first, other] = servers.map(({ url }) => url) as [string, string];
  const common = { shards, incarnation: 'i1' };
  const one = new PairSite({ ...common, number: 1, url: first, peerUrl: other });
  const two = new PairSite({ ...common, number: 2, url: other, peerUrl: first, ...second });
  closing.push(
    () => one.close(),
    () => two.close(),
  );
  await one.begin();
  await two.begin();
  return { one, two, urls: [first, other] };
}

const types = ['echo', 'sum'];
let seed = 0;

async function startAgents(site: PairSite, url: string): Promise<RawAgent[]> {
  const agents = types.map((type, index) => {
    const shard = laneShard(type, shards);
    const chance = new Chance(++seed);
    const failing = { retryable: 0.1, final: 0.05, released: 0.05, stale: 0.05 };
    const id = `a-${shard}-${type}${index}`;
    return new RawAgent({ url, space: site.space, shard, id, type, slots: 4, chance, failing, workMs: 5 });
  });
  for (const agent of agents) await agent.start();
  return agents;
}

async function load(site: PairSite, tasks: number, overMs: number): Promise<void> {
  await submitLoad({ gateway: site.gateway, shards, types, tasks, overMs, chance: new Chance(++seed) });
}

const shard = laneShard('echo', shards);
const submit = (name: string): Command => ({
  id: `submit-${name}`,
  to: `task/t-${shard}-${name}`,
  input: { type: 'echo' },
});
const task = (name: string): Address => `task/t-${shard}-${name}`;

async function reports(site: PairSite): Promise<TakenUp[]> {
  const found: TakenUp[] = [];
  for (let each = 0; each < shards; each++)
    for (const [, fields] of await site.redis.xrange(site.space.shard(each).journal, '-', '+'))
      found.push(...(((JSON.parse(fields[1]!) as JournalEntry).beside?.lost ?? []) as unknown as TakenUp[]));
  return found;
}

async function until(what: string, holds: () => Promise<boolean>, deadlineMs = 20_000): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`${what}: not within ${deadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

test('R8 R9: a standby follows under load, and holds the same bytes in the end', { timeout: 60_000 }, async () => {
  const { one, two, urls } = await startPair();
  await one.activate(11);
  await two.standby();
  const agents = await startAgents(one, urls[0]!);
  await load(one, 300, 2_000);
  // In the midst of it the standby is away for a while.
  await two.halt();
  await load(one, 100, 500);
  await two.standby();
  await load(one, 100, 500);
  for (const agent of agents) await agent.stop();
  await one.halt();
  await untilEqual(two, one);
  expect(await two.contents()).toEqual(await one.contents());
  // It wrote nothing that anybody could hear.
  for (const [key] of Object.entries(await two.contents()).filter(([name]) => name.endsWith(':mailboxes')))
    for (const mailbox of await two.redis.smembers(key))
      expect(await two.redis.xlen(two.space.inbox(Number(/s(\d+)/.exec(key)![1]), mailbox))).toBe(0);
});

test('a standby that comes late copies the shards while the active site goes on', { timeout: 60_000 }, async () => {
  const { one, two, urls } = await startPair();
  await one.activate(11);
  const agents = await startAgents(one, urls[0]!);
  await load(one, 200, 800);
  for (let each = 0; each < shards; each++) await one.redis.xtrim(one.space.shard(each).journal, 'MAXLEN', 5);
  const loading = load(one, 300, 2_000);
  await two.standby();
  await loading;
  for (const agent of agents) await agent.stop();
  await one.halt();
  await untilEqual(two, one);
  expect(await two.contents()).toEqual(await one.contents());
});

test(
  'I5 I6: what a lost site had accepted is taken up by the other one, and both end alike',
  { timeout: 90_000 },
  async () => {
    const { one, two } = await startPair();
    await one.activate(11);
    await two.standby();
    await one.send(submit('both'));
    await until('the standby has it', async () => (await two.state(task('both'))) !== undefined);
    await two.halt();
    // Site 1 is cut off and accepts more; site 2 is promoted and accepts other things.
    await one.send(submit('left'), { id: 'cancel-both', to: task('both'), event: { type: 'cancel' } });
    await until('site 1 has decided', async () => (await one.state(task('both'))) === '"cancelled"');
    await two.activate(22);
    await two.send(submit('right'));
    await until('site 2 has decided', async () => (await two.state(task('right'))) !== undefined);
    expect(await two.state(task('left'))).toBeUndefined();
    // The link is back; site 1 hears of the higher epoch and becomes the standby.
    await one.standby();
    await until('taken up', async () => (await two.state(task('left'))) !== undefined);
    await until('decided again', async () => (await two.state(task('both'))) === '"cancelled"');
    await until('all packages', async () => (await reports(two)).length >= 2);
    await untilEqual(one, two);
    expect(await one.contents()).toEqual(await two.contents());
    const known = await reports(two);
    expect(known.find(({ actor }) => actor === task('left'))).toMatchObject({
      machine: 'task',
      winner: { epoch: 22 },
      inputs: [{ command_id: 'submit-left', outcome: 'applied' }],
    });
    expect(known.find(({ actor }) => actor === task('both'))).toMatchObject({
      inputs: [{ command_id: 'cancel-both', outcome: 'applied', state: 'cancelled' }],
    });
    // And back again: what site 2 has, site 1 has, so nothing is lost by the way back.
    await two.halt();
    await untilEqual(one, two);
    await one.activate(31);
    await two.standby();
    await one.send(submit('after'));
    await until('site 1 goes on', async () => (await one.state(task('after'))) !== undefined);
    await untilEqual(two, one);
    expect(await two.contents()).toEqual(await one.contents());
  },
);

test('commands that nobody had decided are handed over too', { timeout: 60_000 }, async () => {
  const { one, two } = await startPair();
  await one.activate(11);
  await two.standby();
  await one.send(submit('first'));
  await until('the standby has it', async () => (await two.state(task('first'))) !== undefined);
  await two.halt();
  await one.send(submit('lost'));
  await until('site 1 has decided', async () => (await one.state(task('lost'))) !== undefined);
  await one.halt();
  await one.send(submit('waiting'));
  await two.activate(22);
  await two.send(submit('right'));
  await until('site 2 has decided', async () => (await two.state(task('right'))) !== undefined);
  await one.standby();
  for (const name of ['lost', 'waiting'])
    await until(`${name} is taken up`, async () => (await two.state(task(name))) !== undefined);
  expect(await one.redis.xlen(one.space.shard(shard).commands)).toBe(0);
});

test.each([
  ['other-deployment', { greeting: { deployment: 'another' } }],
  ['newer-version', { greeting: { version: 0 } }],
  ['other-shards', { greeting: { shards: 3 } }],
  ['other-deployment', { greeting: { site: 1 }, number: 1 as const }],
  ['other-incarnation', { greeting: { incarnation: 'i0' } }],
])(
  'a peer that does not fit is refused as "%s", and nothing is applied',
  { timeout: 60_000 },
  async (reason, options) => {
    const { one, two } = await startPair(options);
    await one.activate(11);
    await one.send(submit('x'));
    await until('site 1 has decided', async () => (await one.state(task('x'))) !== undefined);
    await two.standby();
    await until(
      'refused',
      async () => two.statuses.size === shards && [...two.statuses.values()].every(({ state }) => state === 'refused'),
    );
    const { refusal } = [...two.statuses.values()][0]!;
    expect(refusal).toMatchObject({ refused: reason });
    expect(refusal!.remedy).not.toBe('');
    expect(await two.heads()).toEqual([null, null]);
  },
);

test('I17: a standby does not follow a site that was rebuilt: it may know more', { timeout: 60_000 }, async () => {
  const { one, two } = await startPair();
  await one.activate(11);
  await two.standby();
  await one.send(submit('a'));
  await until('the standby has it', async () => (await two.state(task('a'))) !== undefined);
  await two.halt();
  const before = await two.contents();
  for (let each = 0; each < shards; each++)
    await one.redis.hset(one.space.shard(each).lease, { history: 'i1.rebuilt', head: '11 1 other' });
  await two.standby();
  await until('refused', async () => two.statuses.get(shard)?.state === 'refused');
  expect(two.statuses.get(shard)!.refusal).toMatchObject({ refused: 'other-incarnation' });
  expect(await two.contents()).toEqual(before);
});

test('a journal with a hole, or with an altered link, is not taken', { timeout: 60_000 }, async () => {
  const { one, two } = await startPair();
  await one.activate(11);
  await two.standby();
  await one.send(submit('a'));
  await until('the standby has it', async () => (await two.state(task('a'))) !== undefined);
  await two.halt();
  for (const name of ['b', 'c', 'd']) {
    await one.send(submit(name));
    await until(`${name} is decided`, async () => (await one.state(task(name))) !== undefined);
  }
  const before = await two.heads();
  const { journal } = one.space.shard(shard);
  const entries = await one.redis.xrange(journal, '-', '+');
  const hole = entries.find(([, fields]) => fields[1]!.includes(task('c')))!;
  await one.redis.xdel(journal, hole[0]);
  await two.standby();
  await until('refused', async () => two.statuses.get(shard)?.state === 'refused');
  expect(two.statuses.get(shard)!.refusal).toMatchObject({ refused: 'hole' });
  expect(await two.state(task('d'))).toBeUndefined();
  // What came before the hole was taken.
  expect(await two.state(task('b'))).toBeDefined();
  expect(await two.heads()).not.toEqual(before);
});
