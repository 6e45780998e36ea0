/** The secret that signs tokens, and the tokens that the command line mints. */
import { randomBytes, randomUUID } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import jwt from 'jsonwebtoken';

/** What a token may allow; `admin` allows everything. */
export const scopes = [
  'read',
  'tasks:submit',
  'tasks:cancel',
  'tasks:redrive',
  'agents:register',
  'agents:control',
  'admin',
] as const;
export type Scope = (typeof scopes)[number];

/**
 * Reads the secret, or makes it at the first start: 256 random bits, readable by the owner alone.
 * @throws Error when the file is readable by others or too short
 */
export function ensureSecret(path: string): string {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(path, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600, flag: 'wx' });
    chmodSync(path, 0o600);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
  const secret = readFileSync(path, 'utf8').trim();
  if (secret.length < 32)
    throw new Error(`${path} holds a secret of fewer than 32 characters; remove it and start again`);
  return secret;
}

export interface TokenRequest {
  secret: string;
  issuer: string;
  audience: string;
  subject: string;
  scopes: readonly Scope[];
  tenant?: string;
  lifetimeSeconds: number;
}

export function mintToken({
  secret,
  issuer,
  audience,
  subject,
  scopes: list,
  tenant,
  lifetimeSeconds,
}: TokenRequest): string {
  return jwt.sign({ scope: list.join(' '), ...(tenant !== undefined && { tenant }) }, secret, {
    algorithm: 'HS256',
    issuer,
    audience,
    subject,
    jwtid: randomUUID(),
    expiresIn: lifetimeSeconds,
  });
}
