/** The witness of a pair on a real etcd: the lease itself, and a pair that lives by it. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { setTimeout as pause } from 'node:timers/promises';
import { EtcdWitness } from '../../runtime/etcd/witness.ts';
import { startEtcd, type RunningEtcd } from '../support/etcd.ts';
import { preparePair, untilRole } from '../support/pairprogram.ts';

let etcd: RunningEtcd;
beforeAll(async () => {
  etcd = await startEtcd();
}, 120_000);
afterAll(() => etcd.stop());

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

let keys = 0;
const witnesses = (): [EtcdWitness, EtcdWitness] => {
  const options = { urls: [etcd.url], key: `pair-${++keys}`, leaseTtlSeconds: 2 };
  return [new EtcdWitness(options), new EtcdWitness(options)];
};

test('one holds the lease, the other is told who; it is free when it was given back', async () => {
  const [one, two] = witnesses();
  expect(await one.hold('primary 11')).toEqual({ outcome: 'held' });
  expect(await two.hold('secondary 22')).toEqual({ outcome: 'taken', holder: 'primary 11' });
  expect(await one.hold('primary 11')).toEqual({ outcome: 'held' });
  await one.release();
  expect(await two.hold('secondary 22')).toEqual({ outcome: 'held' });
  expect(await one.hold('primary 31')).toEqual({ outcome: 'taken', holder: 'secondary 22' });
});

test('a holder that is silent loses it, and is told so when it comes back', { timeout: 40_000 }, async () => {
  const [one, two] = witnesses();
  await one.hold('primary 11');
  const end = performance.now() + 20_000;
  while ((await two.hold('secondary 22')).outcome !== 'held') {
    expect(performance.now()).toBeLessThan(end);
    await pause(100);
  }
  expect(await one.hold('primary 11')).toEqual({ outcome: 'taken', holder: 'secondary 22' });
});

test('a witness that does not answer is Unavailable in time, and of two members the one that answers is asked', async () => {
  const away = new EtcdWitness({ urls: ['http://127.0.0.1:9'], key: 'x', leaseTtlSeconds: 2 });
  await expect(away.hold('primary 11')).rejects.toThrow('witness');
  const [one] = witnesses();
  const both = new EtcdWitness({ urls: ['http://127.0.0.1:9', etcd.url], key: 'both', leaseTtlSeconds: 2 });
  expect(await both.hold('primary 11')).toEqual({ outcome: 'held' });
  etcd.freeze();
  try {
    await expect(one.hold('primary 11')).rejects.toThrow('witness');
  } finally {
    etcd.go();
  }
});

test(
  'the standby takes over by itself when the active site is gone, and that one returns as standby',
  { timeout: 180_000 },
  async () => {
    const witness = { etcd: [etcd.url], lease_ttl: 5 };
    const { one, two, dispose } = await preparePair({ peer: { mode: 'witness' }, witness });
    closing.push(dispose);
    await Promise.all([one.start(), two.start()]);
    const roles = await Promise.race([
      untilRole(one, 'active').then(() => [one, two] as const),
      untilRole(two, 'active').then(() => [two, one] as const),
    ]);
    const [active, standby] = roles;
    await untilRole(standby, 'standby');
    const { id } = await active.running!.call('/tasks', { type: 'echo', parameters: 1 });
    expect(typeof id).toBe('string');
    const status = async (site: typeof one): Promise<unknown> =>
      (await site.running!.call(`/tasks/${String(id)}`))['status'];
    const until = async (holds: () => Promise<boolean>): Promise<void> => {
      const end = performance.now() + 60_000;
      while (!(await holds())) {
        expect(performance.now()).toBeLessThan(end);
        await pause(100);
      }
    };
    await until(async () => (await status(standby)) === 'queued');
    const before = (await active.self()).epoch!;
    await active.stop();
    expect((await untilRole(standby, 'active')).epoch).toBeGreaterThan(before);
    expect(await status(standby)).toBe('queued');
    await active.start();
    await untilRole(active, 'standby');
    await until(async () => (await status(active)) === 'queued');
  },
);
