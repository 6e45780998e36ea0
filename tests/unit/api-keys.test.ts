/** Keys of tokens: which ones are taken, how they are rotated, and what a token can make the server fetch: nothing. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import express from 'express';
import jwt from 'jsonwebtoken';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { authenticate } from '../../api/auth.ts';
import {
  jwksKeys,
  pemKeys,
  remoteKeys,
  secretId,
  secretKeys,
  watchedKeys,
  type SigningAlgorithm,
  type TokenKeys,
} from '../../api/keys.ts';
import { problemHandler } from '../../api/problem.ts';
import { ensureSecret, mintToken, rotateSecret, secretsOf } from '../../api/token.ts';
import { ConfigError, loadConfig } from '../../config/load.ts';
import { limits } from '../../config/limits.ts';
import { MemoryLog } from '../support/site.ts';

const folder = mkdtempSync(join(tmpdir(), 'keys-'));
const log = new MemoryLog();
const servers: Server[] = [];
afterAll(() => {
  rmSync(folder, { recursive: true });
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

async function listen(handler: Parameters<typeof createServer>[1]): Promise<string> {
  const server = createServer(handler);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A door with these keys; resolves to the status and the reason that a token gets. */
async function door(keys: TokenKeys): Promise<(token: string) => Promise<[number, string]>> {
  const app = express();
  app.use(authenticate({ keys, issuer: 'site', audience: 'api', now: () => Date.now() }));
  app.use((_request, response) => void response.json({ detail: '' }));
  app.use(problemHandler(log));
  const url = await listen(app);
  return async (token) => {
    const answer = await fetch(url, { headers: { Authorization: `Bearer ${token}` } });
    return [answer.status, ((await answer.json()) as { detail: string }).detail];
  };
}

const rsa = [1, 2, 3].map(() => generateKeyPairSync('rsa', { modulusLength: 2_048 }));
const ec = [1, 2].map(() => generateKeyPairSync('ec', { namedCurve: 'P-256' }));
const pem = (key: KeyObject): string => key.export({ type: 'spki', format: 'pem' }).toString();
const jwk = (key: KeyObject, members: object): object => ({ ...key.export({ format: 'jwk' }), ...members });

function sign(algorithm: SigningAlgorithm, key: KeyObject | string, kid?: string): string {
  return jwt.sign({ scope: 'read' }, key, {
    algorithm,
    issuer: 'site',
    audience: 'api',
    subject: 'someone',
    expiresIn: 60,
    ...(kid !== undefined && { keyid: kid }),
  });
}

const unknown: [number, string] = [401, 'the token is signed with a key that is not known here'];
const badSignature: [number, string] = [401, 'invalid signature'];

describe('secrets', () => {
  const [first, second] = ['1'.repeat(40), '2'.repeat(40)];

  test('two hold at the same time, with and without their id', async () => {
    const ask = await door(secretKeys([first, second]));
    for (const secret of [first, second]) {
      expect(await ask(sign('HS256', secret))).toEqual([200, '']);
      expect(await ask(sign('HS256', secret, secretId(secret)))).toEqual([200, '']);
    }
    expect(await ask(sign('HS256', '3'.repeat(40)))).toEqual(badSignature);
    expect(await ask(sign('HS256', first, secretId(second)))).toEqual(badSignature);
    expect(await ask(sign('HS256', '3'.repeat(40), secretId('3'.repeat(40))))).toEqual(unknown);
  });

  test('rotation: the new one signs, the former holds until the next one, the process sees it by itself', async () => {
    const path = join(folder, 'secret');
    let nowMs = 0;
    const before = ensureSecret(path);
    const keys = watchedKeys(path, (text) => secretKeys(secretsOf(text, path)), { log, monotonicMs: () => nowMs });
    const ask = await door(keys);
    const mint = (): string =>
      mintToken({
        secret: ensureSecret(path),
        issuer: 'site',
        audience: 'api',
        subject: 'x',
        scopes: ['read'],
        lifetimeSeconds: 60,
      });
    const old = mint();
    rotateSecret(path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readFileSync(path, 'utf8')).toMatch(new RegExp(`^[\\w-]{43}\\n${before}\\n$`));
    const fresh = mint();
    expect(await ask(fresh)).toEqual(unknown);
    nowMs += 1_000;
    expect([await ask(fresh), await ask(old)]).toEqual([
      [200, ''],
      [200, ''],
    ]);
    rotateSecret(path);
    nowMs += 1_000;
    expect([await ask(fresh), await ask(old)]).toEqual([[200, ''], unknown]);
  });

  test('a file that cannot be used is reported, and what held before holds on', async () => {
    const path = join(folder, 'changing');
    let nowMs = 0;
    writeFileSync(path, first);
    const own = new MemoryLog();
    const ask = await door(
      watchedKeys(path, (text) => secretKeys(secretsOf(text, path)), { log: own, monotonicMs: () => nowMs }),
    );
    for (const text of ['short', '', `${first}\nshort`, 'x'.repeat(40).concat('\n').repeat(9)]) {
      writeFileSync(path, text);
      nowMs += 1_000;
      expect(await ask(sign('HS256', first))).toEqual([200, '']);
    }
    rmSync(path);
    nowMs += 1_000;
    expect(await ask(sign('HS256', first))).toEqual([200, '']);
    expect(own.lines.map(({ level }) => level)).toEqual(Array(5).fill('error'));
    expect(JSON.stringify(own.lines)).not.toContain(first);
    writeFileSync(path, second);
    nowMs += 1_000;
    expect(await ask(sign('HS256', second))).toEqual([200, '']);
  });
});

describe('public keys', () => {
  test.each([
    ['RS256', rsa],
    ['ES256', ec],
  ] as const)('%s: several PEM blocks, with thumbprints as ids', async (algorithm, pairs) => {
    const [one, two] = [pairs[0]!, pairs[1]!];
    const keys = pemKeys(algorithm, `${pem(one.publicKey)}\n# the next one\n${pem(two.publicKey)}`);
    const ask = await door(keys);
    for (const { privateKey } of [one, two]) expect(await ask(sign(algorithm, privateKey))).toEqual([200, '']);
    expect(await ask(sign(algorithm, one.privateKey, 'another'))).toEqual(unknown);
    const stranger = generateKeyPairSync('rsa', { modulusLength: 2_048 });
    if (algorithm === 'RS256') expect(await ask(sign('RS256', stranger.privateKey))).toEqual(badSignature);
    const symmetric = sign('HS256', Buffer.from(pem(one.publicKey)).toString('base64'));
    expect((await ask(symmetric))[0]).toBe(401);
  });

  test('a key set: the keys in it that are named and made for this', async () => {
    const set = {
      keys: [
        jwk(rsa[0]!.publicKey, { kid: 'one', alg: 'RS256', use: 'sig' }),
        jwk(rsa[1]!.publicKey, { kid: 'two' }),
        jwk(rsa[2]!.publicKey, { kid: 'for encryption', use: 'enc' }),
        jwk(rsa[2]!.publicKey, { kid: 'for another algorithm', alg: 'RS512' }),
        jwk(ec[0]!.publicKey, { kid: 'another kind' }),
        { kty: 'oct', k: Buffer.from('x'.repeat(40)).toString('base64url'), kid: 'symmetric' },
        null,
      ],
    };
    const ask = await door(jwksKeys('RS256', JSON.stringify(set)));
    expect(await ask(sign('RS256', rsa[0]!.privateKey, 'one'))).toEqual([200, '']);
    expect(await ask(sign('RS256', rsa[1]!.privateKey, 'two'))).toEqual([200, '']);
    expect(await ask(sign('RS256', rsa[1]!.privateKey, 'one'))).toEqual(badSignature);
    for (const kid of ['for encryption', 'for another algorithm', 'another kind', 'symmetric', '', '__proto__'])
      expect(await ask(sign('RS256', rsa[2]!.privateKey, kid))).toEqual(unknown);
  });

  test.each<[string, () => TokenKeys, RegExp]>([
    ['no key', () => pemKeys('RS256', 'nothing'), /0 keys/],
    ['an empty set', () => jwksKeys('ES256', '{"keys":[]}'), /0 keys/],
    ['a set that is none', () => jwksKeys('ES256', '[]'), /0 keys/],
    ['too many', () => secretKeys(Array(limits.tokenKeysMax + 1).fill('x'.repeat(40)) as string[]), /5 keys/],
    ['a short secret', () => secretKeys(['x'.repeat(31)]), /32 characters/],
    ['RSA of 1,024 bits', () => pemKeys('RS256', weak('rsa')), /2,048/],
    ['another curve', () => pemKeys('ES256', weak('ec')), /P-256/],
    ['RSA where ES256 is fixed', () => pemKeys('ES256', pem(rsa[0]!.publicKey)), /P-256/],
    ['EC where RS256 is fixed', () => pemKeys('RS256', pem(ec[0]!.publicKey)), /2,048/],
  ])('%s is refused at the start', (_, make, message) => {
    expect(make).toThrow(message);
  });

  function weak(kind: 'rsa' | 'ec'): string {
    return kind === 'rsa'
      ? pem(generateKeyPairSync('rsa', { modulusLength: 1_024 }).publicKey)
      : pem(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey);
  }
});

describe('the key set of an issuer', () => {
  let served: object[] = [];
  let fetches = 0;
  let away = false;
  beforeEach(() => {
    served = [jwk(rsa[0]!.publicKey, { kid: 'one', alg: 'RS256', use: 'sig' })];
    fetches = 0;
    away = false;
  });
  const issuer = (): Promise<string> =>
    listen((_request, response) => {
      fetches++;
      if (away) response.writeHead(500).end();
      else response.end(JSON.stringify({ keys: served }));
    });

  test('is fetched once for a known key, and again when a token names a new one', async () => {
    const ask = await door(remoteKeys('RS256', `${await issuer()}/keys`));
    for (let times = 0; times < 3; times++)
      expect(await ask(sign('RS256', rsa[0]!.privateKey, 'one'))).toEqual([200, '']);
    expect(fetches).toBe(1);
    served.push(jwk(rsa[1]!.publicKey, { kid: 'two', alg: 'RS256', use: 'sig' }));
    expect(await ask(sign('RS256', rsa[1]!.privateKey, 'two'))).toEqual([200, '']);
    expect(await ask(sign('RS256', rsa[0]!.privateKey, 'two'))).toEqual(badSignature);
    expect(fetches).toBe(2);
  });

  test('tokens that name keys nobody has do not make it a victim', async () => {
    const ask = await door(remoteKeys('RS256', `${await issuer()}/keys`));
    expect(await ask(sign('RS256', rsa[0]!.privateKey))).toEqual(unknown);
    expect(await ask(sign('RS256', rsa[0]!.privateKey, 'x'.repeat(200)))).toEqual(unknown);
    expect(fetches).toBe(0);
    for (let times = 0; times < 30; times++)
      expect(await ask(sign('RS256', rsa[0]!.privateKey, `none-${times}`))).toEqual(unknown);
    expect(fetches).toBeLessThanOrEqual(limits.jwksFetchesPerMinuteMax);
  });

  test('an issuer that does not answer is no fault of the token: 503; what is known goes on', async () => {
    const ask = await door(remoteKeys('RS256', `${await issuer()}/keys`));
    expect((await ask(sign('RS256', rsa[0]!.privateKey, 'one')))[0]).toBe(200);
    away = true;
    expect(await ask(sign('RS256', rsa[1]!.privateKey, 'two'))).toEqual([503, 'jwks does not answer']);
    expect((await ask(sign('RS256', rsa[0]!.privateKey, 'one')))[0]).toBe(200);
  });

  test('a weak key of it is not used', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 1_024 });
    served = [jwk(publicKey, { kid: 'weak', alg: 'RS256', use: 'sig' })];
    const ask = await door(remoteKeys('RS256', `${await issuer()}/keys`));
    const [header, payload] = sign('RS256', rsa[0]!.privateKey, 'weak').split('.');
    expect((await ask(`${header}.${payload}.AAAA`))[0]).not.toBe(200);
    expect(privateKey.type).toBe('private');
  });
});

test('one place of keys for each algorithm, and key sets over HTTPS only', () => {
  const load = (...set: string[]): object =>
    loadConfig({ defaultFile: join(folder, 'none.toml'), env: {}, set: set.map((one) => `auth.${one}`) });
  for (const set of [
    ['algorithm=RS256'],
    ['public_key_file=x'],
    ['jwks_file=x'],
    ['algorithm=ES256', 'jwks_file=x', 'public_key_file=x'],
    ['algorithm=RS256', 'jwks_url=http://issuer.test/keys'],
    ['algorithm=RS256', 'jwks_url=http://localhost.evil.test/keys'],
    ['algorithm=RS256', 'jwks_url=file:///etc/passwd'],
  ])
    expect(() => load(...set)).toThrow(ConfigError);
  for (const one of ['public_key_file=x', 'jwks_file=x', 'jwks_url=https://issuer.test/keys'])
    expect(load('algorithm=RS256', one)).toBeDefined();
});

test('nothing of this was a defect of the server', () => {
  expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
});
