/** What is thrown away after its time: months of history, and rows of lists. */
import { Historian } from '../../runtime/host/historian.ts';
import { Pruner } from '../../runtime/host/pruner.ts';
import { PostgresHistoryKeeper } from '../../runtime/postgres/months.ts';
import { PostgresRowPruner } from '../../runtime/postgres/pruner.ts';
import type { Foundation } from './foundation.ts';
import type { Lifecycle } from './lifecycle.ts';

export async function retain({ config, pool, system, log }: Foundation, lifecycle: Lifecycle): Promise<void> {
  let { retention } = config;
  lifecycle.onReload((next) => void (retention = next.retention));
  await lifecycle.run(
    new Historian({
      ...{ keeper: new PostgresHistoryKeeper(pool), system, log },
      keepMs: () => daysMs(retention.history_days),
    }),
  );
  await lifecycle.run(
    new Pruner({
      ...{ rows: new PostgresRowPruner(pool), system, log },
      keepMs: () => ({ tasks: daysMs(retention.task_days), audit: daysMs(retention.audit_days) }),
    }),
  );
}

function daysMs(count: number | undefined): number | undefined {
  return count === undefined ? undefined : count * 86_400_000;
}
