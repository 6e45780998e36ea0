/**
 * What may be said on which wire: beyond this machine everything speaks TLS, and every certificate is checked. A setting
 * that would skip the check is refused before anything is started.
 */
import type { Config } from './schema.ts';

const plaintextRemedy = 'or set [tls] allow_plaintext = true where the network itself is encrypted';

/**
 * @param env the environment of the process
 * @returns one sentence for each thing that would be spoken in the open or without a check; empty when all is well
 */
export function transportProblems(config: Config, env: Readonly<Record<string, string | undefined>>): string[] {
  return [
    ...(env['NODE_TLS_REJECT_UNAUTHORIZED'] === '0'
      ? ['NODE_TLS_REJECT_UNAUTHORIZED=0 switches the check of certificates off; unset it and name the CA instead']
      : []),
    ...listenerProblems(config),
    ...redisProblems(config),
    ...(config.postgres.url === undefined ? [] : postgresProblems(config, config.postgres.url)),
  ];
}

/** Whether the connection to PostgreSQL is encrypted, and its certificate and host name are checked (`verify-full`). */
export function postgresSpeaksTls({ postgres, tls }: Config): boolean {
  if (postgres.url === undefined) return false;
  const { host, mode } = postgresAddress(postgres.url);
  if (mode !== undefined) return mode !== 'disable';
  if (postgres.ca_file !== undefined || postgres.certificate_file !== undefined) return true;
  return !isLocal(host) && !tls.allow_plaintext;
}

/** Whether the connection to Redis, or to the nodes of a cluster, is encrypted. */
export function redisSpeaksTls({ redis }: Pick<Config, 'redis'>): boolean {
  return (redis.url ?? redis.cluster?.[0])?.startsWith('rediss://') === true;
}

/** Loopback, or a socket in the file system: what nobody else can listen to. */
export function isLocal(host: string): boolean {
  const bare = host.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  return bare === '' || bare === 'localhost' || bare === '::1' || /^127(\.\d{1,3}){3}$/.test(bare) || bare[0] === '/';
}

function listenerProblems({ tls, orchestrator, metrics, ...config }: Config): string[] {
  if (tls.certificate_file !== undefined || tls.allow_plaintext) return [];
  const section = `${orchestrator.site}_server` as const;
  const listeners = [
    ...(orchestrator.roles.includes('api') ? [[`${section}.host`, config[section].host] as const] : []),
    ...(metrics.enabled ? [['metrics.host', metrics.host] as const] : []),
  ];
  return listeners
    .filter(([, host]) => !isLocal(host))
    .map(
      ([key, host]) =>
        `${key}: ${host} is reached from other machines; set [tls] certificate_file and key_file, ${plaintextRemedy}`,
    );
}

/** Parameters of the address that change neither security nor the promises of a connection. */
const redisParameters = new Set(['db', 'family']);

function redisProblems({ redis, tls }: Config): string[] {
  const problems: string[] = [];
  const { url, agent_url, cluster = [] } = redis;
  const named = [['url', url], ['agent_url', agent_url], ...cluster.map((node) => ['cluster', node] as const)] as const;
  for (const [key, text] of named) {
    const address = parsed(text);
    if (text !== undefined && !address) problems.push(`redis.${key}: is no address that can be read`);
    if (!address) continue;
    const foreign = [...address.searchParams.keys()].find((name) => !redisParameters.has(name));
    if (foreign !== undefined)
      problems.push(`redis.${key}: takes no parameter "${foreign.slice(0, 40)}"; certificates are keys of [redis]`);
    if (address.protocol === 'redis:' && !isLocal(address.hostname) && !tls.allow_plaintext)
      problems.push(`redis.${key}: redis:// sends passwords and tasks in the open; use rediss://, ${plaintextRemedy}`);
  }
  if ((redis.ca_file !== undefined || redis.certificate_file !== undefined) && !redisSpeaksTls({ redis }))
    problems.push('redis.ca_file: holds for addresses that begin with rediss:// only');
  return problems;
}

function postgresProblems({ postgres, tls }: Config, url: string): string[] {
  if (!parsed(url)) return ['postgres.url: is no address that can be read'];
  const { host, mode, foreign } = postgresAddress(url);
  const problems: string[] = [];
  if (foreign !== undefined)
    problems.push(`postgres.url: takes no parameter "${foreign.slice(0, 40)}"; certificates are keys of [postgres]`);
  if (mode !== undefined && mode !== 'verify-full' && mode !== 'disable')
    problems.push(
      `postgres.url: sslmode=${mode.slice(0, 40)} does not check whom it speaks to; use sslmode=verify-full with [postgres] ca_file`,
    );
  if (mode === 'disable' && !isLocal(host) && !tls.allow_plaintext)
    problems.push(
      `postgres.url: sslmode=disable sends passwords in the open; use sslmode=verify-full, ${plaintextRemedy}`,
    );
  if (mode === 'disable' && postgres.ca_file !== undefined)
    problems.push('postgres.ca_file: holds with sslmode=verify-full only');
  return problems;
}

/** `mode` is undefined when the address does not say; `foreign` is a parameter that has to be a key instead. */
function postgresAddress(url: string): { host: string; mode: string | undefined; foreign: string | undefined } {
  const address = parsed(url);
  const parameters = address?.searchParams ?? new URLSearchParams();
  return {
    host: parameters.get('host') ?? decodeURIComponent(address?.hostname ?? ''),
    mode: parameters.getAll('sslmode').at(-1),
    foreign: [...parameters.keys()].find((name) => /^(ssl|uselibpqcompat)/i.test(name) && name !== 'sslmode'),
  };
}

function parsed(url: string | undefined): URL | undefined {
  if (url === undefined) return undefined;
  try {
    // An address without a host means the socket of this machine.
    return new URL(url.replace(/^(postgres(?:ql)?:\/\/(?:[^/?#]*@)?)(?=[/?]|$)/, '$1localhost'));
  } catch {
    return undefined;
  }
}
