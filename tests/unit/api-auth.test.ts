/** What follows a signature that holds: the policy's caller, its scopes, and how long it stays valid. */
import type { Request, Response } from 'express';
import jwt from 'jsonwebtoken';
import { describe, expect, test } from 'vitest';
import { allow, callerOf, inspect, setCaller, stillValid, type TokenPolicy, type Caller } from '../../api/auth.ts';
import { Problem } from '../../api/problem.ts';
import { mintToken, scopes, type Scope } from '../../api/token.ts';
import { limits } from '../../config/limits.ts';

const now = 1_800_000_000;
const revoked = new Set<string>();
const settings: TokenPolicy & { secret: string } = {
  secret: 'a secret of at least thirty-two characters',
  issuer: 'site',
  audience: 'api',
  now: () => now * 1000,
  isRevoked: (jti) => revoked.has(jti),
};
const good = { iss: 'site', aud: 'api', sub: 'tester', scope: 'read', iat: now, exp: now + 600 };
const inspected = (claims: object): Caller | string =>
  inspect(jwt.sign({ ...good, ...claims }, settings.secret, { algorithm: 'HS256' }), settings);

function accepted(claims: object): Caller {
  const caller = inspected(claims);
  if (typeof caller === 'string') throw new Error(caller);
  return caller;
}

describe('inspect', () => {
  test('says who the caller is', () => {
    expect(accepted({ sub: 'a@b.c', scope: 'read admin', tenant: 'acme', jti: 'j-1' })).toEqual({
      subject: 'a@b.c',
      tokenId: 'j-1',
      scopes: new Set(['read', 'admin']),
      tenant: 'acme',
      expiresAt: now + 600,
    });
  });

  test.each<[string, object]>([
    ['exp in a second', { exp: now + 1 }],
    ['exp as late as can be', { exp: now + limits.tokenLifetimeSecondsMax }],
    ['iat as far ahead as clocks may differ', { iat: now + limits.clockSkewSeconds }],
    ['nbf as far ahead as clocks may differ', { nbf: now + limits.clockSkewSeconds }],
    ['claims that are nobody else’s matter', { groups: ['a', { b: 1 }] }],
    ['the longest sub', { sub: 'x'.repeat(128) }],
    ['the longest jti', { jti: 'x'.repeat(limits.nameLengthMax) }],
  ])('takes %s', (_, claims) => {
    expect(typeof inspected(claims)).toBe('object');
  });

  test.each<[string, object, RegExp]>([
    ['exp now', { exp: now }, /expired/],
    ['exp a second too late', { exp: now + limits.tokenLifetimeSecondsMax + 1 }, /exp/],
    ['exp in milliseconds', { exp: now * 1000 + 60_000 }, /exp/],
    ['iat a second too far ahead', { iat: now + limits.clockSkewSeconds + 1 }, /iat/],
    ['nbf a second too far ahead', { nbf: now + limits.clockSkewSeconds + 1 }, /not valid yet/],
    ['aud in another case', { aud: 'API' }, /aud/],
    ['aud as a prefix', { aud: 'apis' }, /aud/],
    ['a sub with a line end', { sub: 'tester\n' }, /sub/],
    ['a sub with a right-to-left mark', { sub: '\u202Eretset' }, /sub/],
    ['a sub with a hash tag', { sub: 'a{0}' }, /sub/],
    ['a sub that is a character too long', { sub: 'x'.repeat(129) }, /sub/],
    ['an empty jti', { jti: '' }, /jti/],
    ['a jti that is too long', { jti: 'x'.repeat(limits.nameLengthMax + 1) }, /jti/],
    ['an empty tenant', { tenant: '' }, /tenant/],
    ['a tenant with a hash tag', { tenant: 'a{b}' }, /tenant/],
  ])('refuses %s', (_, claims, reason) => {
    expect(inspected(claims)).toMatch(reason);
  });

  test('deep claims are refused before anything walks through them', () => {
    let deep: unknown = 1;
    for (let level = 0; level < 1_000; level++) deep = [deep];
    expect(inspected({ deep })).toMatch(/nested deeper/);
  });

  test('no reason repeats what the token says', () => {
    for (const claims of [{ sub: 'm4rker m4rker' }, { iss: 'm4rker' }, { aud: 'm4rker' }, { tenant: '*m4rker' }])
      expect(inspected(claims)).not.toContain('m4rker');
  });
});

describe('allow', () => {
  const passes = (held: string, ...wanted: Scope[]): boolean => {
    const request = {} as Request;
    setCaller(request, accepted({ scope: held }));
    let error: unknown = 'it did not answer';
    void allow(...wanted)(request, {} as Response, (outcome?: unknown) => (error = outcome));
    if (error !== undefined) expect(error).toMatchObject({ code: 'not-allowed', status: 403 });
    return error === undefined;
  };

  test.each(scopes)('%s opens its own routes and no other', (scope) => {
    for (const other of scopes) expect(passes(scope, other)).toBe(scope === other || scope === 'admin');
    expect(passes(`${scope} read`, scope)).toBe(true);
  });

  test.each(['', ' ', 'agents:contro', 'agents:control2', 'Agents:Control', 'ADMIN', 'administrator', '*', 'agents:*'])(
    'what only looks like a scope opens nothing: %j',
    (held) => expect(passes(held, 'agents:control')).toBe(false),
  );

  test('lists by comma or tab are no lists', () => {
    expect(passes('read,admin', 'read')).toBe(false);
    expect(passes('read\tadmin', 'read')).toBe(false);
  });

  test('one of several is enough, and the refusal names the scope and the way to it', () => {
    expect(passes('tasks:cancel', 'tasks:submit', 'tasks:cancel')).toBe(true);
    const request = {} as Request;
    setCaller(request, accepted({}));
    let problem: unknown;
    void allow('agents:control')(request, {} as Response, (outcome?: unknown) => (problem = outcome));
    expect(problem).toMatchObject({
      message: 'the token lacks the scope agents:control',
      details: { remedy: expect.stringContaining('--scope agents:control') as string },
    });
  });
});

test('a caller stays valid until the token expires or is revoked', () => {
  const caller = accepted({ jti: 'short' });
  const at = (seconds: number): TokenPolicy => ({ ...settings, now: () => seconds * 1000 });
  expect(stillValid(caller, at(caller.expiresAt - 1))).toBe(true);
  expect(stillValid(caller, at(caller.expiresAt))).toBe(false);
  revoked.add('short');
  expect(stillValid(caller, at(now))).toBe(false);
  expect(stillValid(accepted({}), at(now))).toBe(true);
});

test('a minted token is one that the policy takes, as long as it says', () => {
  const token = mintToken({ ...settings, subject: 'a', scopes: ['read', 'admin'], lifetimeSeconds: 60 });
  const seconds = Math.floor(Date.now() / 1000);
  const caller = inspect(token, { ...settings, now: () => seconds * 1000 });
  expect(caller).toMatchObject({ subject: 'a', tenant: undefined, tokenId: expect.any(String) as string });
});

test('a route without the door before it refuses everybody', () => {
  expect(() => callerOf({} as Request)).toThrow(Problem);
});
