/** What the watch over outboxes is told, where a site gave its place up and has it again. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RedisMailboxes } from '../../runtime/redis/mailboxes.ts';
import { acksOf, commitOf, leaseOf } from '../conformance/commits.ts';
import { redisBed, type RedisBed } from '../conformance/redisbed.ts';
import { useRedis } from '../support/servers.ts';

let bed: RedisBed;
let mailboxes: RedisMailboxes;
beforeAll(async () => {
  bed = await redisBed();
  const { space, system, log } = bed;
  mailboxes = new RedisMailboxes({ redis: { url: (await useRedis()).url, name: 'mailboxes' }, space, system, log });
});
afterAll(async () => {
  mailboxes.close();
  await bed.close();
});

const shard = 7;
const agent = 'a-7-one';

test('reports that were handed over unread have not vanished; one that the agent deletes has', async () => {
  const { store, gates, space, append, stream, redis } = bed;
  const outbox = space.outbox(shard, agent);
  const looked = async () => (await mailboxes.inspect(shard, [agent]))[0];
  const lease = await leaseOf(store, shard);
  await store.commit(lease, 1, commitOf({ mailboxesOpened: [agent] }));
  for (const text of ['done', 'pending']) await append(outbox, ['report', text]);
  const [done, pending] = await store.read(lease, [agent], 10, 100);
  await store.commit(lease, 2, commitOf({ acks: acksOf([done!]) }));
  for (const text of ['unread', 'unread too']) await append(outbox, ['report', text]);
  expect(await looked()).toMatchObject({ added: 4, unread: 2, vanished: 0 });

  await gates.shut([shard]);
  const source = pending!.source;
  const waiting = (await stream(outbox)).map(({ id }) => ({ source, id, fields: [] }));
  expect(waiting).toHaveLength(3);
  await store.commit(lease, 3, commitOf({ acks: acksOf(waiting) }), 'mirror');
  expect(await stream(outbox)).toEqual([]);
  expect(await looked()).toMatchObject({ added: 4, unread: 0, vanished: 0 });

  await gates.open([shard], 11, 60_000);
  await append(outbox, ['report', 'next']);
  expect(await looked()).toMatchObject({ added: 5, unread: 1, vanished: 0 });
  const next = await store.read(lease, [agent], 10, 100);
  expect(next.map(({ fields }) => fields)).toEqual([['report', 'next']]);
  await store.commit(lease, 4, commitOf({ acks: acksOf(next) }), '11');
  expect((await looked())?.vanished ?? 0).toBe(0);

  const gone = await append(outbox, ['report', 'deleted before it was read']);
  await redis.xdel(outbox, gone);
  expect((await looked())?.vanished).toBe(1);
});
