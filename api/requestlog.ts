/** One line for each request, on the level DEBUG: what was asked, by whom, what came of it, and the ids to follow it by. */
import type { RequestHandler } from 'express';
import type { Log, System } from '../runtime/ports.ts';
import { knownCallerOf } from './auth.ts';
import { problemCodeOf } from './problem.ts';
import { traceIdOf } from './trace.ts';

const taskPattern = /\/tasks\/(t-[\w.~-]+)/;
const agentPattern = /\/agents\/(a-[\w.~-]+)/;

export function requestLog(log: Log, system: System): RequestHandler {
  return (request, response, next) => {
    if (log.verbose !== true) return next();
    const begunMs = system.monotonicMs();
    const { path, method } = request;
    response.once('close', () => {
      // A submit names its task in the answer.
      const place = `${path} ${String(response.getHeader('Location') ?? '')}`;
      const named = {
        task: taskPattern.exec(place)?.[1],
        agent: agentPattern.exec(place)?.[1],
        subject: knownCallerOf(request)?.subject,
        code: problemCodeOf(response),
      };
      log.debug(
        {
          request: response.getHeader('X-Request-Id'),
          method,
          path: path.slice(0, 200),
          status: response.writableFinished ? response.statusCode : 'cut off',
          ms: Math.round(system.monotonicMs() - begunMs),
          ...Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined)),
          ...traceIdOf(request),
        },
        'request',
      );
    });
    next();
  };
}
