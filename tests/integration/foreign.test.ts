/** Machines that are not the product's own: everything XState can do durably, driven by commands only. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createRegistry } from '../../actors/application.ts';
import type { Address } from '../../runtime/protocol/ids.ts';
import { rootDir } from '../support/folders.ts';
import { definitions } from '../support/order.ts';
import { replaySite } from '../support/replay.ts';
import { RuntimeProcess, type RuntimeSettings } from '../support/runtimes.ts';
import { useRedis } from '../support/servers.ts';
import { startSite, type Site } from '../support/site.ts';

const shards = 2;
const stock = 'k-1-warehouse';
const input = { stock, price: 100, weight: 20 };

let site: Site;
let url: string;
beforeAll(async () => {
  ({ url } = await useRedis());
});
afterAll(() => site.stop());

async function replayed(): Promise<string[]> {
  return (await replaySite(site.redis, site.space, shards, createRegistry(definitions))).violations;
}

test('R1 R3: an order runs through parallel, nested and transient states and asks another shard', async () => {
  site = await startSite({ url, shards, definitions });
  const order: Address = 'order/o-0-one';
  await site.send({ id: 'fill', to: `stock/${stock}`, event: { type: 'fill', by: 2 } });
  await site.until(`stock/${stock}`, ({ context }) => context['left'] === 2);
  await site.send({ id: 'create-1', to: order, input });
  await site.until(order, ({ state }) => JSON.stringify(state).includes('wrapping'));
  await site.until(order, ({ context }) => context['reminders'] === 1);
  await site.send({ id: 'pay-1', to: order, event: { type: 'pay', amount: 40 } });
  await site.send({ id: 'pay-1', to: order, event: { type: 'pay', amount: 40 } });
  await site.send({ id: 'pay-2', to: order, event: { type: 'pay', amount: 60 } });
  const done = await site.until(order, ({ state }) => state === 'delivered');
  expect(done.context).toMatchObject({ paid: 100, reminders: 1 });
  expect((await site.view(`stock/${stock}`))?.context).toEqual({ left: 1, orders: ['o-0-one'] });
  expect(await replayed()).toEqual([]);
});

test('R6: what its state does not take is refused, and what its schema does not know', async () => {
  const order: Address = 'order/o-0-two';
  await site.send({ id: 'create-2', to: order, input: { ...input, weight: 2_000 } });
  const before = await site.until(order, ({ state }) => JSON.stringify(state).includes('wrapping'));
  await site.send({ id: 'resume-2', to: order, event: { type: 'resume' } });
  await site.send({ id: 'forged', to: order, event: { type: 'reserved' } });
  await site.send({ id: 'minus', to: order, event: { type: 'pay', amount: -5 } });
  await site.send({ id: 'hold-2', to: order, event: { type: 'hold' } });
  const held = await site.until(order, ({ state }) => state === 'held');
  expect(held.revision).toBe(before.revision + 1);
});

test('R9: deep history leads back to where it was, and timers run anew', async () => {
  const order: Address = 'order/o-0-two';
  await site.send({ id: 'resume-3', to: order, event: { type: 'resume' } });
  const resumed = await site.until(order, ({ state }) => typeof state === 'object');
  expect(JSON.stringify(resumed.state)).toContain('wrapping');
  await site.until(order, ({ state }) => JSON.stringify(state).includes('packed'));
  await site.send({ id: 'pay-3', to: order, event: { type: 'pay', amount: 100 } });
  await site.until(order, ({ state }) => JSON.stringify(state).includes('freight'));
  await site.until(order, ({ state }) => state === 'delivered');
  expect(await replayed()).toEqual([]);
});

test('an order that the stock cannot serve ends as refused', async () => {
  await site.send({ id: 'create-4', to: 'order/o-0-three', input });
  await site.until('order/o-0-three', ({ state }) => state === 'refused');
});

test('R1 R9: killed at every step of the way, an order goes on in the next process', { timeout: 60_000 }, async () => {
  await site.supervisor.stop();
  const settings: RuntimeSettings = {
    url,
    prefix: site.space.prefix,
    shards,
    leaseTtlMs: 500,
    memberTtlMs: 500,
    balanceEveryMs: 100,
    definitions: join(rootDir, '.build/tests/support/order.js'),
  };
  const order: Address = 'order/o-0-killed';
  const steps: [seen: (state: string) => boolean, next: () => Promise<void>][] = [
    [
      () => true,
      async () => {
        await site.send({ id: 'fill-5', to: `stock/${stock}`, event: { type: 'fill', by: 5 } });
        await site.send({ id: 'create-5', to: order, input });
      },
    ],
    [(state) => state.includes('wrapping'), () => site.send({ id: 'hold-5', to: order, event: { type: 'hold' } })],
    [(state) => state.includes('held'), () => site.send({ id: 'resume-5', to: order, event: { type: 'resume' } })],
    [
      (state) => state.includes('labelling'),
      () => site.send({ id: 'pay-5', to: order, event: { type: 'pay', amount: 1 } }),
    ],
    [
      (state) => state.includes('packed'),
      () => site.send({ id: 'pay-6', to: order, event: { type: 'pay', amount: 99 } }),
    ],
    [(state) => state.includes('delivered'), async () => undefined],
  ];
  let number = 0;
  for (const [seen, next] of steps) {
    // Commands that come while nobody is there, and timers that fall due meanwhile, are for the next one.
    const owner = await new RuntimeProcess(settings, `foreign-${++number}`).started();
    if (number > 1) await site.until(order, ({ state }) => seen(JSON.stringify(state)));
    await owner.kill();
    await next();
  }
  expect(await replayed()).toEqual([]);
  const done = await site.view(order);
  expect(done).toMatchObject({ state: 'delivered', context: { paid: 100, holds: 1 } });
});
