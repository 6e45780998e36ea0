/** Secrets and data: there, readable, and nobody else's. */
import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs';
import { ensureSecrets } from '../../api/token.ts';
import type { Config } from '../../config/schema.ts';
import { dataDirectory, secretFile } from '../settings.ts';
import { Transport } from '../transport.ts';
import { failed, messageOf, ok, warning, type Diagnosis } from './diagnosis.ts';

const dayMs = 86_400_000;
/** As the alert CertificateEnds. */
const endsSoonDays = 14;

/** Less than this is left. */
const diskFree = { failedBytes: 8 * 2 ** 20, warningBytes: 2 ** 30, warningShare: 0.1 };

/** @param now milliseconds since 1970 */
export function examineFiles(config: Config, now: number): Diagnosis[] {
  const { algorithm, public_key_file, jwks_file } = config.auth;
  return [
    directory(dataDirectory(config)),
    ...disks(config),
    ...(algorithm === 'HS256'
      ? [secret('secret of tokens', secretFile(config))]
      : [public_key_file, jwks_file].flatMap((path) => (path === undefined ? [] : [readable('keys of tokens', path)]))),
    secret('secret of agents', config.redis.agent_secret_file ?? `${dataDirectory(config)}/agent-secret`),
    certificates(config, now),
  ];
}

function directory(path: string): Diagnosis {
  const what = 'data directory';
  if (!existsSync(path)) return ok(what, `${path} is made at the first start`);
  const { mode, uid } = statSync(path);
  // To pass through is no harm: the data of Redis may stand below, under a user of its own.
  if ((mode & 0o006) !== 0) return failed(what, `${path} is open to everybody`, `chmod 700 ${path}`);
  try {
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch {
    return failed(what, `${path} cannot be written by this user`, `run as user ${uid}, or chown it`);
  }
  return ok(what, path);
}

/** Redis ends when it cannot write, and logs end: so before the disk is full, and where it is. */
function disks(config: Config): Diagnosis[] {
  const data = dataDirectory(config);
  const folders = [
    data,
    `${data}/redis`,
    ...(config.logging.directory === undefined ? [] : [config.logging.directory]),
  ];
  const seen = new Set<number>();
  return folders.flatMap((folder) => {
    if (!existsSync(folder)) return [];
    const { dev } = statSync(folder);
    if (seen.has(dev)) return [];
    seen.add(dev);
    const { bsize, bavail, blocks } = statfsSync(folder);
    const [free, share] = [bsize * bavail, bavail / Math.max(1, blocks)];
    const detail = `${Math.floor(free / 2 ** 20).toLocaleString('en')} MiB free (${Math.floor(share * 100)} %) at ${folder}`;
    const remedy = `free space there, or make it larger; then Redis and the service go on by themselves`;
    if (free < diskFree.failedBytes) return [failed('disk', detail, remedy)];
    return [
      free < diskFree.warningBytes && share < diskFree.warningShare
        ? warning('disk', detail, remedy)
        : ok('disk', detail),
    ];
  });
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

function certificates(config: Config, now: number): Diagnosis {
  try {
    const transport = new Transport(config);
    const { server } = transport;
    const [first] = transport.certificateEnds().sort((one, other) => one.atMs - other.atMs);
    if (first && first.atMs - now < endsSoonDays * dayMs) {
      const [verb, say] = first.atMs < now ? (['ended', failed] as const) : (['ends', warning] as const);
      return say(
        'certificates',
        `the ${first.kind} of ${first.part} ${verb} at ${new Date(first.atMs).toISOString()}`,
        'run the install script again, or put new files in place; then reload',
      );
    }
    return ok('certificates', server ? 'HTTPS' : 'plain HTTP: on a network, put TLS in front or set [tls]');
  } catch (error) {
    return failed('certificates', messageOf(error), 'see [tls], [redis] and [postgres] in config/README.md');
  }
}
