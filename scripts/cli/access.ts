/** Which server the command line talks to, and with which token: flag, then environment, then the configuration. */
import { existsSync, readFileSync } from 'node:fs';
import { ensureSecret, mintToken, type Scope } from '../../api/token.ts';
import type { Config } from '../../config/schema.ts';
import { secretFile } from '../settings.ts';
import { UsageError } from './usage.ts';

export function serverUrl(flag: string | undefined, env: NodeJS.ProcessEnv, settings: () => Config): string {
  const given = flag ?? env['ORCHESTRATOR_URL'];
  if (given !== undefined) {
    if (!URL.canParse(given) || !/^https?:/.test(given))
      throw new UsageError(`"${given.slice(0, 100)}" is no address like http://localhost:8000`);
    return given;
  }
  const config = settings();
  const { host, port } = config[`${config.orchestrator.site}_server`];
  const everywhere = host === '0.0.0.0' || host === '::';
  const name = everywhere ? 'localhost' : host.includes(':') ? `[${host}]` : host;
  return `${config.tls.certificate_file === undefined ? 'http' : 'https'}://${name}:${port}`;
}

/** A token made on the server's own machine lives just long enough for the command. */
const ownTokenSeconds = 3_600;

/** The token given, or one made with the secret of the site where this user may read it. */
export function bearer(
  tokenFile: string | undefined,
  env: NodeJS.ProcessEnv,
  settings: () => Config,
  scope: Scope,
): string {
  if (tokenFile !== undefined) return readFileSync(tokenFile === '-' ? 0 : tokenFile, 'utf8').trim();
  if (env['ORCHESTRATOR_TOKEN']) return env['ORCHESTRATOR_TOKEN'].trim();
  const config = settings();
  const file = secretFile(config);
  if (config.auth.algorithm !== 'HS256' || !existsSync(file))
    throw new Error('there is no token: set ORCHESTRATOR_TOKEN or --token-file; `orchestrator token` mints one');
  return mintToken({
    secret: ensureSecret(file),
    issuer: config.auth.issuer,
    audience: config.auth.audience,
    subject: 'operator',
    scopes: scope === 'read' ? ['read'] : ['read', scope],
    lifetimeSeconds: ownTokenSeconds,
  });
}
