/** Where the programs find their configuration, their data and the secret. */
import { readFileSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { ensureSecret } from '../api/token.ts';
import { ConfigError, loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { transportProblems } from '../config/transport.ts';
import { projectRoot } from './root.ts';

/** @throws ConfigError with every problem that was found */
export function readSettings(from: { file: string | undefined; set: readonly string[] }): { config: Config } {
  const config = loadConfig({
    ...(from.file !== undefined && { file: from.file }),
    defaultFile: join(projectRoot, 'config', 'orchestrator.toml'),
    env: process.env,
    set: from.set,
  });
  const problems = transportProblems(config, process.env);
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

/** What verifies tokens: the secret of the site, or the public key of another issuer. */
export function verificationKey(config: Config): string {
  const { public_key_file: path } = config.auth;
  return path === undefined ? ensureSecret(secretFile(config)) : readFileSync(path, 'utf8');
}

/** Where tokens are noted that were called back. */
export function revokedFile(config: Config): string {
  return config.auth.revoked_file ?? join(dataDirectory(config), 'revoked');
}
