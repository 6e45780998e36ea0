/** The secret that signs tokens, and the tokens that the command line mints. */
import { randomBytes, randomUUID } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import jwt from 'jsonwebtoken';
import { limits } from '../config/limits.ts';
import { secretId, secretLengthMin } from './keys.ts';

/** What a token may allow; `admin` allows everything. */
export const scopes = [
  'read',
  'tasks:submit',
  'tasks:cancel',
  'tasks:redrive',
  'schedules:control',
  'agents:register',
  'agents:control',
  'agents:work',
  'admin',
] as const;
export type Scope = (typeof scopes)[number];

/** Reads the secret that signs, or makes it at the first start. @throws Error as `ensureSecrets` */
export function ensureSecret(path: string): string {
  return ensureSecrets(path)[0]!;
}

/**
 * Reads the secrets, one a line: the first one signs, the others are still taken. Makes the first at the first start: 256
 * random bits, readable by the owner alone.
 * @throws Error when the file is readable by everybody or a secret too short
 */
export function ensureSecrets(path: string): string[] {
  if (!existsSync(path)) makeSecret(path);
  if ((statSync(path).mode & 0o007) !== 0)
    throw new Error(`${path} holds the secret that signs tokens and is open to everybody; run: chmod 600 ${path}`);
  return secretsOf(readFileSync(path, 'utf8'), path);
}

/** @param path for the message */
export function secretsOf(text: string, path: string): string[] {
  const secrets = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  if (secrets.length === 0 || secrets.some(({ length }) => length < secretLengthMin))
    throw new Error(`${path} holds a secret of fewer than ${secretLengthMin} characters; remove it and start again`);
  if (secrets.length > limits.tokenKeysMax)
    throw new Error(`${path} holds ${secrets.length} secrets; at most ${limits.tokenKeysMax} are taken, one a line`);
  return secrets;
}

/** A new secret signs from now on, and the one before is taken until the next rotation. Processes see it by themselves. */
export function rotateSecret(path: string): void {
  const [present = ''] = ensureSecrets(path);
  const { mode, uid, gid } = statSync(path);
  const whole = `${path}.${process.pid}.${randomUUID()}`;
  try {
    writeFileSync(whole, `${randomBytes(32).toString('base64url')}\n${present}\n`, { mode: 0o600, flag: 'wx' });
    chmodSync(whole, mode & 0o777);
    chownSync(whole, uid, gid);
    renameSync(whole, path);
  } finally {
    rmSync(whole, { force: true });
  }
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
  /** `jti`; made here where there is none. */
  id?: string;
  scopes: readonly Scope[];
  tenant?: string;
  lifetimeSeconds: number;
}

export function mintToken({
  secret,
  issuer,
  audience,
  subject,
  id = randomUUID(),
  scopes: list,
  tenant,
  lifetimeSeconds,
}: TokenRequest): string {
  return jwt.sign({ scope: list.join(' '), ...(tenant !== undefined && { tenant }) }, secret, {
    algorithm: 'HS256',
    keyid: secretId(secret),
    issuer,
    audience,
    subject,
    jwtid: id,
    expiresIn: lifetimeSeconds,
  });
}
