import { afterAll, beforeAll, expect, test } from 'vitest';
import { application } from '../../actors/application.ts';
import { Projector } from '../../runtime/host/projector.ts';
import { createSystem } from '../../runtime/host/system.ts';
import type { PositionedEntry, ProjectionStore } from '../../runtime/ports.ts';
import { positionStart } from '../../runtime/protocol/journal.ts';
import { MemoryLog, startSite, type Site } from '../support/site.ts';
import { useRedis } from '../support/servers.ts';

let site: Site;
beforeAll(async () => {
  site = await startSite({ url: (await useRedis()).url, shards: 1 });
});
afterAll(() => site.stop());

test('R8: a process without the lease dispatches nothing', async () => {
  let asked = 0;
  const waiting = await startSite({
    url: (await useRedis()).url,
    shards: 1,
    prefix: site.space.prefix,
    settings: {
      application: {
        ...application,
        dispatcher: (shard) => {
          asked++;
          return application.dispatcher(shard);
        },
      },
    },
  });
  await site.send({ id: 'c1', to: 'task/t-0-one', input: { type: 'echo' } });
  await site.until('task/t-0-one', (view) => view.revision === 1);
  expect(waiting.supervisor.shards).toEqual([]);
  expect(asked).toBe(0);
  await waiting.stop();
});

test('R8: what follows a journal originates no command', async () => {
  await site.send({ id: 'c2', to: 'task/t-0-two', input: { type: 'echo' } });
  await site.until('task/t-0-two', (view) => view.revision === 1);
  const taken: PositionedEntry[] = [];
  const store: ProjectionStore = {
    watermark: () => Promise.resolve(positionStart),
    apply: (_shard, _from, entries) => {
      taken.push(...entries);
      return Promise.resolve({ applied: entries.length, quarantined: 0 });
    },
  };
  const last = await site.journals.last(0);
  const projector = new Projector({
    shard: 0,
    journals: site.journals,
    store,
    system: createSystem(),
    log: new MemoryLog(),
  });
  await projector.runOnce();
  expect(taken.flatMap(({ entry }) => entry.records).map(({ actor }) => actor)).toContain('task/t-0-two');
  expect(await site.redis.xlen(site.space.shard(0).commands)).toBe(0);
  expect(await site.redis.xlen(site.space.shard(0).outbound)).toBe(0);
  expect(await site.journals.last(0)).toBe(last);
});
