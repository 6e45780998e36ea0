/** `orchestrator audit`: what operators asked for and what came of it, asked of the API. */
import { parseArgs } from 'node:util';
import { ensureSecret, mintToken } from '../../api/token.ts';
import type { Config } from '../../config/schema.ts';
import { readSettings, secretFile } from '../settings.ts';
import { UsageError } from './usage.ts';

export const auditUsage = `  audit           what operators asked for and what came of it, newest first
    --subject NAME, --target ADDRESS, --after TIME, --before TIME, --limit N
    --json          JSON lines
    --api URL       default: ORCHESTRATOR_API, or the address in the configuration
                    the token is ORCHESTRATOR_TOKEN, or one of the site's secret`;

interface Row {
  at: string;
  subject: string;
  action: string;
  target: string;
  status?: number;
  code?: string;
  detail?: string;
}

export async function auditCommand(argv: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      subject: { type: 'string' },
      target: { type: 'string' },
      after: { type: 'string' },
      before: { type: 'string' },
      limit: { type: 'string', default: '50' },
      json: { type: 'boolean', default: false },
      api: { type: 'string' },
      config: { type: 'string' },
      set: { type: 'string', multiple: true, default: [] },
    },
  });
  const { config } = readSettings({ file: values.config, set: values.set });
  const query = new URLSearchParams();
  for (const name of ['subject', 'target', 'after', 'before', 'limit'] as const)
    if (values[name] !== undefined) query.set(name, values[name]);
  const url = `${values.api ?? process.env['ORCHESTRATOR_API'] ?? apiOf(config)}/api/v1/audit?${query}`;
  const answer = await asked(url, process.env['ORCHESTRATOR_TOKEN'] ?? adminToken(config));
  const body = (await answer.json()) as { items?: Row[]; detail?: string };
  if (answer.status === 400) throw new UsageError(body.detail);
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${body.detail ?? ''}`);
  for (const row of body.items ?? []) process.stdout.write(`${values.json ? JSON.stringify(row) : line(row)}\n`);
  return 0;
}

function line({ at, subject, action, target, status, code, detail }: Row): string {
  const outcome = [status ?? 'no end seen', code].filter((part) => part !== undefined).join(' ');
  const method = action.split(' ', 1)[0] ?? '';
  // What others sent may hold what a terminal would obey.
  const sent = detail === undefined ? [] : [detail.replaceAll(/[^\x20-\x7e]/g, '.').slice(0, 120)];
  return [at, subject, `${method} ${target}`, outcome, ...sent].join('  ');
}

async function asked(url: string, token: string): Promise<Response> {
  try {
    return await fetch(url, { headers: { Authorization: `Bearer ${token}` } });
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    const reason = cause instanceof Error && cause.message !== '' ? cause.message : String(cause ?? error);
    throw new Error(
      `${url.split('?', 1)[0]} does not answer: ${reason}; with a private CA, NODE_EXTRA_CA_CERTS names its file`,
      { cause: error },
    );
  }
}

export function apiOf(config: Config): string {
  const { host, port } = config[`${config.orchestrator.site}_server`];
  const reached = ['0.0.0.0', '::'].includes(host) ? 'localhost' : host;
  return `${config.tls.certificate_file === undefined ? 'http' : 'https'}://${reached.includes(':') ? `[${reached}]` : reached}:${port}`;
}

/** Good for this one question. @throws Error where tokens come from another issuer */
export function adminToken(config: Config): string {
  if (config.auth.algorithm !== 'HS256')
    throw new Error(`[auth] algorithm is ${config.auth.algorithm}: put a token of the issuer into ORCHESTRATOR_TOKEN`);
  const { issuer, audience } = config.auth;
  const secret = ensureSecret(secretFile(config));
  return mintToken({ secret, issuer, audience, subject: 'operator', scopes: ['admin'], lifetimeSeconds: 60 });
}
