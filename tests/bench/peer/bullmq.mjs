// The peer's side of `throughput`: BullMQ in one process, producer and worker together, on the Redis that is named.
// Prints one JSON line. The benchmark starts it; by hand: node bullmq.mjs --url redis://127.0.0.1:PORT --tasks 50000
import { parseArgs } from 'node:util';
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';

const { values } = parseArgs({
  options: {
    url: { type: 'string' },
    tasks: { type: 'string', default: '50000' },
    warmup: { type: 'string', default: '5000' },
    concurrency: { type: 'string', default: '100' },
    'no-priorities': { type: 'boolean', default: false },
  },
});
if (values.url === undefined) throw new Error('--url is missing: redis://127.0.0.1:PORT');
const { hostname: host, port } = new URL(values.url);
const connection = { host, port: Number(port), maxRetriesPerRequest: null };
const probe = new Redis(values.url);
const queue = new Queue('bench', { connection });

async function redisCpuUs() {
  const text = await probe.info('cpu');
  const seconds = (field) => Number(new RegExp(`^${field}:([\\d.]+)`, 'm').exec(text)[1]);
  return (seconds('used_cpu_user') + seconds('used_cpu_sys')) * 1e6;
}

let completed = 0;
let reached = () => undefined;
let goal = Infinity;
const worker = new Worker('bench', async () => ({ ok: 1 }), { connection, concurrency: Number(values.concurrency) });
worker.on('completed', () => {
  if (++completed === goal) reached();
});
worker.on('failed', (job, error) => {
  throw error;
});
await worker.waitUntilReady();

/** Adds `count` jobs in bulks of 500 while the worker works; resolves when all are completed. */
async function run(count) {
  goal = completed + count;
  const done = new Promise((resolve) => {
    reached = resolve;
  });
  for (let first = 0; first < count; first += 500) {
    await queue.addBulk(
      Array.from({ length: Math.min(500, count - first) }, (_, index) => ({
        name: 'task',
        data: { type: 'text_processing', text: 'hello' },
        opts: {
          removeOnComplete: true,
          ...(!values['no-priorities'] && { priority: 1 + ((first + index) % 10) }),
        },
      })),
    );
  }
  await done;
}

await run(Number(values.warmup));
const tasks = Number(values.tasks);
const redisBefore = await redisCpuUs();
const clientBefore = process.cpuUsage();
const started = performance.now();
await run(tasks);
const seconds = (performance.now() - started) / 1000;
const client = process.cpuUsage(clientBefore);
const redisAfter = await redisCpuUs();

await worker.close();
const left = await queue.getJobCounts('wait', 'active', 'prioritized', 'delayed', 'failed');
const open = Object.values(left).reduce((sum, count) => sum + count, 0);
if (open > 0) throw new Error(`${open} jobs are not completed: ${JSON.stringify(left)}`);
console.log(
  JSON.stringify({ tasks, seconds, clientCpuUs: client.user + client.system, redisCpuUs: redisAfter - redisBefore }),
);
await queue.close();
probe.disconnect();
