// graphile-worker: as it comes, or with its local queue and batched completion, which its documentation gives as the fastest.
import { Logger, makeWorkerUtils, run, runMigrations } from 'graphile-worker';
import pg from 'pg';

const logger = new Logger(() => (level, message) => {
  if (level === 'error') console.error(message);
});

export async function open({ postgresUrl, fast, concurrency, handler, done, works }) {
  const pool = new pg.Pool({ connectionString: postgresUrl, max: fast ? 20 : concurrency + 5 });
  await runMigrations({ pgPool: pool, logger });
  const utils = await makeWorkerUtils({ pgPool: pool, logger });
  pool.on('error', (error) => console.error(error.message));
  const runner = !works
    ? undefined
    : await run({
        pgPool: pool,
        logger,
        concurrency,
        noHandleSignals: true,
        taskList: { task: async (data) => void (await handler(data)) },
        ...(fast && {
          preset: {
            worker: {
              localQueue: { size: 500 },
              completeJobBatchDelay: 0,
              failJobBatchDelay: 0,
            },
          },
        }),
      });
  runner?.events.on('job:complete', ({ error }) => {
    if (error) throw error;
    done(1);
  });
  return {
    addMany: (items) => utils.addJobs(items.map((payload) => ({ identifier: 'task', payload }))),
    addOne: (payload) => utils.addJob('task', payload),
    left: async () => Number((await pool.query('SELECT count(*) FROM graphile_worker._private_jobs')).rows[0].count),
    close: async () => {
      await runner?.stop();
      await utils.release();
      await pool.end();
    },
  };
}
