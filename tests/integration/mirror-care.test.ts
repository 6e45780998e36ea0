/** What a mirror does beside following: the check and the repair, inputs that wait at a former active site, who may read. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { freePort } from '../../runtime/embedded/ports.ts';
import type { Address } from '../../runtime/protocol/ids.ts';
import { Authority } from '../support/certificates.ts';
import { Chance } from '../support/chance.ts';
import { freshFolder } from '../support/folders.ts';
import { submitLoad, submitTallies, tallyDifferences } from '../support/load.ts';
import { PairSite, untilEqual, type PairSiteOptions } from '../support/pair.ts';
import { startPrivateRedis } from '../support/servers.ts';
import { laneShard } from '../support/site.ts';
import { definitions } from '../support/tally.ts';

const shards = 2;
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

interface Servers {
  first?: Parameters<typeof startPrivateRedis>[0];
  /** Address of the first server as the second site has it. */
  peerUrl?: (url: string) => string;
}

async function startPair(
  second: Partial<PairSiteOptions> = {},
  { first = {}, peerUrl = (url) => url }: Servers = {},
): Promise<{ one: PairSite; two: PairSite }> {
  const [left, right] = await Promise.all([startPrivateRedis(first), startPrivateRedis()]);
  closing.push(
    () => left.dispose(),
    () => right.dispose(),
  );
  const common = { shards, incarnation: 'i1', definitions };
  const one = new PairSite({ ...common, number: 1, url: left.url, peerUrl: right.url });
  const two = new PairSite({ ...common, number: 2, url: right.url, peerUrl: peerUrl(left.url), ...second });
  closing.push(
    () => one.close(),
    () => two.close(),
  );
  await one.begin();
  await two.begin();
  return { one, two };
}

const shard = laneShard('echo', shards);
const task = (name: string): Address => `task/t-${shard}-${name}`;
const submit = (name: string) => ({ id: `submit-${name}`, to: task(name), input: { type: 'echo' } });

async function until(what: string, holds: () => Promise<boolean> | boolean, deadlineMs = 30_000): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`${what}: not within ${deadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

describe('the check of both sites', { timeout: 90_000 }, () => {
  test('finds nothing where all is well, under load too; finds and mends what was changed, added or removed', async () => {
    const { one, two } = await startPair();
    await one.activate(11);
    await two.standby();
    const chance = new Chance(7);
    const loading = submitLoad({ gateway: one.gateway, shards, types: ['echo'], tasks: 300, overMs: 1_500, chance });
    await until('something is there', async () => (await one.redis.hlen(one.space.shard(shard).snapshots)) > 50);
    expect(await two.compare(true)).toMatchObject({ equal: true, drift: [], unjudged: [] });
    await loading;
    await untilEqual(two, one);

    const { snapshots } = two.space.shard(shard);
    const [changed, removed] = (await two.redis.hkeys(snapshots)) as [Address, Address];
    const text = (await two.redis.hget(snapshots, changed))!;
    await two.redis.hset(snapshots, changed, text.replace('"queued"', '"done"').replace('"since":', '"since":1'));
    await two.redis.hdel(snapshots, removed);
    await two.redis.hset(snapshots, task('nowhere'), text);
    const sampled = await two.compare();
    const full = await two.compare(true);
    for (const { equal, drift } of [sampled, full]) {
      expect(equal).toBe(false);
      expect(new Map(drift.map(({ actor, detail }) => [actor, detail]))).toEqual(
        new Map([
          [changed, expect.stringMatching(/^revision \d+ in .* here, revision \d+ in .* there$/) as string],
          [removed, 'it is missing here'],
          [task('nowhere'), 'it is here only'],
        ]),
      );
    }
    two.repairs.ask(full.drift);
    await until('mended', async () => (await two.compare(true)).equal);
    // And it goes on from there.
    await one.send({ id: 'cancel', to: changed, event: { type: 'cancel' } }, submit('after'));
    await until('the standby goes on', async () => (await two.state(task('after'))) !== undefined);
    await untilEqual(two, one);
    expect(await two.contents()).toEqual(await one.contents());
  });
});

test(
  'planned: what waits undecided at the site that gave its place up goes to the other one',
  { timeout: 90_000 },
  async () => {
    const { one, two } = await startPair();
    await one.activate(11);
    await two.standby();
    await one.send(submit('before'));
    await until('the standby has it', async () => (await two.state(task('before'))) !== undefined);
    await one.halt();
    await untilEqual(two, one);
    await one.send(submit('waiting'), { id: 'cancel', to: task('before'), event: { type: 'cancel' } });
    await two.activate(22);
    await one.standby();
    await until('it is taken up', async () => (await two.state(task('waiting'))) !== undefined);
    await until('the cancel too', async () => (await two.state(task('before'))) === '"cancelled"');
    await untilEqual(one, two);
    expect(await one.contents()).toEqual(await two.contents());
    expect(await one.redis.xlen(one.space.shard(shard).commands)).toBe(0);
  },
);

test('what shards sent one another is kept until it is taken, and no longer', { timeout: 90_000 }, async () => {
  const { one, two } = await startPair();
  await one.activate(11);
  await two.standby();
  const sent = await submitTallies({ gateway: one.gateway, shards, overMs: 800, chance: new Chance(3) });
  await until(
    'taken at the active site',
    async () => (await tallyDifferences(one.redis, one.space, sent)).length === 0,
  );
  await untilEqual(two, one);
  const waiting = async (): Promise<number> => {
    let sum = 0;
    for (let each = 0; each < shards; each++) sum += await two.redis.xlen(two.space.shard(each).outbound);
    return sum;
  };
  await until('nothing is kept', async () => (await waiting()) === 0);
  await one.halt();
  await two.activate(22);
  expect(await tallyDifferences(two.redis, two.space, sent)).toEqual([]);
});

describe('who may read', { timeout: 90_000 }, () => {
  test('the user of the other site reads, says how far it is, and can do nothing else', async () => {
    const password = 'mirror-password';
    const rules = [
      ...['on', 'resetchannels', `>${password}`, '+@read', '+@connection', '+info'],
      ...['%R~{s*}:*', '%R~orchestrator:site', '(%W~{s*}:readers +hset)'],
    ];
    const { one, two } = await startPair({}, { peerUrl: (url) => url.replace('://', `://mirror:${password}@`) });
    await one.redis.call('ACL', 'SETUSER', 'mirror', ...rules);
    await one.activate(11);
    await two.standby();
    await one.send(submit('x'));
    await until('the standby has it', async () => (await two.state(task('x'))) !== undefined);
    await until('said', async () => (await one.redis.hget(one.space.shard(shard).readers, 'peer')) !== null);
    for (const command of [
      ['SET', '{s0}:other', '1'],
      ['HSET', one.space.shard(0).snapshots, 'task/t-0-x', '{}'],
      ['XADD', one.space.shard(0).commands, '*', 'command', '{}'],
      ['HGETALL', 'orchestrator:members'],
    ])
      expect(await one.redis.call('ACL', 'DRYRUN', 'mirror', ...command)).toMatch(/no permissions/);
    // The same user without its password, or without the right to read.
    await one.redis.call('ACL', 'SETUSER', 'mirror', '-@read');
    await two.halt();
    await two.standby();
    await until('refused', () => two.statuses.get(shard)?.refusal?.refused === 'not-allowed');
  });

  test('a peer whose certificate another authority signed is refused by name, and nothing is applied', async () => {
    const folder = await freshFolder('pair-tls');
    const [ours, foreign] = [new Authority(folder, 'ours'), new Authority(folder, 'foreign')];
    ours.issue('redis');
    const port = await freePort();
    const files = ['--tls-cert-file', join(folder, 'redis.crt'), '--tls-key-file', join(folder, 'redis.key')];
    const tls = ['--tls-port', String(port), ...files, '--tls-ca-cert-file', ours.certificateFile];
    const { one, two } = await startPair(
      { peerAuthority: readFileSync(foreign.certificateFile, 'utf8') },
      {
        first: { extraArgs: [...tls, '--tls-auth-clients', 'no'] },
        peerUrl: () => `rediss://127.0.0.1:${port}`,
      },
    );
    await one.activate(11);
    await one.send(submit('x'));
    await until('decided', async () => (await one.state(task('x'))) !== undefined);
    await two.standby();
    await until('refused', () => two.statuses.get(shard)?.refusal?.refused === 'untrusted');
    expect(two.statuses.get(shard)?.refusal?.remedy).toMatch(/authority that signed the certificate/);
    expect(await two.heads()).toEqual([null, null]);
  });
});
