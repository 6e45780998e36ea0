/** Ports of the site: free, or its own server answers there. */
import { connect } from 'node:net';
import type { Config } from '../../config/schema.ts';
import { failed, messageOf, ok, warning, type Diagnosis } from './diagnosis.ts';

const deadlineMs = 3_000;

export async function examinePorts(config: Config): Promise<Diagnosis[]> {
  const { host, port } = config[`${config.orchestrator.site}_server`];
  const found = [await api(host, port, config.tls.certificate_file !== undefined)];
  if (config.metrics.enabled) found.push(await metrics(config.metrics.host, config.metrics.port));
  return found;
}

async function api(host: string, port: number, tls: boolean): Promise<Diagnosis> {
  const what = 'API';
  const place = `${host}:${port}`;
  if (port === 0 || !(await answers(host, port))) return ok(what, `${place} is free: the server does not run`);
  if (tls) return ok(what, `${place} is taken; whether by this site, only a client with its certificates can tell`);
  try {
    const response = await fetch(`http://${place}/readyz`, { signal: AbortSignal.timeout(deadlineMs) });
    const body = (await response.json()) as { status?: string; findings?: object[] };
    if (body.status === 'ready') return ok(what, `${place} is ready`);
    if (body.status !== undefined)
      return failed(
        what,
        `${place} answers: ${JSON.stringify(body).slice(0, 300)}`,
        'see what Redis and PostgreSQL say below',
      );
    return taken(what, place);
  } catch (error) {
    return taken(what, `${place} (${messageOf(error)})`);
  }
}

function taken(what: string, place: string): Diagnosis {
  return failed(what, `another program has ${place}`, 'stop it, or set another port; `ss -ltnp` shows whose it is');
}

async function metrics(host: string, port: number): Promise<Diagnosis> {
  const what = 'metrics';
  if (port === 0 || !(await answers(host, port))) return ok(what, `${host}:${port} is free`);
  try {
    const response = await fetch(`http://${host}:${port}/metrics`, { signal: AbortSignal.timeout(deadlineMs) });
    if ((await response.text()).includes('orchestrator_info')) return ok(what, `${host}:${port} answers`);
  } catch (error) {
    return warning(what, `${host}:${port} is taken: ${messageOf(error)}`, 'set [metrics] port');
  }
  return failed(what, `another program has ${host}:${port}`, 'set [metrics] port, or enabled = false');
}

function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: deadlineMs });
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
    socket.once('timeout', () => end(false));
  });
}
