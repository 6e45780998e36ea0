/**
 * Who asks, and what they may. express-jwt checks the signature; a policy then refuses what the library lets pass: tokens
 * without expiry or with one beyond reason, of another kind or for somebody else, with members that mean something to
 * other verifiers, or with the same member twice.
 */
import type { KeyObject } from 'node:crypto';
import type { Request, RequestHandler } from 'express';
import { expressjwt } from 'express-jwt';
import jwt from 'jsonwebtoken';
import { limits } from '../config/limits.ts';
import { Unavailable } from '../runtime/protocol/errors.ts';
import { isName } from '../runtime/protocol/ids.ts';
import { isObject } from '../runtime/protocol/json.ts';
import { parseStrict } from './body.ts';
import type { SigningAlgorithm, TokenKeys } from './keys.ts';
import { Problem } from './problem.ts';
import type { Scope } from './token.ts';

export interface AuthSettings extends TokenPolicy {
  /** What verifies the signature. */
  keys: TokenKeys;
}

/** What a token has to say beyond its signature. */
export interface TokenPolicy {
  issuer: string;
  audience: string;
  /** Whether the token with this `jti` was called back. */
  isRevoked?: (jti: string) => boolean;
  /** Milliseconds since 1970. */
  now: () => number;
}

export interface Caller {
  subject: string;
  /** Names the token. */
  tokenId: string | undefined;
  scopes: ReadonlySet<string>;
  /** Sees and submits only the tasks of this tenant. */
  tenant: string | undefined;
  /** Seconds since 1970. */
  expiresAt: number;
}

const callers = new WeakMap<Request, Caller>();

/** @throws Problem when the request was not authenticated: a route without `authenticate` before it */
export function callerOf(request: Request): Caller {
  const caller = callers.get(request);
  if (!caller) throw new Problem('not-authenticated', 'there is no token');
  return caller;
}

/** Undefined for a request that was not authenticated. */
export function knownCallerOf(request: Request): Caller | undefined {
  return callers.get(request);
}

export function setCaller(request: Request, caller: Caller): void {
  callers.set(request, caller);
}

export function authenticate(settings: AuthSettings): RequestHandler {
  const verify = expressjwt({
    secret: (request, token) => keyOf(settings.keys, request as Request, token?.header.kid),
    algorithms: [settings.keys.algorithm],
    issuer: settings.issuer,
    audience: settings.audience,
    clockTolerance: limits.clockSkewSeconds,
    getToken: bearerOf,
  });
  return (request, response, next) => {
    const refuse = (reason: string): void => {
      next(
        new Problem('not-authenticated', reason, {
          where: 'Authorization',
          remedy: 'send Authorization: Bearer TOKEN',
        }),
      );
    };
    const headers = request.headersDistinct['authorization'] ?? [];
    if (headers.length !== 1)
      return refuse(
        headers.length === 0 ? 'there is no Authorization header' : 'there is more than one Authorization header',
      );
    void Promise.resolve(
      verify(request, response, (error?: unknown) => {
        if (error instanceof Unavailable) return next(error);
        if (error !== undefined) return refuse(reasonOf(error));
        // express-jwt lets preflight requests pass unseen; nothing is served across origins, so they need a token too.
        if (!('auth' in request)) return refuse('the token was not verified');
        const outcome = inspect(bearerOf(request) ?? '', settings);
        if (typeof outcome === 'string') return refuse(outcome);
        callers.set(request, outcome);
        next();
      }),
    ).catch(next);
  };
}

/**
 * The key that the token names, or, where it names none, the one that has signed it.
 * @throws Error when there is none; Unavailable
 */
async function keyOf(keys: TokenKeys, request: Request, id: unknown): Promise<KeyObject> {
  const candidates = await keys.find(id);
  const [first] = candidates;
  if (!first) throw new Error('the token is signed with a key that is not known here');
  const token = bearerOf(request) ?? '';
  return candidates.length === 1 ? first : (candidates.find((key) => isSignedBy(token, key, keys.algorithm)) ?? first);
}

/** Says only which key it is; everything else is checked with it. */
function isSignedBy(token: string, key: KeyObject, algorithm: SigningAlgorithm): boolean {
  try {
    jwt.verify(token, key, { algorithms: [algorithm], ignoreExpiration: true, ignoreNotBefore: true });
    return true;
  } catch (error) {
    if (error instanceof jwt.JsonWebTokenError) return false;
    throw error;
  }
}

/** Lets a request pass whose token has one of the scopes, or `admin`. */
export function allow(...wanted: readonly Scope[]): RequestHandler {
  return (request, _response, next) => {
    const { scopes } = callerOf(request);
    if (scopes.has('admin') || wanted.some((scope) => scopes.has(scope))) next();
    else
      next(
        new Problem('not-allowed', `the token lacks the scope ${wanted.join(' or ')}`, {
          remedy: `npm run orchestrator -- token --scope ${wanted[0] ?? 'admin'}`,
        }),
      );
  };
}

/** Keeps tokens of tenants out, save where `isOpen` says that the route looks at tenants itself. */
export function keepTenants(isOpen: (request: Request) => boolean): RequestHandler {
  return (request, _response, next) => {
    if (callerOf(request).tenant === undefined || isOpen(request)) next();
    else next(new Problem('not-allowed', 'a token of a tenant sees its own tasks only'));
  };
}

const tokenPattern = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

function bearerOf(request: Request): string | undefined {
  const header = request.get('Authorization') ?? '';
  const match = /^Bearer ([^\s,]+)$/i.exec(header);
  const token = match?.[1];
  return token !== undefined && token.length <= limits.tokenLengthMax && tokenPattern.test(token) ? token : undefined;
}

function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : 'the token is not valid';
  return message === 'No authorization token was found' ? 'the Authorization header holds no bearer token' : message;
}

const subjectPattern = /^[A-Za-z0-9][A-Za-z0-9@._:+-]{0,127}$/;
const allowedHeader = new Set(['alg', 'typ', 'kid']);

/** False once the token has expired or was revoked: long answers ask again while they last. */
export function stillValid(caller: Caller, settings: TokenPolicy): boolean {
  if (caller.expiresAt <= settings.now() / 1000) return false;
  return caller.tokenId === undefined || !settings.isRevoked?.(caller.tokenId);
}

/** What the signature does not say. Returns the caller, or why the token is refused. */
export function inspect(token: string, settings: TokenPolicy): Caller | string {
  const [rawHeader = '', rawPayload = ''] = token.split('.');
  const header = decode(rawHeader);
  const payload = decode(rawPayload);
  if (typeof header === 'string') return `header: ${header}`;
  if (typeof payload === 'string') return `payload: ${payload}`;
  const foreign = Object.keys(header).find((name) => !allowedHeader.has(name));
  if (foreign !== undefined) return `the header has "${foreign.slice(0, 40)}", which is not taken`;
  if (header['typ'] !== undefined && header['typ'] !== 'JWT') return 'the token is of another type than JWT';
  const now = settings.now() / 1000;
  const { exp, iat, nbf, iss, aud, sub, scope, tenant, jti } = payload;
  if (typeof exp !== 'number' || !Number.isInteger(exp) || exp < 0)
    return 'exp is missing or no whole number of seconds';
  if (exp > now + limits.tokenLifetimeSecondsMax) return `exp is further away than ${limits.tokenLifetimeSecondsMax} s`;
  // The signature check grants a little skew to clocks; an expired token is refused all the same.
  if (exp <= now) return 'the token has expired';
  if (typeof iat !== 'number' || iat > now + limits.clockSkewSeconds) return 'iat is missing or in the future';
  if (nbf !== undefined && (typeof nbf !== 'number' || nbf > now + limits.clockSkewSeconds))
    return 'the token is not valid yet';
  if (iss !== settings.issuer) return 'iss is not the issuer of this site';
  if (aud !== settings.audience) return 'aud is not this API alone';
  if (typeof sub !== 'string' || !subjectPattern.test(sub) || sub === '__proto__')
    return 'sub is missing or no plain name';
  if (typeof scope !== 'string' || scope.length > 512) return 'scope is missing';
  if (tenant !== undefined && (typeof tenant !== 'string' || !isName(tenant))) return 'tenant is no name';
  if (jti !== undefined && (typeof jti !== 'string' || jti.length === 0 || jti.length > limits.nameLengthMax))
    return 'jti is no name';
  if (jti !== undefined && settings.isRevoked?.(jti)) return 'the token was revoked';
  return { subject: sub, tokenId: jti, scopes: new Set(scope.split(' ')), tenant, expiresAt: exp };
}

/** As strict as a body: a parser that keeps the first of two equal members would read another token. */
function decode(part: string): Record<string, unknown> | string {
  try {
    const value = parseStrict(Buffer.from(part, 'base64url').toString('utf8'));
    return isObject(value) ? value : 'is no object';
  } catch (error) {
    if (error instanceof Problem) return error.message;
    throw error;
  }
}
