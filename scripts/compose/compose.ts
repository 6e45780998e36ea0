/**
 * The composition root: adapters, host and API put together for one process, in the order in which they start. Only the files
 * of this folder know all of them.
 */
import { agentStatus } from '../../actors/agent/status.ts';
import { taskStatus } from '../../actors/task/status.ts';
import type { Config } from '../../config/schema.ts';
import { createMetrics, type Metrics } from '../../runtime/telemetry/metrics.ts';
import { startApi, type ApiSettings } from './apirole.ts';
import { lay, type Foundation, type FoundationSettings } from './foundation.ts';
import { whenUnavailable } from './health.ts';
import { Lifecycle } from './lifecycle.ts';
import { serveMetrics } from './metricsport.ts';
import { retain } from './retention.ts';
import { RuntimeRole } from './runtimerole.ts';

export interface Process {
  /** Base address of the API; undefined where this process has no such role. */
  apiUrl: string | undefined;
  metricsUrl: string | undefined;
  /** The longest time that a shard held here has not come round, in milliseconds; 0 when none is held. */
  readAgeMs(): number;
  /**
   * Takes over what may change while it runs, see config/reload.ts. Requests under way are not disturbed.
   * @throws Error when it cannot be used; then everything stays as it was
   */
  reload(config: Config): Promise<void>;
  /** Takes no new requests, finishes what is under way, gives the shards back. */
  stop(): Promise<void>;
}

export type ComposeSettings = FoundationSettings & ApiSettings;

export async function compose(settings: ComposeSettings): Promise<Process> {
  const { roles } = settings.config.orchestrator;
  const lifecycle = new Lifecycle();
  const foundation = await lay(settings, lifecycle);
  await retain(foundation, lifecycle);
  const runtime = new RuntimeRole();
  const metrics = metricsOf(foundation, runtime, settings.version);
  if (roles.includes('runtime')) await runtime.start(foundation, metrics.telemetry, lifecycle);
  const apiUrl = roles.includes('api') ? await startApi(foundation, settings, runtime, metrics, lifecycle) : undefined;
  const metricsUrl = await serveMetrics(foundation, metrics, lifecycle);
  return {
    apiUrl,
    metricsUrl,
    readAgeMs: () => runtime.supervisor?.readAgeMs ?? 0,
    reload: (next) => lifecycle.reload(next),
    stop: () => lifecycle.stop(),
  };
}

function metricsOf(
  { config, inspection, transport, postgresUp }: Foundation,
  runtime: RuntimeRole,
  version: string,
): Metrics {
  const { site, shards } = config.orchestrator;
  return createMetrics({
    site: { name: site, version },
    pair: () => runtime.pair,
    lanes: () => runtime.supervisor?.lanes() ?? [],
    census: () => runtime.supervisor?.census() ?? new Map<string, number>(),
    shardsHeld: () => runtime.supervisor?.shards.length ?? 0,
    shards,
    shardsRefused: () => runtime.supervisor?.refused.size ?? 0,
    readAgeMs: () => runtime.supervisor?.readAgeMs ?? 0,
    groups: () => inspection.groups(runtime.supervisor?.shards ?? []).catch(whenUnavailable([])),
    projection: () => runtime.projection,
    dependencies: async () => [
      { service: 'redis', up: await inspection.up() },
      { service: 'postgres', up: await postgresUp() },
    ],
    certificates: () => transport.certificateEnds(),
    agentStatus,
    taskStatus,
  });
}
