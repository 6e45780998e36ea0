/** The secret that signs tokens, and the tokens that the command line mints. */
import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
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
 * @throws Error when the file is readable by everybody or too short
 */
export function ensureSecret(path: string): string {
  if (!existsSync(path)) makeSecret(path);
  if ((statSync(path).mode & 0o007) !== 0)
    throw new Error(`${path} holds the secret that signs tokens and is open to everybody; run: chmod 600 ${path}`);
  const secret = readFileSync(path, 'utf8').trim();
  if (secret.length < 32)
    throw new Error(`${path} holds a secret of fewer than 32 characters; remove it and start again`);
  return secret;
}

/** Appears at once and whole: of several processes that start together, the first one's secret holds for all. */
function makeSecret(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const whole = `${path}.${process.pid}.${randomUUID()}`;
  try {
    writeFileSync(whole, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600, flag: 'wx' });
    linkSync(whole, path);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  } finally {
    rmSync(whole, { force: true });
  }
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
