/**
 * Producer and agents, in a process of their own as in a deployment. It is told what to submit, and says what it cost and how
 * long tasks took to start.
 */
import { createSystem } from '../../runtime/host/system.ts';
import type { Command } from '../../runtime/protocol/envelope.ts';
import { address, makeId } from '../../runtime/protocol/ids.ts';
import { keyspace } from '../../runtime/protocol/keys.ts';
import { RedisGateway } from '../../runtime/redis/gateway.ts';
import { MemoryLog } from '../support/site.ts';
import { BenchAgent } from './agent.ts';
import { demandsOf } from './demands.ts';

const bulk = 500;

export interface ClientsData {
  url: string;
  prefix: string;
  /** Task types, each with the shard of its lane and its agents, which are registered. */
  types: { type: string; shard: number; agents: string[] }[];
  slots: number;
  /** Text that makes parameters as large as they shall be. */
  text: string;
  /** Tasks belong to tenants, and ask for concurrency keys and labels. */
  demands: boolean;
}

/** Orders are carried out one after the other; each is answered. */
export type ClientsOrder =
  | { order: 'submit'; tasks: number }
  /** One task at a time, so many each second. */
  | { order: 'rate'; tasks: number; perSecond: number }
  | { order: 'agents' }
  | { order: 'report' }
  | { order: 'stop' };

export interface ClientsReport {
  cpuUs: number;
  /** Milliseconds from the submit to the agent, sorted; of tasks that were submitted at a rate since the last report. */
  startMs: number[];
}

const { url, prefix, types, slots, text, demands } = JSON.parse(process.argv[2]!) as ClientsData;
const system = createSystem();
const space = keyspace(prefix);
const gateway = new RedisGateway({ redis: { url, name: 'bench-clients' }, space, system, log: new MemoryLog() });
const submittedAt = new Map<string, number>();
let startMs: number[] = [];
const agents = types.flatMap(({ shard, agents: ids }) =>
  ids.map((id) => {
    const streams = { inbox: space.inbox(shard, id), outbox: space.outbox(shard, id) };
    return new BenchAgent({
      ...{ url, id, slots, ...streams },
      started: (task) => {
        const at = submittedAt.get(task);
        if (at === undefined) return;
        submittedAt.delete(task);
        startMs.push(performance.now() - at);
      },
    });
  }),
);

function failed(error: unknown): void {
  console.error(error);
  process.exit(1);
}

let submitted = 0;

function commandOf({ type, shard }: ClientsData['types'][number]): Command {
  const id = system.ulid();
  const number = submitted++;
  const input = { type, parameters: { text }, priority: 1 + (number % 10), ...(demands && demandsOf(number)) };
  return { id, to: address('task', makeId('t', shard, id)), input };
}

async function submit(count: number): Promise<void> {
  const total = submitted + count;
  for (let turn = 0; submitted < total; turn++) {
    const lane = types[turn % types.length]!;
    const commands = Array.from({ length: Math.min(bulk, total - submitted) }, () => commandOf(lane));
    await gateway.publish(lane.shard, commands);
  }
}

async function submitAt(tasks: number, perSecond: number): Promise<void> {
  const begun = performance.now();
  const calls: Promise<void>[] = [];
  for (let sent = 0; sent < tasks;) {
    const due = Math.min(tasks, Math.floor(((performance.now() - begun) / 1000) * perSecond));
    for (; sent < due; sent++) {
      const lane = types[sent % types.length]!;
      const command = commandOf(lane);
      submittedAt.set(command.to.slice('task/'.length), performance.now());
      calls.push(gateway.publish(lane.shard, [command]));
    }
    await system.sleep(1);
  }
  await Promise.all(calls);
}

async function carryOut(order: ClientsOrder): Promise<ClientsReport> {
  switch (order.order) {
    case 'submit':
      await submit(order.tasks);
      break;
    case 'rate':
      await submitAt(order.tasks, order.perSecond);
      break;
    case 'agents':
      for (const agent of agents) agent.start(failed);
      break;
    case 'stop':
      for (const agent of agents) await agent.stop();
      gateway.close();
      break;
    case 'report':
      break;
  }
  const { user, system: kernel } = process.cpuUsage();
  const report = { cpuUs: user + kernel, startMs: order.order === 'report' ? startMs.sort((a, b) => a - b) : [] };
  if (order.order === 'report') startMs = [];
  return report;
}

await gateway.ready();
process.on('message', (order: ClientsOrder) => {
  carryOut(order).then((report) => {
    process.send!(report);
    if (order.order === 'stop') process.disconnect();
  }, failed);
});
process.on('disconnect', () => process.exit(0));
process.send!('ready');
