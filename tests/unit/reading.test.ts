/** What a shard takes into one batch when its streams are full. */
import { expect, test } from 'vitest';
import { application } from '../../actors/application.ts';
import { limits } from '../../config/limits.ts';
import { Alarms } from '../../runtime/core/alarms.ts';
import { Reading, type Read } from '../../runtime/host/reading.ts';
import { createSystem } from '../../runtime/host/system.ts';
import { Tenure } from '../../runtime/host/tenure.ts';
import { MemoryShardStore } from '../../runtime/memory/shardstore.ts';
import { MemoryWorld } from '../../runtime/memory/world.ts';
import { agentGroup, runtimeGroup } from '../../runtime/protocol/keys.ts';

const system = createSystem();
const agent = 'a-0-one';

async function shard(): Promise<{ world: MemoryWorld; reading: Reading; read: () => Promise<Read> }> {
  const world = new MemoryWorld(system);
  const store = new MemoryShardStore({ world });
  const outcome = await store.acquire(0, 'one', 60_000);
  if (outcome.outcome !== 'acquired') throw new Error('the shard is held');
  world.stream(world.space.outbox(0, agent)).createGroup(runtimeGroup);
  world.stream(world.space.inbox(0, agent)).createGroup(agentGroup);
  const tenure = new Tenure(outcome.lease, system.monotonicMs(), 60_000, system);
  const reading = new Reading({ store, application, system }, tenure);
  await reading.open([agent]);
  const read = () => reading.read(new Alarms(), false, () => Promise.resolve());
  // Nothing is pending yet.
  expect((await read()).intakes).toEqual([]);
  return { world, reading, read };
}

/** An entry with so many submits. */
function flood(world: MemoryWorld, name: string, count: number): void {
  const batch = Array.from({ length: count }, (_, index) => {
    const id = `t-0-${name}x${index}`;
    return { id, to: `task/${id}`, input: { type: 'echo' } };
  });
  world.append(world.space.shard(0).commands, ['batch', JSON.stringify(batch)]);
}

const envelopes = (read: Read): number => read.intakes.reduce((sum, intake) => sum + intake.envelopes.length, 0);

test('R12: a batch ends with the entry that fills it; the rest comes in the next ones, each entry once', async () => {
  const { world, read } = await shard();
  const each = limits.batchEnvelopesMax;
  for (let entry = 0; entry < 10; entry++) flood(world, String(entry), each);
  const first = await read();
  expect(envelopes(first)).toBe(Math.ceil(limits.commitEnvelopesMax / each) * each);
  const rest: Read[] = [];
  for (let left = 10 * each - envelopes(first); left > 0; left -= envelopes(rest.at(-1)!)) rest.push(await read());
  const ids = [first, ...rest].flatMap(({ intakes }) => intakes.map(({ entry }) => entry.id));
  expect(ids).toHaveLength(10);
  expect([...new Set(ids)].sort()).toEqual([...ids].sort());
  expect(envelopes(await read())).toBe(0);
});

test('R1: what waited for its batch when one failed is claimed with the others, once', async () => {
  const { world, reading, read } = await shard();
  for (let entry = 0; entry < 6; entry++) flood(world, String(entry), limits.batchEnvelopesMax);
  const first = await read();
  reading.again();
  const claimed = await read();
  expect(claimed.intakes.map(({ entry }) => entry.id)).toEqual(first.intakes.map(({ entry }) => entry.id));
  const { commands } = world.space.shard(0);
  const acknowledge = ({ intakes }: Read): void =>
    world.stream(commands).acknowledge(
      runtimeGroup,
      intakes.map(({ entry }) => entry.id),
    );
  acknowledge(claimed);
  const others = await read();
  expect(envelopes(others)).toBe(6 * limits.batchEnvelopesMax - envelopes(first));
  acknowledge(others);
  expect((await read()).intakes).toEqual([]);
});

test('reports go before a flood of commands', async () => {
  const { world, read } = await shard();
  for (let entry = 0; entry < 6; entry++) flood(world, String(entry), limits.batchEnvelopesMax);
  world.append(world.space.outbox(0, agent), ['kind', 'heartbeat']);
  const { intakes } = await read();
  expect(intakes[0]?.entry.source).toEqual({ outbox: agent });
});
