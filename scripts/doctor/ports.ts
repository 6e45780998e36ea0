/** Ports of the site: free, or its own server answers there. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http, { type ClientRequest, type IncomingMessage } from 'node:http';
import https from 'node:https';
import { connect } from 'node:net';
import type { Config } from '../../config/schema.ts';
import { failed, messageOf, ok, warning, type Diagnosis } from './diagnosis.ts';

const deadlineMs = 3_000;

export async function examinePorts(config: Config): Promise<Diagnosis[]> {
  const { host, port } = config[`${config.orchestrator.site}_server`];
  const { certificate_file } = config.tls;
  const found = [await api({ host, port, certificate_file })];
  const { metrics } = config;
  if (metrics.enabled) found.push(await metricsPort({ host: metrics.host, port: metrics.port, certificate_file }));
  return found;
}

interface Place {
  host: string;
  port: number;
  /** What the own server shows; undefined where it speaks plain HTTP. */
  certificate_file: string | undefined;
}

async function api({ host, port, certificate_file }: Place): Promise<Diagnosis> {
  const what = 'API';
  const place = `${host}:${port}`;
  if (port === 0 || !(await answers(host, port))) return ok(what, `${place} is free: the server does not run`);
  try {
    const body = JSON.parse(await get({ host, port, certificate_file }, '/readyz')) as { status?: string };
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

async function metricsPort({ host, port, certificate_file }: Place): Promise<Diagnosis> {
  const what = 'metrics';
  const place = `${host}:${port}`;
  if (port === 0 || !(await answers(host, port))) return ok(what, `${place} is free`);
  try {
    if ((await get({ host, port, certificate_file }, '/metrics')).includes('orchestrator_info'))
      return ok(what, `${place} answers`);
  } catch (error) {
    return warning(what, `another program has ${place} (${messageOf(error)})`, 'set [metrics] port');
  }
  return failed(what, `another program has ${place}`, 'set [metrics] port, or enabled = false');
}

/** What the own server says; with TLS, whoever shows the certificate of the configuration is it, under whatever name. */
function get({ host, port, certificate_file }: Place, path: string): Promise<string> {
  const asked = { host, port, path, timeout: deadlineMs };
  return new Promise((resolve, reject) => {
    const taken = (answer: IncomingMessage): void => {
      let text = '';
      answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      answer.on('end', () => resolve(text)).on('error', reject);
    };
    let request: ClientRequest;
    if (certificate_file === undefined) request = http.get(asked, taken);
    else {
      const certificate = readFileSync(certificate_file, 'utf8');
      const own = new X509Certificate(certificate).raw;
      const checkServerIdentity = (_: string, { raw }: { raw: Buffer }): Error | undefined =>
        raw.equals(own) ? undefined : new Error('it shows another certificate');
      request = https.get({ ...asked, ca: certificate, allowPartialTrustChain: true, checkServerIdentity }, taken);
    }
    request.on('timeout', () => request.destroy(new Error(`no answer within ${deadlineMs} ms`)));
    request.on('error', reject);
  });
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
