/** A whole runtime without a server: supervisor, agent and projection on the memory adapter. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { agentProjection } from '../../actors/agent/projection.ts';
import { application, createRegistry } from '../../actors/application.ts';
import { scheduleProjection } from '../../actors/schedule/projection.ts';
import { taskProjection } from '../../actors/task/projection.ts';
import { taskStatus } from '../../actors/task/status.ts';
import { freeze, type Actor } from '../../runtime/core/actor.ts';
import { step } from '../../runtime/core/step.ts';
import { Projector, projectorReader } from '../../runtime/host/projector.ts';
import { Supervisor } from '../../runtime/host/supervisor.ts';
import { createSystem } from '../../runtime/host/system.ts';
import { MemoryGateway } from '../../runtime/memory/gateway.ts';
import { MemoryJournalReader } from '../../runtime/memory/journal.ts';
import { MemoryMembership } from '../../runtime/memory/membership.ts';
import { MemoryProjectionStore } from '../../runtime/memory/projection.ts';
import { MemoryReadModel } from '../../runtime/memory/readmodel.ts';
import { MemoryShardStore } from '../../runtime/memory/shardstore.ts';
import { MemoryWorld } from '../../runtime/memory/world.ts';
import { dataShards, parseAddress, type Address } from '../../runtime/protocol/ids.ts';
import { agentGroup } from '../../runtime/protocol/keys.ts';
import { viewOfStored } from '../../runtime/protocol/snapshot.ts';
import { laneShard, MemoryLog, silentTelemetry } from '../support/site.ts';

const shards = 4;
const shard = laneShard('echo', shards);
const agent = `a-${shard}-one`;
const registry = createRegistry();
const system = createSystem();

let world: MemoryWorld;
let gateway: MemoryGateway;
let journals: MemoryJournalReader;
let projection: MemoryProjectionStore;
let log: MemoryLog;
let running: Supervisor[];
beforeEach(() => {
  world = new MemoryWorld(system);
  gateway = new MemoryGateway(world);
  journals = new MemoryJournalReader(world);
  projection = new MemoryProjectionStore([taskProjection, agentProjection, scheduleProjection]);
  log = new MemoryLog();
  running = [];
});
afterEach(() => Promise.all(running.map((supervisor) => supervisor.stop())));

async function start(owner: string): Promise<Supervisor> {
  const supervisor = new Supervisor({
    store: new MemoryShardStore({ world, journalReaders: [projectorReader] }),
    membership: new MemoryMembership(world),
    registry,
    application,
    system,
    telemetry: silentTelemetry,
    log,
    siteEpoch: 11,
    shards: dataShards(shards),
    owner,
    attach: (each) => [new Projector({ shard: each, journals, store: projection, system, log })],
    balanceEveryMs: 50,
  });
  running.push(supervisor);
  await supervisor.start();
  return supervisor;
}

async function until<T>(what: string, look: () => Promise<T | undefined>, deadlineMs = 5_000): Promise<T> {
  const end = performance.now() + deadlineMs;
  while (performance.now() < end) {
    const found = await look();
    if (found !== undefined) return found;
    await system.sleep(5);
  }
  throw new Error(`${what} did not come within ${deadlineMs} ms; the log has ${JSON.stringify(log.lines)}`);
}

async function status(task: string): Promise<string | undefined> {
  const text = await gateway.snapshot(`task/${task}`);
  return text === undefined ? undefined : taskStatus(viewOfStored(task, text).state);
}

/** Does whatever comes to the inbox, so many assignments in all. */
async function work(count: number): Promise<void> {
  const inbox = world.space.inbox(shard, agent);
  for (let done = 0; done < count;) {
    const messages = await until('a message', async () => {
      const stream = world.find(inbox);
      const found = stream?.hasGroup(agentGroup) ? stream.readNew(agentGroup, 'agent', 10) : [];
      return found.length > 0 ? found : undefined;
    });
    for (const { id, fields } of messages) {
      const message = new Map(fields.map((text, index) => [text, fields[index + 1] ?? '']));
      world.stream(inbox).acknowledge(agentGroup, [id]);
      if (message.get('kind') !== 'assign') continue;
      done++;
      const [task, token] = [message.get('task')!, message.get('token')!];
      const report = { kind: 'completed', agent, task, token, result: message.get('parameters')! };
      world.append(world.space.outbox(shard, agent), Object.entries(report).flat());
    }
  }
}

/** Every journal through `step`: address -> snapshot. */
async function replay(): Promise<Map<Address, string>> {
  const actors = new Map<Address, Actor>();
  for (let each = 0; each < shards; each++)
    for (const { entry } of await journals.range(each, '0-0', 10_000))
      for (const { actor, outcome, ...record } of entry.records) {
        const { definition } = parseAddress(actor)!;
        const decision = step(registry.get(definition)!, actors.get(actor), { ...record, to: actor }, entry.at);
        expect(decision.outcome).toBe(outcome ?? 'applied');
        if (decision.outcome === 'applied') actors.set(actor, decision.actor);
        if (decision.outcome === 'retired') actors.delete(actor);
      }
  return new Map([...actors].map(([address, actor]) => [address, freeze(actor)]));
}

async function submit(task: string): Promise<void> {
  await gateway.publish(shard, [{ id: task, to: `task/${task}`, input: { type: 'echo', parameters: { task } } }]);
}

const register = { id: 'c1', to: `agent/${agent}` as const, input: { type: 'echo', slots: 2, max_agents: 10 } };
const tasks = (from: number, count: number) => [...Array(count).keys()].map((n) => `t-${shard}-${from + n}`);
const finished = (names: readonly string[]) =>
  until('the last task', async () => {
    const statuses = await Promise.all(names.map(status));
    return statuses.every((each) => each === 'succeeded') ? statuses : undefined;
  });

describe('memory adapter', () => {
  test('R9 submit, agent, done; and its journal replays to its snapshots', async () => {
    const supervisor = await start('one');
    expect(supervisor.shards).toEqual([0, 1, 2, 3]);
    await gateway.publish(shard, [register], { recipient: 'api', request: 'r1' });
    const [reply] = await gateway.read('api', new Map([[shard, '0-0']]), 4_000);
    expect(reply).toMatchObject({ request: 'r1', outcomes: [{ outcome: 'applied', to: register.to }] });
    const names = tasks(0, 20);
    await Promise.all(names.map(submit));
    await work(20);
    await finished(names);
    const model = new MemoryReadModel(projection);
    await until('the projection', async () => ((await model.counts()).tasks['succeeded'] === 20 ? true : undefined));
    expect(await model.task(names[3]!)).toMatchObject({ status: 'succeeded', agent, result: { task: names[3] } });
    await supervisor.stop();
    expect(log.lines).toEqual([]);
    const stored = new Map([...Array(shards).keys()].flatMap((each) => [...world.shard(each).snapshots]));
    expect(await replay()).toEqual(stored);
    expect(world.find(world.space.shard(shard).commands)?.length).toBe(0);
  });

  test('R5 a second runtime takes over what the first gives back, and every task is done once', async () => {
    const first = await start('one');
    await gateway.publish(shard, [register]);
    const names = tasks(0, 10);
    await Promise.all(names.map(submit));
    await work(4);
    const second = await start('two');
    const stopped = first.stop();
    const more = tasks(10, 10);
    await Promise.all(more.map(submit));
    await Promise.all([stopped, work(16)]);
    await finished([...names, ...more]);
    await until('every shard', async () => (second.shards.length === shards ? true : undefined));
    await second.stop();
    const stored = new Map([...Array(shards).keys()].flatMap((each) => [...world.shard(each).snapshots]));
    expect(await replay()).toEqual(stored);
    const entries = (await journals.range(shard, '0-0', 10_000)).map(({ entry }) => entry);
    expect(new Set(entries.map(({ epoch }) => epoch)).size).toBeGreaterThan(1);
    const done = entries.flatMap(({ records }) => records).filter(({ event }) => event?.type === 'complete');
    expect(done.map(({ actor }) => actor).sort()).toEqual([...names, ...more].map((task) => `task/${task}`).sort());
  });
});
