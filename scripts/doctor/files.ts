/** Secrets and data: there, readable, and nobody else's. */
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { ensureSecrets } from '../../api/token.ts';
import type { Config } from '../../config/schema.ts';
import { dataDirectory, secretFile } from '../settings.ts';
import { Transport } from '../transport.ts';
import { failed, messageOf, ok, type Diagnosis } from './diagnosis.ts';

export function examineFiles(config: Config): Diagnosis[] {
  const { algorithm, public_key_file, jwks_file } = config.auth;
  return [
    directory(dataDirectory(config)),
    ...(algorithm === 'HS256'
      ? [secret('secret of tokens', secretFile(config))]
      : [public_key_file, jwks_file].flatMap((path) => (path === undefined ? [] : [readable('keys of tokens', path)]))),
    secret('secret of agents', config.redis.agent_secret_file ?? `${dataDirectory(config)}/agent-secret`),
    certificates(config),
  ];
}

function directory(path: string): Diagnosis {
  const what = 'data directory';
  if (!existsSync(path)) return ok(what, `${path} is made at the first start`);
  const { mode, uid } = statSync(path);
  if ((mode & 0o007) !== 0) return failed(what, `${path} is open to everybody`, `chmod 700 ${path}`);
  try {
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch {
    return failed(what, `${path} cannot be written by this user`, `run as user ${uid}, or chown it`);
  }
  return ok(what, path);
}

/** Looks and makes nothing: the first start makes it. */
function secret(what: string, path: string): Diagnosis {
  if (!existsSync(path)) return ok(what, `${path} is made at the first start`);
  try {
    ensureSecrets(path);
    return ok(what, path);
  } catch (error) {
    return failed(what, messageOf(error), `chmod 600 ${path}, or remove it and start again`);
  }
}

function readable(what: string, path: string): Diagnosis {
  try {
    accessSync(path, constants.R_OK);
    return ok(what, path);
  } catch (error) {
    return failed(what, messageOf(error), 'put the public keys of the issuer there, readable by this user');
  }
}

function certificates(config: Config): Diagnosis {
  try {
    const { server } = new Transport(config);
    return ok('certificates', server ? 'HTTPS' : 'plain HTTP: on a network, put TLS in front or set [tls]');
  } catch (error) {
    return failed('certificates', messageOf(error), 'see [tls], [redis] and [postgres] in config/README.md');
  }
}
