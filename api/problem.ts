/** Errors as RFC 9457 problems: a stable code, what is wrong, where, and how to mend it. */
import type { ErrorRequestHandler, Response } from 'express';
import type { Log } from '../runtime/ports.ts';
import type { StateValue } from '../runtime/protocol/envelope.ts';
import { IngressStopped, Unavailable } from '../runtime/protocol/errors.ts';
import { traceIdOf } from './trace.ts';

/** Code -> status and title. Each code has a paragraph in api/README.md. */
export const problemCodes = {
  'invalid-http': [400, 'This is not well-formed HTTP'],
  'invalid-request': [400, 'The request is not valid'],
  'invalid-json': [400, 'The body is not JSON'],
  'invalid-id': [400, 'This is no id'],
  'invalid-cursor': [400, 'This cursor was not made by this list'],
  'not-authenticated': [401, 'A valid bearer token is needed'],
  'not-allowed': [403, 'The token does not allow this'],
  'not-found': [404, 'There is no such thing'],
  'method-not-allowed': [405, 'This address does not take that method'],
  'request-timeout': [408, 'The request did not arrive in time'],
  'not-legal-now': [409, 'The present state does not take this event'],
  'other-site': [409, 'This is for the other site'],
  'max-agents': [409, 'As many agents as allowed are registered'],
  'schedule-exists': [409, 'There is another schedule of that name'],
  'max-schedules': [409, 'The tenant has as many schedules as allowed'],
  'unique-conflict': [409, 'Another task holds the uniqueness key'],
  'precondition-failed': [412, 'The thing has changed since'],
  'too-large': [413, 'The body or a part of it is too large'],
  'uri-too-long': [414, 'The address is too long'],
  'unsupported-media-type': [415, 'The body has a type that is not taken'],
  'idempotency-mismatch': [422, 'The Idempotency-Key was used with another body'],
  'rate-limited': [429, 'This is more than is allowed in a minute'],
  'too-many-streams': [429, 'Too many event streams are open'],
  'headers-too-large': [431, 'The headers are too large'],
  'internal-error': [500, 'This is a defect of the server'],
  'not-active': [503, 'The other site is to be asked'],
  'peer-away': [503, 'The other site has not stored it'],
  'ingress-stopped': [503, 'Nothing more is taken in for now'],
  unavailable: [503, 'A server behind the API does not answer'],
} as const satisfies Record<string, readonly [number, string]>;

export type ProblemCode = keyof typeof problemCodes;

export interface ProblemDetails {
  /** JSON pointer or name of the part of the request that is wrong. */
  where?: string;
  remedy?: string;
  state?: StateValue;
  /** Events that the present state takes. */
  legal?: readonly string[];
  /** Task that holds what was asked for. */
  holder?: string;
  retryAfterSeconds?: number;
  allow?: readonly string[];
}

export class Problem extends Error {
  readonly code: ProblemCode;
  readonly details: ProblemDetails;

  constructor(code: ProblemCode, detail: string, details: ProblemDetails = {}) {
    super(detail);
    this.name = 'Problem';
    this.code = code;
    this.details = details;
  }

  get status(): number {
    return problemCodes[this.code][0];
  }

  toJSON(): object {
    const { retryAfterSeconds: _, allow: __, ...details } = this.details;
    const [status, title] = problemCodes[this.code];
    return {
      type: `urn:orchestrator:problem:${this.code}`,
      title,
      status,
      code: this.code,
      detail: this.message,
      ...details,
    };
  }
}

const answered = new WeakMap<object, ProblemCode>();

/** Code of the problem that a response carried. */
export function problemCodeOf(response: object): ProblemCode | undefined {
  return answered.get(response);
}

export function sendProblem(response: Response, problem: Problem): void {
  const { retryAfterSeconds, allow } = problem.details;
  if (retryAfterSeconds !== undefined) response.set('Retry-After', String(retryAfterSeconds));
  if (allow) response.set('Allow', allow.join(', '));
  if (problem.status === 401) response.set('WWW-Authenticate', 'Bearer');
  answered.set(response, problem.code);
  response.status(problem.status).type('application/problem+json').send(JSON.stringify(problem));
}

/** The last handler: what is no problem yet becomes one; a defect is logged and says nothing of its inside. */
export function problemHandler(log: Log): ErrorRequestHandler {
  return (error: unknown, request, response, _next) => {
    // The client has gone in the middle of its own request: nobody is left to answer.
    if (request.errored || response.destroyed) {
      response.destroy();
      return;
    }
    const problem = asProblem(error);
    if (problem.code === 'internal-error')
      log.error(
        {
          method: request.method,
          path: request.path,
          ...traceIdOf(request),
          error: error instanceof Error ? error.stack : String(error),
        },
        'request failed',
      );
    if (response.headersSent) response.destroy();
    else sendProblem(response, problem);
  };
}

export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof IngressStopped)
    return new Problem('ingress-stopped', error.message, { retryAfterSeconds: Math.ceil(error.retryAfterMs / 1000) });
  if (error instanceof Unavailable)
    return new Problem('unavailable', `${error.service} does not answer`, { retryAfterSeconds: 2 });
  if (error instanceof URIError) return new Problem('invalid-request', 'the address is not well encoded');
  // Express marks its own refusals (a malformed address, say) with a status below 500.
  if (error instanceof Error && 'status' in error && typeof error.status === 'number' && error.status < 500)
    return new Problem('invalid-request', error.message);
  return new Problem('internal-error', 'the request could not be handled; the log says why');
}
