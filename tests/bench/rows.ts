/** The table of the bench: what is asked, of whom, and with which sizes. */
import { join } from 'node:path';
import { buildRoot, projectRoot } from '../../scripts/root.ts';

export const peerDir = join(projectRoot, 'tests/bench/peer');

export interface System {
  name: string;
  /** What is run, for the table's reader. */
  setUp: string;
  program: string;
  args: readonly string[];
  redis: boolean;
  postgres: boolean;
  /** Needs the Redis of a second site. */
  pair?: true;
  isPeer: boolean;
}

export interface Column {
  figure: string;
  title: string;
  digits: number;
}

export interface Row {
  name: string;
  question: string;
  columns: readonly Column[];
  systems: readonly System[];
  /** System that the others are compared with, if any. */
  base?: string;
}

export interface Sizes {
  tasks: number;
  warmup: number;
  seconds: number;
  backlogs: readonly number[];
  takeover: number;
  agents: readonly number[];
  shards: readonly number[];
  requests: number;
}

export const sizes: Record<'whole' | 'quick', Sizes> = {
  whole: {
    tasks: 50_000,
    warmup: 5_000,
    seconds: 10,
    backlogs: [1_000, 100_000, 1_000_000],
    takeover: 1_000_000,
    agents: [10, 200, 2_000],
    shards: [1, 16, 64],
    requests: 20_000,
  },
  quick: {
    tasks: 10_000,
    warmup: 2_000,
    seconds: 3,
    backlogs: [1_000, 20_000],
    takeover: 20_000,
    agents: [10, 200],
    shards: [1, 16],
    requests: 3_000,
  },
};

const own = (name: string, setUp: string, measure: string, args: readonly string[], postgres = false): System => ({
  ...{ name, setUp, program: join(buildRoot, 'tests/bench/own.js') },
  args: ['--measure', measure, ...args],
  ...{ redis: true, postgres, isPeer: false },
});

type Store = 'redis' | 'postgres';
const peer = (name: string, setUp: string, measure: string, store: Store, args: readonly string[]): System => ({
  ...{ name, setUp, program: join(peerDir, 'peer.mjs') },
  args: ['--measure', measure, ...args],
  ...{ redis: store === 'redis', postgres: store === 'postgres', isPeer: true },
});

const rate: Column = { figure: 'tasksPerSecond', title: 'tasks/s', digits: 0 };
const cpu: readonly Column[] = [
  { figure: 'clientUs', title: 'client us', digits: 1 },
  { figure: 'runtimeUs', title: 'runtime us', digits: 1 },
  { figure: 'redisUs', title: 'Redis us', digits: 1 },
  { figure: 'postgresUs', title: 'PostgreSQL us', digits: 1 },
  { figure: 'totalUs', title: 'total us', digits: 1 },
];
const loop: Column = { figure: 'loopP999Ms', title: 'loop p99.9 ms', digits: 1 };

function throughput({ tasks, warmup }: Sizes): Row {
  const load = ['--tasks', `${tasks}`, '--warmup', `${warmup}`];
  return {
    name: 'throughput',
    question: 'Bulk submits of 500 while agents work, from the first submit to the last completion',
    columns: [rate, ...cpu, loop],
    base: 'orchestrator',
    systems: [
      own('orchestrator', 'one shard, 5 agents x 100 slots, priorities, journal and snapshots', 'throughput', load),
      own('orchestrator + PostgreSQL', 'the same, done when history and lists have it', 'throughput', load, true),
      peer('BullMQ', 'addBulk, one worker, concurrency 100, priorities', 'throughput', 'redis', [
        ...['--system', 'bullmq', '--priorities', ...load],
      ]),
      peer('BullMQ, no priorities', 'the same without: a plain list', 'throughput', 'redis', [
        ...['--system', 'bullmq', ...load],
      ]),
      peer('BullMQ, 2 worker processes', 'no priorities, producer and workers apart', 'throughput', 'redis', [
        ...['--system', 'bullmq', '--workers', '2', ...load],
      ]),
      peer('graphile-worker', 'addJobs, concurrency 20, as it comes', 'throughput', 'postgres', [
        ...['--system', 'graphile', '--concurrency', '20', '--tasks', `${Math.ceil(tasks / 5)}`, '--warmup', '1000'],
      ]),
      peer('graphile-worker, batched', 'local queue 500, batched completion', 'throughput', 'postgres', [
        ...['--system', 'graphile', '--fast', ...load],
      ]),
      peer('graphile-worker, batched, 2 processes', 'the same in two worker processes', 'throughput', 'postgres', [
        ...['--system', 'graphile', '--fast', '--workers', '2', ...load],
      ]),
      peer('pg-boss', 'bulk insert, 4 workers, batches of 500', 'throughput', 'postgres', [
        ...['--system', 'pgboss', ...load],
      ]),
      peer('raw streams', 'three hops of XADD, XREADGROUP, XACK and XDEL, batches of 500', 'throughput', 'redis', [
        ...['--system', 'raw', ...load],
      ]),
    ],
  };
}

function latency({ seconds }: Sizes): Row {
  const load = ['--rate', '500', '--seconds', `${seconds}`];
  return {
    name: 'latency',
    question: 'Single submits, 500 each second: from the call to the start of the work',
    columns: [
      rate,
      { figure: 'p50Ms', title: 'p50 ms', digits: 2 },
      { figure: 'p99Ms', title: 'p99 ms', digits: 2 },
      { figure: 'p999Ms', title: 'p99.9 ms', digits: 2 },
      { figure: 'runtimeUs', title: 'runtime us', digits: 1 },
      { figure: 'redisUs', title: 'Redis us', digits: 1 },
    ],
    base: 'orchestrator',
    systems: [
      own('orchestrator', 'agents on their streams', 'latency', load),
      own('orchestrator + PostgreSQL', 'the same with the projection', 'latency', load, true),
      ...(['bullmq', 'graphile', 'pgboss', 'raw'] as const).map((name) =>
        peer(
          { bullmq: 'BullMQ', graphile: 'graphile-worker, batched', pgboss: 'pg-boss', raw: 'raw streams' }[name],
          'one submit at a time',
          'latency',
          name === 'bullmq' || name === 'raw' ? 'redis' : 'postgres',
          ['--system', name, ...(name === 'graphile' ? ['--fast'] : []), ...load],
        ),
      ),
    ],
  };
}

const memory: readonly Column[] = [
  { figure: 'runtimeBytesPerTask', title: 'runtime bytes', digits: 0 },
  { figure: 'redisBytesPerTask', title: 'Redis bytes', digits: 0 },
];

export function rowsOf(size: Sizes): Row[] {
  const load = ['--tasks', `${size.tasks}`, '--warmup', `${size.warmup}`];
  return [
    throughput(size),
    latency(size),
    {
      name: 'rest',
      question: 'Single submits over HTTP on 50 connections, answered when they stand in Redis',
      columns: [
        { figure: 'requestsPerSecond', title: 'requests/s', digits: 0 },
        { figure: 'serverUs', title: 'server us', digits: 1 },
      ],
      base: 'orchestrator',
      systems: [false, true].map((bare) => ({
        name: bare ? 'bare handler' : 'orchestrator',
        setUp: bare ? 'express, express-jwt, express.json, XADD' : 'POST /api/v1/tasks, Prefer: respond-async',
        program: join(buildRoot, 'tests/bench/rest.js'),
        args: ['--requests', `${size.requests}`, ...(bare ? ['--bare'] : [])],
        ...{ redis: true, postgres: !bare, isPeer: false },
      })),
    },
    {
      name: 'backlog',
      question: 'Tasks with 100 characters of parameters wait until agents come: memory of one, and how fast they go',
      columns: [rate, { figure: 'totalUs', title: 'total us', digits: 1 }, ...memory, loop],
      systems: size.backlogs.map((tasks) =>
        own(`${tasks} tasks`, 'one shard', 'backlog', ['--tasks', `${tasks}`, '--text', '100']),
      ),
    },
    {
      name: 'takeover',
      question: 'A shard with a backlog gets another owner: from asking for its lease to the first assignment',
      columns: [{ figure: 'firstDispatchMs', title: 'first dispatch ms', digits: 0 }],
      systems: [own(`${size.takeover} tasks`, 'one shard', 'takeover', ['--tasks', `${size.takeover}`])],
    },
    {
      name: 'demands',
      question: 'The same work with ten tenants, a hundred concurrency keys and a required label',
      columns: [rate, ...cpu],
      base: 'plain tasks',
      systems: [
        own('plain tasks', 'a type and a priority', 'throughput', load),
        own('with demands', 'a tenant, a key and a required label each', 'throughput', [...load, '--demands']),
      ],
    },
    {
      name: 'mirror',
      question: 'The same work at the active site of a pair: what a standby costs that follows on the same machine',
      columns: [
        ...[rate, ...cpu],
        { figure: 'standbyUs', title: 'standby us', digits: 1 },
        { figure: 'standbyRedisUs', title: 'its Redis us', digits: 1 },
        { figure: 'lagP50Ms', title: 'lag p50 ms', digits: 0 },
        { figure: 'lagP99Ms', title: 'lag p99 ms', digits: 0 },
        { figure: 'caughtUpMs', title: 'caught up ms', digits: 0 },
      ],
      base: 'no standby',
      systems: [
        { ...own('no standby', 'active site of a pair whose other site is away', 'mirror', load), pair: true },
        { ...own('standby follows', 'the same, mirrored', 'mirror', [...load, '--standby']), pair: true },
      ],
    },
    {
      name: 'agents',
      question: 'The same work for more agents (500 slots altogether, at least one each)',
      columns: [rate, ...cpu],
      systems: size.agents.map((agents) =>
        own(`${agents} agents`, 'one shard', 'throughput', [
          ...[...load, '--agents', `${agents}`, '--slots', `${Math.max(1, Math.floor(500 / agents))}`],
        ]),
      ),
    },
    {
      name: 'shards',
      question: 'The same work spread over more shards of one process',
      columns: [rate, ...cpu],
      systems: size.shards.map((shards) =>
        own(`${shards} shards`, 'agents in each', 'throughput', [
          ...[...load, '--shards-used', `${shards}`, '--agents', `${Math.max(5, shards)}`, '--slots', '100'],
        ]),
      ),
    },
  ];
}
