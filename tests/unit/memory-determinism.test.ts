import { expect, test } from 'vitest';
import { application, createRegistry } from '../../actors/application.ts';
import { Supervisor } from '../../runtime/host/supervisor.ts';
import { MemoryGateway } from '../../runtime/memory/gateway.ts';
import { MemoryMembership } from '../../runtime/memory/membership.ts';
import { MemoryShardStore } from '../../runtime/memory/shardstore.ts';
import { MemoryWorld } from '../../runtime/memory/world.ts';
import type { System } from '../../runtime/ports.ts';
import { agentGroup } from '../../runtime/protocol/keys.ts';
import { Chance } from '../support/chance.ts';
import { laneShard, MemoryLog, silentTelemetry } from '../support/site.ts';
import { dataShards } from '../../runtime/protocol/ids.ts';

interface Sleeper {
  dueMs: number;
  wake: () => void;
}

/** Time that passes only when nobody has anything left to do, chance that a seed repeats. */
class VirtualSystem implements System {
  readonly #chance: Chance;
  readonly #sleepers = new Set<Sleeper>();
  #nowMs = 1_000_000;

  constructor(seed: number) {
    this.#chance = new Chance(seed);
  }

  now(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  /** Handed on by itself, without the system. */
  readonly token = (): string => String(this.#chance.next());

  ulid(): string {
    return this.token();
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#sleepers.delete(sleeper);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      const sleeper: Sleeper = { dueMs: this.#nowMs + ms, wake };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', wake);
    });
  }

  yield(): Promise<void> {
    return this.sleep(0);
  }

  /** Lets everybody go on for so long. */
  async pass(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      // Of those that are due at the same time, whoever lay down first.
      const [next] = [...this.#sleepers].sort((left, right) => left.dueMs - right.dueMs);
      if (!next || next.dueMs > endMs) break;
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.wake();
    }
    this.#nowMs = endMs;
  }
}

const shards = 2;
const shard = laneShard('echo', shards);
const agent = `a-${shard}-one`;

/** A minute of one agent and ten tasks, half of which it fails: retries, heartbeats and a loss on virtual time. */
async function minute(seed: number): Promise<Map<string, string>> {
  const system = new VirtualSystem(seed);
  const chance = new Chance(seed);
  const world = new MemoryWorld(system);
  const gateway = new MemoryGateway(world);
  const log = new MemoryLog();
  const supervisor = new Supervisor({
    store: new MemoryShardStore({ world }),
    membership: new MemoryMembership(world),
    registry: createRegistry(),
    application,
    system,
    telemetry: silentTelemetry,
    log,
    siteEpoch: 11,
    shards: dataShards(shards),
    owner: 'one',
    attach: () => [],
  });
  const started = supervisor.start();
  await system.pass(100);
  await started;
  await gateway.publish(shard, [{ id: 'c', to: `agent/${agent}`, input: { type: 'echo', slots: 2, max_agents: 10 } }]);
  await system.pass(100);
  for (let n = 0; n < 10; n++)
    await gateway.publish(shard, [{ id: `c${n}`, to: `task/t-${shard}-${n}`, input: { type: 'echo' } }]);
  for (let round = 0; round < 300; round++) {
    await system.pass(100);
    for (const { id, fields } of world.stream(world.space.inbox(shard, agent)).readNew(agentGroup, 'agent', 10)) {
      world.stream(world.space.inbox(shard, agent)).acknowledge(agentGroup, [id]);
      const message = new Map(fields.map((text, index) => [text, fields[index + 1] ?? '']));
      if (message.get('kind') !== 'assign') continue;
      const attempt = { agent, task: message.get('task')!, token: message.get('token')! };
      const report = chance.happens(0.5)
        ? { kind: 'completed', ...attempt, result: '1' }
        : { kind: 'failed', ...attempt, error: '{"message":"no"}' };
      world.append(world.space.outbox(shard, agent), Object.entries(report).flat());
    }
  }
  // The agent is not heard of any more.
  await system.pass(120_000);
  const stopped = supervisor.stop();
  await system.pass(10_000);
  await stopped;
  expect(log.lines).toEqual([]);
  return world.contents();
}

test('the same seed gives the same world, byte for byte, and two and a half minutes take no time', async () => {
  const [first, again, other] = [await minute(7), await minute(7), await minute(8)];
  expect(again).toEqual(first);
  expect(other).not.toEqual(first);
  const snapshots = first.get(`snapshots of shard ${shard}`)!;
  expect(snapshots).toContain('succeeded');
  expect(snapshots).toContain('\\"lost\\"');
});
