// pg-boss in its recommended set-up: bulk insert, workers that fetch batches.
import PgBoss from 'pg-boss';

export async function open({ postgresUrl, handler, done, works, batchSize }) {
  const boss = new PgBoss({ connectionString: postgresUrl, max: 20, supervise: true });
  boss.on('error', (error) => {
    throw error;
  });
  await boss.start();
  await boss.createQueue('bench');
  if (works)
    for (let worker = 0; worker < 4; worker++)
      await boss.work('bench', { batchSize, pollingIntervalSeconds: 0.5 }, async (jobs) => {
        for (const job of jobs) await handler(job.data);
        // The jobs of a batch are completed when this returns.
        setImmediate(() => done(jobs.length));
      });
  return {
    addMany: (items) => boss.insert(items.map((data) => ({ name: 'bench', data }))),
    addOne: (data) => boss.send('bench', data),
    left: () => boss.getQueueSize('bench'),
    close: () => boss.stop({ graceful: true, close: true, wait: true }),
  };
}
