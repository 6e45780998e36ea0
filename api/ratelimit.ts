/**
 * How many requests a minute: for each subject of a token, for each address, and for refused tokens from one address. The
 * last one never touches requests whose token is valid, so nobody behind the same address is locked out by a guesser.
 */
import { isIPv6 } from 'node:net';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import type { RateLimiter, Taking } from '../runtime/ports.ts';
import { callerOf } from './auth.ts';
import { Problem } from './problem.ts';

/** Requests a minute; 0 is without limit. May change while the process runs. */
export interface RateLimits {
  subjectPerMinute: number;
  addressPerMinute: number;
  refusedTokensPerMinute: number;
}

export interface RateLimitSettings {
  limiter: RateLimiter;
  limits: RateLimits;
}

/** For requests whose token was taken; answers carry the budget of the subject. */
export function limitRequests({ limiter, limits }: RateLimitSettings): RequestHandler {
  return async (request, response, next) => {
    const { subject, tenant } = callerOf(request);
    const [bySubject, byAddress] = await Promise.all([
      take(limiter, 'subject', `${tenant ?? ''}/${subject}`, limits.subjectPerMinute),
      take(limiter, 'address', addressOf(request), limits.addressPerMinute),
    ]);
    if (byAddress?.allowed === false) refuse(response, next, 'address', limits.addressPerMinute, byAddress);
    else if (bySubject?.allowed === false) refuse(response, next, 'subject', limits.subjectPerMinute, bySubject);
    else {
      if (bySubject) announce(response, 'subject', limits.subjectPerMinute, bySubject);
      next();
    }
  };
}

/** For requests whose token was refused: says so, until there have been too many. */
export async function limitRefusals(
  { limiter, limits }: RateLimitSettings,
  request: Request,
  response: Response,
  refusal: unknown,
  next: NextFunction,
): Promise<void> {
  const perMinute = limits.refusedTokensPerMinute;
  const byAddress = await take(limiter, 'refused', addressOf(request), perMinute);
  if (byAddress?.allowed === false) refuse(response, next, 'refused', perMinute, byAddress);
  else next(refusal);
}

function take(limiter: RateLimiter, budget: string, key: string, perMinute: number): Promise<Taking | undefined> {
  return perMinute === 0 ? Promise.resolve(undefined) : limiter.take(budget, key, perMinute);
}

const words = {
  subject: 'requests of this subject',
  address: 'requests from this address',
  refused: 'refused tokens from this address',
} as const;

function refuse(
  response: Response,
  next: NextFunction,
  budget: keyof typeof words,
  perMinute: number,
  taking: Taking,
): void {
  announce(response, budget, perMinute, taking);
  const retryAfterSeconds = Math.max(1, Math.ceil(taking.resetMs / 1_000));
  next(new Problem('rate-limited', `more than ${perMinute} ${words[budget]} in a minute`, { retryAfterSeconds }));
}

/** The fields of draft-ietf-httpapi-ratelimit-headers. */
function announce(response: Response, budget: string, perMinute: number, { remaining, resetMs }: Taking): void {
  response.set('RateLimit-Policy', `"${budget}";q=${perMinute};w=60`);
  response.set('RateLimit', `"${budget}";r=${remaining};t=${Math.ceil(resetMs / 1_000)}`);
}

/** An address of IPv4, or the network of 64 bits that a customer of IPv6 has whole. */
export function addressOf(request: Request): string {
  const address = (request.socket.remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/, '').replace(/%.*$/, '');
  if (!isIPv6(address)) return address;
  const [left = '', right] = address.split('::');
  const groups = (text: string): string[] => text.split(':').filter((group) => group !== '');
  const zeros = right === undefined ? 0 : 8 - groups(left).length - groups(right).length;
  return [...groups(left), ...Array<string>(zeros).fill('0'), ...groups(right ?? '')].slice(0, 4).join(':');
}
