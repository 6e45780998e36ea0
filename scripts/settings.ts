/** Where the programs find their configuration, their data and the secret. */
import { isAbsolute, join, resolve } from 'node:path';
import { jwksKeys, pemKeys, remoteKeys, secretKeys, watchedKeys, type TokenKeys } from '../api/keys.ts';
import { ensureSecret, ensureSecrets, secretsOf } from '../api/token.ts';
import { ConfigError, loadConfig } from '../config/load.ts';
import { pairProblems } from '../config/pair.ts';
import type { Config } from '../config/schema.ts';
import { transportProblems } from '../config/transport.ts';
import type { Log } from '../runtime/ports.ts';
import { createLog, type RunningLog } from '../runtime/telemetry/log.ts';
import { secretsOfAddress } from '../runtime/telemetry/redaction.ts';
import { projectRoot } from './root.ts';

/** @throws ConfigError with every problem that was found */
export function readSettings(from: { file: string | undefined; set: readonly string[] }): { config: Config } {
  const config = loadConfig({
    ...(from.file !== undefined && { file: from.file }),
    defaultFile: join(projectRoot, 'config', 'orchestrator.toml'),
    env: process.env,
    set: from.set,
  });
  const problems = [...transportProblems(config, process.env), ...pairProblems(config)];
  if (problems.length > 0) throw new ConfigError(problems);
  return { config };
}

export function dataDirectory(config: Config): string {
  const { directory } = config.data;
  return isAbsolute(directory) ? directory : join(projectRoot, directory);
}

/** The secret that signs tokens: configured, or made in the data directory at the first start. */
export function secretFile(config: Config): string {
  return config.auth.secret_file ?? join(dataDirectory(config), 'secret');
}

/** What verifies tokens: the secrets of the site, or the public keys of another issuer. @throws Error when they cannot */
export function tokenKeys(config: Config, watch: { log: Log; monotonicMs: () => number }): TokenKeys {
  const { algorithm, public_key_file, jwks_file, jwks_url } = config.auth;
  if (jwks_url !== undefined) return remoteKeys(algorithm, jwks_url);
  if (jwks_file !== undefined) return watchedKeys(jwks_file, (text) => jwksKeys(algorithm, text), watch);
  if (public_key_file !== undefined) return watchedKeys(public_key_file, (text) => pemKeys(algorithm, text), watch);
  const path = secretFile(config);
  ensureSecrets(path);
  return watchedKeys(path, (text) => secretKeys(secretsOf(text, path)), watch);
}

/** The log as the configuration wants it; it shows no secret of the configuration, of tokens and of agents. */
export function openLog(config: Config): RunningLog {
  const { level, format, directory } = config.logging;
  const log = createLog({ level, format, directory: directory && resolve(projectRoot, directory) });
  const { redis, peer, postgres, auth } = config;
  const addresses = [redis.url, ...(redis.cluster ?? []), redis.agent_url, peer.redis, postgres.url, auth.jwks_url];
  log.hide(...addresses.flatMap(secretsOfAddress));
  if (auth.algorithm === 'HS256') log.hide(...ensureSecrets(secretFile(config)));
  log.hide(agentSecret(config));
  return log;
}

/** Where tokens are noted that were called back. */
export function revokedFile(config: Config): string {
  return config.auth.revoked_file ?? join(dataDirectory(config), 'revoked');
}

/** Where the command line leaves its notes for the audit log. */
export function auditFolderOf(config: Config): string {
  return join(dataDirectory(config), 'audit');
}

/** What the passwords of agents follow from: configured, or made in the data directory at the first start. */
export function agentSecret(config: Config): string {
  return ensureSecret(config.redis.agent_secret_file ?? join(dataDirectory(config), 'agent-secret'));
}
