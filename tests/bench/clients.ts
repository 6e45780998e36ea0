/**
 * Producer and agents, in a thread of their own: in a deployment they are other processes. The thread is told how many tasks
 * to submit and says nothing unless it fails.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { createSystem } from '../../runtime/host/system.ts';
import type { Command } from '../../runtime/protocol/envelope.ts';
import { address, makeId } from '../../runtime/protocol/ids.ts';
import { keyspace } from '../../runtime/protocol/keys.ts';
import { RedisGateway } from '../../runtime/redis/gateway.ts';
import { MemoryLog } from '../support/site.ts';
import { BenchAgent } from './agent.ts';

const bulk = 500;

export interface ClientsData {
  url: string;
  prefix: string;
  type: string;
  shard: number;
  /** Ids of agents that are registered. */
  agents: string[];
  slots: number;
}

/** To the thread: submit so many tasks, or end. From the thread: it has ended. */
export type ClientsOrder = { submit: number } | 'stop';

const { url, prefix, type, shard, agents: ids, slots } = workerData as ClientsData;
const system = createSystem();
const space = keyspace(prefix);
const gateway = new RedisGateway({ redis: { url, name: 'bench-clients' }, space, system, log: new MemoryLog() });
const agents = ids.map((id) => {
  return new BenchAgent({ url, id, slots, inbox: space.inbox(shard, id), outbox: space.outbox(shard, id) });
});

/** An error that nobody catches ends the thread, and its parent hears of it. */
function failed(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}

let submitted = 0;

async function submit(count: number): Promise<void> {
  const total = submitted + count;
  while (submitted < total) {
    const commands: Command[] = [];
    for (let left = Math.min(bulk, total - submitted); left > 0; left--) {
      const id = system.ulid();
      const priority = 1 + (submitted++ % 10);
      const input = { type, parameters: { text: 'hello' }, priority };
      commands.push({ id, to: address('task', makeId('t', shard, id)), input });
    }
    await gateway.publish(shard, commands);
  }
}

async function stop(): Promise<void> {
  for (const agent of agents) await agent.stop();
  gateway.close();
  parentPort!.close();
}

await gateway.ready();
for (const agent of agents) agent.start(failed);
parentPort!.on('message', (order: ClientsOrder) => {
  (order === 'stop' ? stop() : submit(order.submit)).catch(failed);
});
