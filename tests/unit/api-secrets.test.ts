/** The secret that signs tokens, and tokens that were called back. */
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inspect } from '../../api/auth.ts';
import { revoke, tokenIdOf, Revocations } from '../../api/revocation.ts';
import { ensureSecret, mintToken } from '../../api/token.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'secrets-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('the secret', () => {
  test('is made once, for its owner alone, and stays', () => {
    const path = join(folder, 'deep/er/secret');
    const secret = ensureSecret(path);
    expect(secret).toMatch(/^[\w-]{43}$/);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, 'deep/er')).mode & 0o777).toBe(0o700);
    expect(ensureSecret(path)).toBe(secret);
    expect(readdirSync(join(folder, 'deep/er'))).toEqual(['secret']);
    expect(readFileSync(path, 'utf8')).toBe(`${secret}\n`);
  });

  test('is refused when everybody may read it, or when it is short', () => {
    const path = join(folder, 'open');
    writeFileSync(path, 'x'.repeat(40));
    chmodSync(path, 0o644);
    expect(() => ensureSecret(path)).toThrow(`chmod 600 ${path}`);
    chmodSync(path, 0o640);
    expect(ensureSecret(path)).toBe('x'.repeat(40));
    writeFileSync(path, 'short');
    expect(() => ensureSecret(path)).toThrow('fewer than 32 characters');
  });
});

describe('revocation', () => {
  const about = { secret: 's'.repeat(40), issuer: 'site', audience: 'api', subject: 'x', scopes: ['read'] as const };
  const mint = (): string => mintToken({ ...about, lifetimeSeconds: 60 });

  test('a token that is called back is refused within a second, others are not', () => {
    const path = join(folder, 'revoked');
    let nowMs = 0;
    const revocations = new Revocations(path, () => nowMs);
    const settings = { ...about, now: () => Date.now(), isRevoked: (jti: string) => revocations.has(jti) };
    const [first, second] = [mint(), mint()];
    expect(inspect(first, settings)).toMatchObject({ subject: 'x' });
    const jti = tokenIdOf(`${first}\n`);
    revoke(path, jti);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(inspect(first, settings)).toMatchObject({ tokenId: jti });
    nowMs += 1_000;
    expect(inspect(first, settings)).toBe('the token was revoked');
    expect(inspect(second, settings)).toMatchObject({ subject: 'x' });
    revoke(path, tokenIdOf(second));
    nowMs += 1_000;
    expect(inspect(second, settings)).toBe('the token was revoked');
    expect(inspect(first, settings)).toBe('the token was revoked');
    rmSync(path);
    nowMs += 1_000;
    expect(inspect(first, settings)).toMatchObject({ subject: 'x' });
  });

  test('what is no token has no id to call back', () => {
    for (const text of ['', 'x', 'a.b.c', mint().split('.')[0]!]) expect(() => tokenIdOf(text)).toThrow('no token');
  });

  test('a list that cannot be read lets nobody in', () => {
    const path = join(folder, 'a-folder');
    ensureSecret(join(path, 'secret'));
    expect(() => new Revocations(path, () => 0).has('x')).toThrow('EISDIR');
  });
});
