/** Tasks for a run that is disturbed: submitted over a time, some twice, some cancelled, some with a deadline. */
import { settledStatuses, taskStatus } from '../../actors/task/status.ts';
import type { StoredActor } from '../../runtime/protocol/snapshot.ts';
import type { CommandGateway } from '../../runtime/ports.ts';
import type { Command } from '../../runtime/protocol/envelope.ts';
import { shardOfLane } from '../../runtime/protocol/ids.ts';
import { agentGroup, type Keyspace } from '../../runtime/protocol/keys.ts';
import type { Client } from '../../runtime/redis/client.ts';
import type { Chance } from './chance.ts';
import { RawAgent } from './rawagent.ts';
import { tallyAddress, tallyOf, tallyOfAll } from './tally.ts';

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export interface LoadOptions {
  gateway: CommandGateway;
  shards: number;
  types: readonly string[];
  tasks: number;
  overMs: number;
  chance: Chance;
}

/** Bounded: a command is tried again under the same id until Redis took it, and given up after 30 seconds. */
async function publish(gateway: CommandGateway, shard: number, commands: readonly Command[]): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await gateway.publish(shard, commands);
      return;
    } catch (error) {
      if (tries === 300) throw error;
      await pause(100);
    }
  }
}

/** @returns the ids of the tasks */
export async function submitLoad({ gateway, shards, types, tasks, overMs, chance }: LoadOptions): Promise<string[]> {
  const ids: string[] = [];
  const startedAt = performance.now();
  while (ids.length < tasks) {
    const type = types[chance.below(types.length)]!;
    const shard = shardOfLane(type, 0, shards);
    const commands: Command[] = [];
    for (let count = 1 + chance.below(12); count > 0 && ids.length < tasks; count--) {
      const id = `t-${shard}-${ids.length}`;
      ids.push(id);
      commands.push({
        id: `submit-${id}`,
        to: `task/${id}`,
        input: {
          type,
          parameters: { number: ids.length },
          priority: chance.below(5),
          retry: { max_attempts: 3, initial_delay_ms: 50, max_delay_ms: 500 },
          ...(chance.happens(0.02) && { timeouts: { schedule_to_close_ms: 1_000 + chance.below(4_000) } }),
        },
      });
    }
    await publish(gateway, shard, commands);
    if (chance.happens(0.1)) await publish(gateway, shard, commands);
    if (chance.happens(0.1)) {
      const { to } = commands[0]!;
      await publish(gateway, shard, [{ id: `cancel-${to}`, to, event: { type: 'cancel' } }]);
    }
    const aheadMs = (ids.length / tasks) * overMs - (performance.now() - startedAt);
    if (aheadMs > 0) await pause(aheadMs);
  }
  return ids;
}

/** Events that go from every shard to its neighbour and to shard 0. @returns how many were sent to each shard */
export async function submitTallies({
  gateway,
  shards,
  overMs,
}: Omit<LoadOptions, 'types' | 'tasks'>): Promise<number[]> {
  const sent = Array.from({ length: shards }, () => 0);
  const end = performance.now() + overMs;
  for (let number = 0; performance.now() < end; number++) {
    const shard = number % shards;
    const next = tallyOf((shard + 1) % shards);
    await publish(gateway, shard, [
      { id: `add-${number}`, to: tallyAddress(tallyOf(shard)), event: { type: 'add', next } },
    ]);
    sent[shard]!++;
    await pause(5);
  }
  return sent;
}

/** Compares what was sent with what was heard; each difference as a sentence. */
export async function tallyDifferences(redis: Client, space: Keyspace, sent: readonly number[]): Promise<string[]> {
  const differences: string[] = [];
  const read = async (id: string, shard: number): Promise<{ taken: number; heard: number }> => {
    const text = await redis.hget(space.shard(shard).snapshots, tallyAddress(id));
    return text === null
      ? { taken: 0, heard: 0 }
      : (JSON.parse(text) as { context: { taken: number; heard: number } }).context;
  };
  for (const [shard, count] of sent.entries()) {
    const { taken } = await read(tallyOf(shard), shard);
    const { heard } = await read(tallyOf((shard + 1) % sent.length), (shard + 1) % sent.length);
    if (taken !== count) differences.push(`R1: shard ${shard} was sent ${count} events and took ${taken}`);
    if (heard !== count)
      differences.push(`R1: the neighbour of shard ${shard} heard ${heard} of ${count} relayed events`);
  }
  const total = sent.reduce((sum, count) => sum + count, 0);
  const { heard } = await read(tallyOfAll, 0);
  if (heard !== total) differences.push(`R1: the tally of all heard ${heard} of ${total} relayed events`);
  return differences;
}

export interface AgentsOptions {
  url: string;
  cluster?: readonly string[];
  space: Keyspace;
  shards: number;
  types: readonly string[];
  count: number;
  chance: Chance;
}

export async function startAgents({ types, shards, count, ...common }: AgentsOptions): Promise<RawAgent[]> {
  const agents = Array.from({ length: count }, (_, index) => {
    const type = types[index % types.length]!;
    const shard = shardOfLane(type, 0, shards);
    return new RawAgent({
      ...common,
      type,
      shard,
      id: `a-${shard}-raw${index}`,
      slots: 10,
      workMs: 20,
      failing: { retryable: 0.05, final: 0.01, released: 0.02, stale: 0.02 },
    });
  });
  await Promise.all(agents.map((agent) => agent.start()));
  return agents;
}

/** Waits until every task is settled. @returns the ones that are not, with what they are, when the time is over */
export async function settledTasks(
  redis: Client,
  space: Keyspace,
  shards: number,
  ids: readonly string[],
  deadlineMs: number,
): Promise<string[]> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const open: string[] = [];
    const stored = new Map<string, string>();
    for (let shard = 0; shard < shards; shard++)
      for (const [address, text] of Object.entries(await redis.hgetall(space.shard(shard).snapshots)))
        stored.set(address, text);
    for (const id of ids) {
      const text = stored.get(`task/${id}`);
      if (text === undefined) open.push(`${id}: not there`);
      else if (!settledStatuses.has(taskStatus((JSON.parse(text) as StoredActor).state))) open.push(`${id}: ${text}`);
    }
    if (open.length === 0 || performance.now() > end) return open;
    await pause(500);
  }
}

/** Waits until no stream of the runtime holds an entry and agents have taken what they were told. */
export async function quiet(redis: Client, space: Keyspace, shards: number, deadlineMs: number): Promise<number> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    let left = 0;
    for (let shard = 0; shard < shards; shard++) {
      const keys = space.shard(shard);
      left += (await redis.xlen(keys.commands)) + (await redis.xlen(keys.outbound));
      for (const id of await redis.smembers(keys.mailboxes)) {
        left += await redis.xlen(space.outbox(shard, id));
        const [pending] = (await redis.xpending(space.inbox(shard, id), agentGroup)) as [number];
        left += pending;
      }
    }
    if (left === 0 || performance.now() > end) return left;
    await pause(100);
  }
}
