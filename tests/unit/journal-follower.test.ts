/** How long a journal is kept for the other site of a pair. */
import { expect, test } from 'vitest';
import { limits } from '../../config/limits.ts';
import { createSystem } from '../../runtime/host/system.ts';
import { MemoryShardStore } from '../../runtime/memory/shardstore.ts';
import { MemoryWorld } from '../../runtime/memory/world.ts';
import { barrierOf } from '../../runtime/protocol/chain.ts';
import { peerReader } from '../../runtime/protocol/keys.ts';

test.each([
  [limits.journalFollowerEntriesMax, 0],
  [limits.journalFollowerEntriesMax + 1, limits.journalFollowerEntriesMax],
])('%i entries behind a site that is away: %i go', async (entries, gone) => {
  const system = createSystem();
  let aheadMs = 0;
  const world = new MemoryWorld({ ...system, now: () => system.now() + aheadMs });
  const store = new MemoryShardStore({ world, journalReaders: ['postgres'] });
  const outcome = await store.acquire(0, 'one', 60_000);
  if (outcome.outcome !== 'acquired') throw new Error('the shard is held');
  const { journal } = world.space.shard(0);
  const stream = world.stream(journal);
  const first = stream.append(1, []);
  for (let count = 1; count < entries; count++) stream.append(1, []);
  world.shard(0).readers.set('postgres', stream.last);
  world.shard(0).readers.set(peerReader, first);
  aheadMs = 2 * limits.journalKeepMs;
  expect((await store.tidy(outcome.lease, [])).journalTrimmed).toBe(gone);
});

test('why there is no link is named where waiting does not help, and only there', () => {
  for (const [detail, name] of [
    ['redis: self-signed certificate in certificate chain', 'untrusted'],
    ["redis: Hostname/IP does not match certificate's altnames", 'untrusted'],
    ['WRONGPASS invalid username-password pair or user is disabled.', 'not-allowed'],
    ["NOPERM User mirror has no permissions to run the 'hget' command", 'not-allowed'],
    ['redis: connect ECONNREFUSED 127.0.0.1:6379', undefined],
    ['redis: no answer within 5000 ms', undefined],
  ] as const)
    expect(barrierOf(detail)?.refused).toBe(name);
});
