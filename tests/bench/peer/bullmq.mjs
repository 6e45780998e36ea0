// BullMQ as its documentation recommends for bulk work, with priorities, or without them (its faster data structure).
import { Queue, Worker } from 'bullmq';

export async function open({ redisUrl, priorities, concurrency, handler, done, works }) {
  const { hostname: host, port } = new URL(redisUrl);
  const connection = { host, port: Number(port), maxRetriesPerRequest: null };
  const queue = new Queue('bench', { connection });
  const optionsOf = (number) => ({ removeOnComplete: true, ...(priorities && { priority: 1 + (number % 10) }) });
  const worker = works ? new Worker('bench', async (job) => handler(job.data), { connection, concurrency }) : undefined;
  worker?.on('completed', () => done(1));
  worker?.on('failed', (_job, error) => {
    throw error;
  });
  await worker?.waitUntilReady();
  return {
    addMany: (items) => queue.addBulk(items.map((data) => ({ name: 'task', data, opts: optionsOf(data.number) }))),
    addOne: (data) => queue.add('task', data, optionsOf(data.number)),
    left: async () => {
      const counts = await queue.getJobCounts('wait', 'active', 'prioritized', 'delayed', 'failed');
      return Object.values(counts).reduce((sum, count) => sum + count, 0);
    },
    close: async () => {
      await worker?.close();
      await queue.close();
    },
  };
}
