/** The port of the metrics: Prometheus text without authentication. */
import { HttpServer } from '../../api/server.ts';
import type { Metrics } from '../../runtime/telemetry/metrics.ts';
import type { Foundation } from './foundation.ts';
import type { Lifecycle } from './lifecycle.ts';

/** @returns its address, or undefined where there is to be none */
export async function serveMetrics(
  { config, transport, log }: Foundation,
  metrics: Metrics,
  lifecycle: Lifecycle,
): Promise<string | undefined> {
  const { enabled, host, port } = config.metrics;
  if (!enabled) return undefined;
  const server = new HttpServer({
    ...{ name: 'metrics', host, port, portKey: 'metrics.port', log },
    ...(transport.server && { tls: transport.server }),
    listener: (request, response) => {
      if (request.method !== 'GET' || request.url !== '/metrics') {
        response.writeHead(404, { 'Content-Type': 'text/plain' }).end('the metrics are at /metrics\n');
        return;
      }
      metrics.render().then(
        (text) => response.writeHead(200, { 'Content-Type': metrics.contentType }).end(text),
        (error: unknown) => {
          log.error({ error: String(error) }, 'metrics failed');
          response.writeHead(500).end();
        },
      );
    },
  });
  lifecycle.onReload(() => server.renewTls());
  await lifecycle.run(server);
  return `${server.url}/metrics`;
}
