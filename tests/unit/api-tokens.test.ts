/** Every token of the list of bad ones is refused with a 401 that says why; good ones pass. */
import { createHmac, createSign, generateKeyPairSync } from 'node:crypto';
import { createServer, request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { authenticate, callerOf, type AuthSettings } from '../../api/auth.ts';
import { pemKeys, secretKeys } from '../../api/keys.ts';
import { problemHandler } from '../../api/problem.ts';
import { mintToken } from '../../api/token.ts';
import { limits } from '../../config/limits.ts';
import { MemoryLog } from '../support/site.ts';

const secret = 'a secret of at least thirty-two characters';
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const publicPem = rsa.publicKey.export({ type: 'spki', format: 'pem' }).toString();
const now = Math.floor(Date.now() / 1000);
const revoked = new Set(['gone']);

const log = new MemoryLog();
const servers: Server[] = [];
const ports: Record<string, number> = {};

async function serve(name: string, settings: Partial<AuthSettings>): Promise<void> {
  const app = express();
  const isRevoked = (jti: string): boolean => revoked.has(jti);
  app.use(
    authenticate({
      keys: secretKeys([secret]),
      issuer: 'site',
      audience: 'api',
      now: () => Date.now(),
      isRevoked,
      ...settings,
    }),
  );
  app.use((request, response) => {
    const { subject, scopes, tenant } = callerOf(request);
    response.json({ subject, scopes: [...scopes], tenant });
  });
  app.use(problemHandler(log));
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  servers.push(server);
  ports[name] = (server.address() as AddressInfo).port;
}

beforeAll(async () => {
  await serve('HS256', {});
  await serve('RS256', { keys: pemKeys('RS256', publicPem) });
});
afterAll(() => {
  for (const server of servers) server.close();
});

interface Answer {
  status: number;
  body: { code?: string; detail?: string; subject?: string; tenant?: string };
}

function ask(headers: Record<string, string | string[]>, { site = 'HS256', method = 'GET' } = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ port: ports[site]!, host: '127.0.0.1', method, headers }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) as Answer['body'] }));
    });
    sent.on('error', reject);
    sent.end();
  });
}

const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
const part = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const hs = (input: string, key = secret): string => createHmac('sha256', key).update(input).digest('base64url');
const good = { iss: 'site', aud: 'api', sub: 'someone', scope: 'read', iat: now, exp: now + 600 };

/** Signed with the right secret, whatever it says. */
function signed(payload: unknown, header: unknown = { alg: 'HS256', typ: 'JWT' }): string {
  const input = `${part(header)}.${part(payload)}`;
  return `${input}.${hs(input)}`;
}
const claim = (members: object): string => signed({ ...good, ...members });
const without = (name: string): string =>
  signed(Object.fromEntries(Object.entries(good).filter(([key]) => key !== name)));
const headed = (members: object): string => signed(good, { alg: 'HS256', typ: 'JWT', ...members });
const rsaSigned = (alg: string, hash: string, payload: object = good): string => {
  const input = `${part({ alg, typ: 'JWT' })}.${part(payload)}`;
  return `${input}.${createSign(hash).update(input).sign(rsa.privateKey).toString('base64url')}`;
};

describe('tokens that pass', () => {
  test('one that was minted', async () => {
    const token = mintToken({
      secret,
      issuer: 'site',
      audience: 'api',
      subject: 'a@b.c',
      scopes: ['read'],
      tenant: 'acme',
      lifetimeSeconds: 60,
    });
    expect((await ask(bearer(token))).body).toEqual({ subject: 'a@b.c', scopes: ['read'], tenant: 'acme' });
  });

  test('the longest lifetime', async () => {
    expect((await ask(bearer(claim({ exp: now + limits.tokenLifetimeSecondsMax })))).status).toBe(200);
  });

  test('RS256 with the public key, where that is the algorithm', async () => {
    expect((await ask(bearer(rsaSigned('RS256', 'RSA-SHA256')), { site: 'RS256' })).status).toBe(200);
  });

  test('equal members in different objects are no duplicates', async () => {
    expect((await ask(bearer(claim({ x: { a: 1 }, y: { a: 2 } })))).status).toBe(200);
  });
});

const esInput = `${part({ alg: 'ES256', typ: 'JWT' })}.${part(good)}`;
const esToken = `${esInput}.${createSign('SHA256').update(esInput).sign({ key: ec.privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
const publicAsSecret = (() => {
  const input = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(good)}`;
  return `${input}.${hs(input, publicPem)}`;
})();
const valid = signed(good);
const [validHeader = '', validPayload = '', validSignature = ''] = valid.split('.');

const headers: [string, Record<string, string | string[]>][] = [
  ['no header', {}],
  ['an empty header', { Authorization: '' }],
  ['Bearer alone', { Authorization: 'Bearer' }],
  ['Bearer and a space', { Authorization: 'Bearer ' }],
  ['Basic', { Authorization: 'Basic dXNlcjpwYXNz' }],
  ['two headers', { Authorization: [`Bearer ${valid}`, `Bearer ${valid}`] }],
  ['two tokens', { Authorization: `Bearer ${valid}, Bearer ${valid}` }],
  ['two spaces', { Authorization: `Bearer  ${valid}` }],
  ['a tab inside', { Authorization: `Bearer ${validHeader}\t.${validPayload}.${validSignature}` }],
  ['20 kB of nothing', bearer('x'.repeat(12_000))],
  ['not three parts', bearer(`${validHeader}.${validPayload}`)],
  ['a trailing part', bearer(`${valid}.x`)],
  ['padding', bearer(`${valid}=`)],
  ['the token in a cookie', { Cookie: `token=${valid}` }],
];

const tokens: [string, string][] = [
  ['alg none', `${part({ alg: 'none' })}.${part(good)}.`],
  ['alg none, signed', `${part({ alg: 'none' })}.${part(good)}.${validSignature}`],
  ['alg None', headed({ alg: 'None' })],
  ['alg nOnE', headed({ alg: 'nOnE' })],
  ['alg missing', signed(good, { typ: 'JWT' })],
  ['alg HS512', headed({ alg: 'HS512' })],
  ['alg as array', headed({ alg: ['HS256'] })],
  ['RS256 where HS256 is fixed', rsaSigned('RS256', 'RSA-SHA256')],
  ['ES256 where HS256 is fixed', esToken],
  ['a stripped signature', `${validHeader}.${validPayload}.`],
  ['a signature of another key', `${validHeader}.${validPayload}.${hs(`${validHeader}.${validPayload}`, 'other')}`],
  ['a changed payload', `${validHeader}.${part({ ...good, scope: 'admin' })}.${validSignature}`],
  ['expired by a second', claim({ exp: now - 1 })],
  ['exp as text', claim({ exp: String(now + 600) })],
  ['exp with a fraction', claim({ exp: now + 600.5 })],
  ['exp 1e300', claim({ exp: 1e300 })],
  ['exp beyond the longest lifetime', claim({ exp: now + limits.tokenLifetimeSecondsMax + 60 })],
  ['exp negative', claim({ exp: -1 })],
  ['exp null', claim({ exp: null })],
  ['no exp', without('exp')],
  ['nbf in the future', claim({ nbf: now + 60 })],
  ['nbf as text', claim({ nbf: 'now' })],
  ['iat in the future', claim({ iat: now + 60 })],
  ['iat as text', claim({ iat: 'now' })],
  ['no iat', without('iat')],
  ['another aud', claim({ aud: 'other' })],
  ['aud as array', claim({ aud: ['api', 'other'] })],
  ['aud as array of one', claim({ aud: ['api'] })],
  ['no aud', without('aud')],
  ['another iss', claim({ iss: 'other-site' })],
  ['iss as array', claim({ iss: ['site'] })],
  ['no iss', without('iss')],
  ['no sub', without('sub')],
  ['sub as object', claim({ sub: { name: 'x' } })],
  ['sub as array', claim({ sub: ['x'] })],
  ['sub empty', claim({ sub: '' })],
  ['sub __proto__', claim({ sub: '__proto__' })],
  ['sub of 10 kB', claim({ sub: 'x'.repeat(5_000) })],
  ['sub with CR LF', claim({ sub: 'x\r\nSet-Cookie: a=b' })],
  ['sub with look-alikes', claim({ sub: 'аdmin' })],
  ['sub with zero-width characters', claim({ sub: 'ad\u200bmin' })],
  ['no scope', without('scope')],
  ['scope as array', claim({ scope: ['admin'] })],
  ['tenant as object', claim({ tenant: {} })],
  ['tenant null', claim({ tenant: null })],
  ['tenant with a wildcard', claim({ tenant: '*' })],
  ['duplicate members of the payload', signed(`${JSON.stringify(good).slice(0, -1)},"scope":"admin"}`)],
  ['duplicate members, one of them escaped', signed(`${JSON.stringify(good).slice(0, -1)},"sc\\u006fpe":"admin"}`)],
  ['duplicate members of the header', signed(good, '{"alg":"HS256","typ":"JWT","alg":"HS256"}')],
  ['a __proto__ member', signed(`${JSON.stringify(good).slice(0, -1)},"__proto__":{"scope":"admin"}}`)],
  ['a payload that is an array', signed([good])],
  ['a payload that is text', signed('"read"')],
  ['a payload that is no JSON', signed('{scope}')],
  ['crit', headed({ crit: ['exp'] })],
  ['b64 false', headed({ b64: false })],
  ['typ of another kind', headed({ typ: 'at+jwt' })],
  ['typ as number', headed({ typ: 1 })],
  ['an embedded jwk', headed({ jwk: { kty: 'oct', k: part('attacker') } })],
  ['jku', headed({ jku: 'http://127.0.0.1:9/keys' })],
  ['x5u', headed({ x5u: 'http://127.0.0.1:9/cert' })],
  ['kid ../../', headed({ kid: '../../etc/passwd' })],
  ["kid ' OR 1=1", headed({ kid: "' OR 1=1" })],
  ['kid of 10 kB', headed({ kid: 'x'.repeat(5_000) })],
  ['kid a URL', headed({ kid: 'http://127.0.0.1:9/' })],
  ['kid null', headed({ kid: null })],
  ['a revoked jti', claim({ jti: 'gone' })],
  ['jti as number', claim({ jti: 1 })],
];

describe('tokens that are refused', () => {
  test.each(headers)('%s', async (_name, header) => {
    const { status, body } = await ask(header);
    expect([status, body.code]).toEqual([401, 'not-authenticated']);
  });

  test.each(tokens)('%s', async (_name, token) => {
    const { status, body } = await ask(bearer(token));
    expect([status, body.code]).toEqual([401, 'not-authenticated']);
    expect(body.detail).not.toBe('');
    expect(JSON.stringify(body)).not.toContain(secret);
  });

  test.each([
    ['HS256 signed with the public key', publicAsSecret],
    ['HS256 with the secret of another site', valid],
    ['RS512 where RS256 is fixed', rsaSigned('RS512', 'RSA-SHA512')],
    ['ES256 where RS256 is fixed', esToken],
    ['alg none', `${part({ alg: 'none' })}.${part(good)}.`],
    ['RS256, and expired', rsaSigned('RS256', 'RSA-SHA256', { ...good, exp: now - 1 })],
  ])('where RS256 is fixed: %s', async (_name, token) => {
    expect((await ask(bearer(token), { site: 'RS256' })).status).toBe(401);
  });

  test('OPTIONS is not let through, whatever it announces or brings', async () => {
    const announced = { 'Access-Control-Request-Headers': 'authorization', Origin: 'http://elsewhere' };
    const forged = `${validHeader}.${part({ ...good, scope: 'admin' })}.${validSignature}`;
    expect((await ask(announced, { method: 'OPTIONS' })).status).toBe(401);
    expect((await ask({ ...announced, ...bearer(forged) }, { method: 'OPTIONS' })).status).toBe(401);
    expect((await ask({ ...announced, ...bearer(valid) }, { method: 'OPTIONS' })).status).toBe(401);
  });

  test('nothing of it was a defect of the server', () => {
    expect(log.lines).toEqual([]);
  });
});
