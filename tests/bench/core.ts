/**
 * The decisions alone: what a task costs the runtime without Redis, sockets and clients. Entries as Redis gives them go in, the
 * arguments of the commit call come out. Each round submits a batch and completes the one before. For work on the hot path:
 * `node --max-semi-space-size=64 .build/tests/bench/core.js [--profile FILE]`.
 */
import { parseArgs } from 'node:util';
import { application, createRegistry } from '../../actors/application.ts';
import { decide, type World } from '../../runtime/core/batch.ts';
import { Alarms } from '../../runtime/core/alarms.ts';
import type { Entry } from '../../runtime/core/decision.ts';
import { intake } from '../../runtime/core/intake.ts';
import { forget } from '../../runtime/host/world.ts';
import { createSystem } from '../../runtime/host/system.ts';
import { origin } from '../../runtime/protocol/chain.ts';
import { address, makeId } from '../../runtime/protocol/ids.ts';
import { keyspace } from '../../runtime/protocol/keys.ts';
import { encodeCommit } from '../../runtime/redis/encode.ts';
import { silentTelemetry } from '../support/site.ts';
import { demandsOf, labelsOf } from './demands.ts';
import { profiled } from './profile.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '200' },
    batch: { type: 'string', default: '500' },
    demands: { type: 'boolean', default: false },
    profile: { type: 'string' },
  },
});

const system = createSystem();
const space = keyspace('bench');
const shard = 0;
const agents = 5;
const world: World = {
  shard,
  registry: createRegistry(),
  application,
  dispatcher: application.dispatcher(shard),
  actors: new Map(),
  unreadable: new Map(),
  relayed: new Map(),
  sent: new Map(),
  census: new Map(),
  alarms: new Alarms(),
  siteEpoch: 1,
  head: origin('i1'),
  begins: [],
  paired: false,
  mint: () => system.token(),
  telemetry: silentTelemetry,
};

const spent: Record<'intake' | 'decide' | 'encode', number[]> = { intake: [], decide: [], encode: [] };
let bytes = { journal: 0, snapshots: 0, operations: 0 };
let sequence = 0;
let number = 0;

function entryOf(source: Entry['source'], fields: string[]): Entry {
  return { source, id: `${1_700_000_000_000 + ++number}-0`, fields };
}

/** Decides one batch; @returns the bundles by mailbox */
function run(entries: readonly Entry[]): ReadonlyMap<string, string[]> {
  const begun = performance.now();
  const intakes = entries.map((entry) => intake(entry, application));
  const taken = performance.now();
  for (const { envelopes } of intakes)
    for (const { to } of envelopes) if (!world.actors.has(to)) world.actors.set(to, null);
  world.dispatcher.candidates(intakes.reduce((sum, { envelopes }) => sum + envelopes.length, 0));
  const { commit, settled } = decide(world, intakes, [], system.now(), 1, ++sequence);
  const decided = performance.now();
  const { args } = encodeCommit(space, shard, 1, sequence, commit, '');
  const encoded = performance.now();
  forget(world, settled, () => false);
  spent.intake.push(taken - begun);
  spent.decide.push(decided - taken);
  spent.encode.push(encoded - decided);
  bytes.journal += commit.journal?.length ?? 0;
  for (const text of commit.snapshots.values()) bytes.snapshots += text?.length ?? 0;
  bytes.operations += String(args[4]).length;
  return commit.bundles;
}

for (let agent = 0; agent < agents; agent++) {
  const to = address('agent', makeId('a', shard, `b${agent}`));
  const input = { type: 'text', slots: Number(values.batch), max_agents: 100, batch: true, labels: labelsOf(agent) };
  run([entryOf('commands', ['command', JSON.stringify({ id: `r${agent}`, to, input })])]);
  const admitted = [{ id: 'x', to, origin: 'actor', event: { type: 'admitted', generation: 1 } }];
  run([entryOf('commands', ['derived', JSON.stringify(admitted)])]);
}

let submitted = 0;

function submit(): Entry {
  const commands = Array.from({ length: Number(values.batch) }, () => {
    const id = system.ulid();
    const number = submitted++;
    const demands = values.demands ? demandsOf(number) : {};
    const input = { type: 'text', parameters: { text: 'hello' }, priority: 1 + (number % 10), ...demands };
    return { id, to: address('task', makeId('t', shard, id)), input };
  });
  return entryOf('commands', ['batch', JSON.stringify(commands)]);
}

/** What the agents say of what they were given. */
function reports(bundles: ReadonlyMap<string, string[]>): Entry[] {
  return [...bundles].map(([agent, texts]) => {
    const done = texts.flatMap((text) =>
      (JSON.parse(text) as { task: string; token: string }[]).map(({ task, token }) => ({
        ...{ kind: 'completed', task, token, result: { ok: 1 } },
      })),
    );
    return entryOf({ outbox: agent }, ['agent', agent, 'batch', JSON.stringify(done)]);
  });
}

function play(rounds: number): number {
  let done = 0;
  let pending: Entry[] = [];
  for (let round = 0; round < rounds; round++) {
    done += pending.length;
    const next = run([...pending, submit()]);
    pending = reports(next);
  }
  run(pending);
  return done;
}

const rounds = Number(values.rounds);
const tasks = (count: number): number => count * Number(values.batch);
play(Math.ceil(rounds / 2));
for (const part of ['intake', 'decide', 'encode'] as const) spent[part].length = 0;
bytes = { journal: 0, snapshots: 0, operations: 0 };
const cpu = process.cpuUsage();
if (values.profile === undefined) play(rounds);
else
  console.log(
    (await profiled(values.profile, async () => void play(rounds)))
      .slice(0, 60)
      .map(({ place, share }) => `${(share * 100).toFixed(1).padStart(5)} ${place}`)
      .join('\n'),
  );
const { user, system: kernel } = process.cpuUsage(cpu);
/** What else the machine does makes single rounds longer, never shorter: the lower quartile is what a round costs. */
const per = (rounds: number[]): number => {
  const sorted = rounds.sort((left, right) => left - right);
  return Math.round((sorted[Math.floor(sorted.length / 4)]! * 10_000) / Number(values.batch)) / 10;
};
console.log(
  JSON.stringify({
    intakeUs: per(spent.intake),
    decideUs: per(spent.decide),
    encodeUs: per(spent.encode),
    cpuUs: Math.round((user + kernel) / tasks(rounds)),
    journalBytes: Math.round(bytes.journal / tasks(rounds)),
    snapshotBytes: Math.round(bytes.snapshots / tasks(rounds)),
    operationBytes: Math.round(bytes.operations / tasks(rounds)),
  }),
);
process.exit(0);
