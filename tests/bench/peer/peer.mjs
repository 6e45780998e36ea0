// One run of one peer on the servers that are named: the same measures for all of them. Prints one JSON line. The benchmark
// starts it; by hand: node peer.mjs --system bullmq --measure throughput --redis redis://127.0.0.1:PORT
import { fork } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';

const { values } = parseArgs({
  options: {
    system: { type: 'string' },
    measure: { type: 'string', default: 'throughput' },
    redis: { type: 'string' },
    postgres: { type: 'string' },
    'postgres-pid': { type: 'string' },
    tasks: { type: 'string', default: '50000' },
    warmup: { type: 'string', default: '5000' },
    rate: { type: 'string', default: '500' },
    seconds: { type: 'string', default: '10' },
    concurrency: { type: 'string', default: '100' },
    /** Processes that only work, beside the one that produces; 0: it works as well. */
    workers: { type: 'string', default: '0' },
    priorities: { type: 'boolean', default: false },
    fast: { type: 'boolean', default: false },
  },
});
const { open } = await import(`./${values.system}.mjs`);
const workers = Number(values.workers);
const isWorker = values.measure === 'work';
const probe = values.redis && new Redis(values.redis);

let completed = 0;
let goal = Infinity;
let reached = () => undefined;
function done(count) {
  completed += count;
  if (isWorker) return;
  if (completed >= goal) reached();
}
const latencies = [];
async function handler(item) {
  if (item.at !== undefined) latencies.push(performance.timeOrigin + performance.now() - item.at);
  return { ok: 1 };
}

const peer = await open({
  redisUrl: values.redis,
  postgresUrl: values.postgres,
  priorities: values.priorities,
  fast: values.fast,
  concurrency: Number(values.concurrency),
  batchSize: values.measure === 'latency' ? 50 : 500,
  handler,
  done,
  works: isWorker || workers === 0,
});

/** User and system time of all processes of a PostgreSQL, those that ended included, in microseconds. */
function postgresCpuUs() {
  if (!values['postgres-pid']) return 0;
  const tick = 10_000;
  const root = Number(values['postgres-pid']);
  let ticks = 0;
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const text = readFileSync(`/proc/${name}/stat`, 'utf8');
      const [, parent, ...rest] = text.slice(text.lastIndexOf(')') + 2).split(' ');
      const [user, system, childUser, childSystem] = rest.slice(9, 13).map(Number);
      if (Number(name) === root) ticks += user + system + childUser + childSystem;
      else if (Number(parent) === root) ticks += user + system;
    } catch {
      // It ended meanwhile, and is in the sum of its parent.
    }
  }
  return ticks * tick;
}

async function redisCpuUs() {
  if (!probe) return 0;
  const text = await probe.info('cpu');
  const seconds = (field) => Number(new RegExp(`^${field}:([\\d.]+)`, 'm').exec(text)[1]);
  return (seconds('used_cpu_user') + seconds('used_cpu_sys')) * 1e6;
}

const children = [];
async function startWorkers() {
  for (let index = 0; index < workers; index++) {
    const args = process.argv.slice(2).filter((word, at, all) => word !== '--measure' && all[at - 1] !== '--measure');
    const child = fork(fileURLToPath(import.meta.url), [...args, '--measure', 'work']);
    const state = { child, counted: 0, cpuUs: 0, tell: undefined };
    child.on('message', (message) => {
      completed += message.completed - state.counted;
      state.counted = message.completed;
      state.cpuUs = message.cpuUs;
      state.tell?.();
      if (completed >= goal) reached();
    });
    child.on('exit', (code) => {
      if (code) throw new Error(`a worker ended with ${code}`);
    });
    children.push(state);
    await new Promise((resolve) => (state.tell = resolve));
  }
}

/** Of this process and of its workers, who report a few times a second. */
function clientCpuUs() {
  const { user, system } = process.cpuUsage();
  return user + system + children.reduce((sum, { cpuUs }) => sum + cpuUs, 0);
}

let number = 0;
async function add(count) {
  goal = completed + count;
  const all = new Promise((resolve) => (reached = resolve));
  for (let first = 0; first < count; first += 500)
    await peer.addMany(
      Array.from({ length: Math.min(500, count - first) }, () => ({
        type: 'text_processing',
        text: 'hello',
        number: number++,
      })),
    );
  await all;
}

async function throughput() {
  await add(Number(values.warmup));
  const tasks = Number(values.tasks);
  const before = [clientCpuUs(), await redisCpuUs(), postgresCpuUs()];
  const started = performance.now();
  await add(tasks);
  const seconds = (performance.now() - started) / 1000;
  if (children.length > 0) await new Promise((resolve) => setTimeout(resolve, 120));
  const after = [clientCpuUs(), await redisCpuUs(), postgresCpuUs()];
  const [client, redis, postgres] = after.map((us, index) => (us - before[index]) / tasks);
  return {
    tasksPerSecond: tasks / seconds,
    clientUs: client,
    redisUs: redis,
    postgresUs: postgres,
    totalUs: client + redis + postgres,
  };
}

async function latency() {
  const rate = Number(values.rate);
  const run = async (count) => {
    goal = completed + count;
    const all = new Promise((resolve) => (reached = resolve));
    const started = performance.now();
    const added = [];
    for (let sent = 0; sent < count;) {
      const due = Math.min(count, Math.floor(((performance.now() - started) / 1000) * rate));
      for (; sent < due; sent++)
        added.push(
          peer.addOne({
            type: 'text_processing',
            text: 'hello',
            number: number++,
            at: performance.timeOrigin + performance.now(),
          }),
        );
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await Promise.all(added);
    await all;
    return count / ((performance.now() - started) / 1000);
  };
  await run(rate * 2);
  latencies.length = 0;
  const perSecond = await run(rate * Number(values.seconds));
  latencies.sort((left, right) => left - right);
  const at = (share) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))];
  return { tasksPerSecond: perSecond, p50Ms: at(0.5), p99Ms: at(0.99), p999Ms: at(0.999) };
}

if (isWorker) {
  const tell = () => {
    const { user, system } = process.cpuUsage();
    process.send({ completed, cpuUs: user + system });
  };
  tell();
  setInterval(tell, 50);
  process.on('message', () => void peer.close().then(() => process.exit(0)));
} else {
  await startWorkers();
  const figures = values.measure === 'latency' ? await latency() : await throughput();
  for (const { child } of children) child.send('stop');
  // What was completed last may still be on its way out.
  let left = await peer.left();
  for (let tries = 0; left > 0 && tries < 50; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    left = await peer.left();
  }
  if (left > 0) throw new Error(`${left} jobs are not completed`);
  console.log(JSON.stringify({ figures }));
  await peer.close();
  probe?.disconnect();
  process.exit(0);
}
