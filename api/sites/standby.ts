/** What a site that is not active answers: reads with a mark and its lag, writes with the address of the active site. */
import type { RequestHandler } from 'express';
import type { ApiContext } from '../context.ts';
import { Problem } from '../problem.ts';

/** Writes that concern this site alone, or nothing that is mirrored. */
const ownPaths = /^\/api\/v1\/(sites|tickets)(\/|$)/;

export function answerAsStandby({ pair }: ApiContext): RequestHandler {
  return (request, response, next) => {
    if (!pair) return next();
    const { standing, otherApi, writesOnStandby } = pair;
    response.set('X-Site-Role', standing.role);
    if (standing.role === 'active') return next();
    if (standing.lag) response.set('X-Site-Lag-Ms', String(standing.lag.ms));
    const reads = request.method === 'GET' || request.method === 'HEAD';
    if (reads || ownPaths.test(request.path) || !request.path.startsWith('/api/v1/')) return next();
    if (writesOnStandby === 'redirect') {
      response.redirect(307, `${otherApi}${request.originalUrl}`);
      return;
    }
    next(
      new Problem('not-active', `this site is ${standing.role} and takes no writes`, {
        remedy: `send it to ${otherApi}`,
        retryAfterSeconds: 2,
      }),
    );
  };
}
