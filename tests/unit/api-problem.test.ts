/** Every error becomes one problem, and a defect says nothing of its inside. */
import type { Request, Response } from 'express';
import { describe, expect, test } from 'vitest';
import { refuse } from '../../api/outcome.ts';
import { asProblem, Problem, problemCodes, problemHandler, type ProblemCode } from '../../api/problem.ts';
import type { Outcome } from '../../runtime/protocol/envelope.ts';
import { IngressStopped, Unavailable } from '../../runtime/protocol/errors.ts';
import { MemoryLog } from '../support/site.ts';

interface Sent {
  status: number;
  type: string;
  headers: Record<string, string>;
  body: Record<string, unknown>;
  destroyed: boolean;
}

function handled(error: unknown, state: Partial<Pick<Response, 'headersSent' | 'destroyed'>> = {}, errored?: Error) {
  const log = new MemoryLog();
  const sent: Sent = { status: 0, type: '', headers: {}, body: {}, destroyed: false };
  const response = {
    headersSent: false,
    destroyed: false,
    ...state,
    set: (name: string, value: string) => void (sent.headers[name] = value),
    status: (status: number) => ((sent.status = status), response),
    type: (type: string) => ((sent.type = type), response),
    send: (text: string) => void (sent.body = JSON.parse(text) as Sent['body']),
    destroy: () => void (sent.destroyed = true),
  };
  const request = { method: 'GET', path: '/x', errored: errored ?? null };
  void problemHandler(log)(error, request as unknown as Request, response as unknown as Response, () => {
    throw new Error('nothing comes after the last handler');
  });
  return { sent, log };
}

test.each(Object.entries(problemCodes))('%s has its status and title', (code, [status, title]) => {
  const { sent } = handled(new Problem(code as ProblemCode, 'because'));
  expect(sent.status).toBe(status);
  expect(sent.type).toBe('application/problem+json');
  expect(sent.body).toEqual({ type: `urn:orchestrator:problem:${code}`, title, status, code, detail: 'because' });
});

test('what helps is in the body or in the headers, each once', () => {
  const { sent } = handled(
    new Problem('not-legal-now', 'too late', {
      where: '/status',
      remedy: 'ask before',
      state: { open: 'queued' },
      legal: ['cancel'],
      retryAfterSeconds: 3,
      allow: ['GET', 'PUT'],
    }),
  );
  expect(sent.headers).toEqual({ 'Retry-After': '3', Allow: 'GET, PUT' });
  expect(sent.body).toMatchObject({
    where: '/status',
    remedy: 'ask before',
    state: { open: 'queued' },
    legal: ['cancel'],
  });
  expect(Object.keys(sent.body)).not.toContain('retryAfterSeconds');
  expect(handled(new Problem('not-authenticated', '')).sent.headers).toEqual({ 'WWW-Authenticate': 'Bearer' });
});

describe('errors of other makers', () => {
  test.each<[string, unknown, number, ProblemCode]>([
    ['Redis away', new Unavailable('redis', 'ECONNREFUSED 10.0.0.1'), 503, 'unavailable'],
    ['ingress stopped', new IngressStopped('the journal is full', 1_500), 503, 'ingress-stopped'],
    ['a bad escape in the path', new URIError('URI malformed'), 400, 'invalid-request'],
    ['a refusal of express', Object.assign(new Error('bad'), { status: 400 }), 400, 'invalid-request'],
    ['a 5xx of express', Object.assign(new Error('bad'), { status: 500 }), 500, 'internal-error'],
    ['a status that is no number', Object.assign(new Error('bad'), { status: '400' }), 500, 'internal-error'],
    ['a defect', new TypeError('x is undefined'), 500, 'internal-error'],
    ['a thrown text', 'oops', 500, 'internal-error'],
    ['a thrown nothing', undefined, 500, 'internal-error'],
  ])('%s', (_, error, status, code) => {
    const problem = asProblem(error);
    expect([problem.status, problem.code]).toEqual([status, code]);
  });

  test('a wait is said in whole seconds', () => {
    expect(handled(new IngressStopped('full', 1_500)).sent.headers).toEqual({ 'Retry-After': '2' });
    expect(Number(handled(new Unavailable('postgres', 'x')).sent.headers['Retry-After'])).toBeGreaterThan(0);
  });

  test('where a server stands is not said', () => {
    expect(JSON.stringify(handled(new Unavailable('redis', 'connect 10.0.0.1:6379')).sent.body)).not.toContain('10.0');
  });

  test('a defect is logged with its stack, and its inside is not shown', () => {
    const { sent, log } = handled(new Error('password=hunter2 at /srv/secret'));
    expect(JSON.stringify(sent.body)).not.toMatch(/hunter2|srv/);
    expect(log.lines).toMatchObject([{ level: 'error', message: 'request failed' }]);
    expect(JSON.stringify(log.lines)).toContain('hunter2');
  });

  test('what is no defect is not logged as one', () => {
    expect(handled(new Unavailable('redis', 'x')).log.lines).toEqual([]);
    expect(handled(new Problem('not-found', 'x')).log.lines).toEqual([]);
  });
});

test('an answer that has begun is cut, and a client that has gone is not answered', () => {
  expect(handled(new Error('x'), { headersSent: true }).sent).toMatchObject({ destroyed: true, status: 0 });
  expect(handled(new Error('x'), { destroyed: true }).sent).toMatchObject({ destroyed: true, status: 0 });
  const aborted = handled(new Error('aborted'), {}, new Error('aborted'));
  expect(aborted.sent).toMatchObject({ destroyed: true, status: 0 });
  expect(aborted.log.lines).toEqual([]);
});

describe('outcomes of machines', () => {
  const to = 'task/t-0-x' as const;
  const refused = (reason: string): Outcome => ({
    outcome: 'refused',
    to,
    reason,
    detail: 'so it is',
    state: 'parked',
    legal: ['redrive'],
  });
  const problem = (outcome: Outcome): Problem => {
    try {
      refuse(outcome);
    } catch (error) {
      if (error instanceof Problem) return error;
      throw error;
    }
    throw new Error('it was no refusal');
  };

  test('a success is none', () => {
    expect(() => refuse({ outcome: 'applied', to, state: 'x', revision: 1 })).not.toThrow();
    expect(() => refuse({ outcome: 'duplicate', to, state: 'x', revision: 1 })).not.toThrow();
  });

  test.each<[string, ProblemCode]>([
    ['conflict', 'idempotency-mismatch'],
    ['unknown-actor', 'not-found'],
    ['invalid-event', 'invalid-request'],
    ['invalid-input', 'invalid-request'],
    ['not-legal', 'not-legal-now'],
    ['anything else', 'not-legal-now'],
  ])('refused as %s is %s', (reason, code) => {
    expect(problem(refused(reason)).code).toBe(code);
  });

  test('the state and the legal events are passed on', () => {
    expect(problem(refused('not-legal')).details).toEqual({ state: 'parked', legal: ['redrive'] });
  });

  test('set aside is a bad request with the reason', () => {
    const outcome: Outcome = { outcome: 'set-aside', to: undefined, reason: 'bad-command', detail: 'no type' };
    expect(problem(outcome)).toMatchObject({ code: 'invalid-request', message: 'bad-command: no type' });
  });
});
