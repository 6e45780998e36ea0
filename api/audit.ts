/**
 * The audit log: every request that may change something is noted before it is carried out and again with its outcome, save
 * those that are the daily work of clients and agents. What cannot be noted is not carried out.
 */
import { Router, type Request, type RequestHandler, type Response } from 'express';
import type { AuditRecord } from '../runtime/protocol/audit.ts';
import type { AuditRow } from '../runtime/readmodel.ts';
import { allow, callerOf } from './auth.ts';
import { bodyBeginningOf } from './body.ts';
import type { ApiContext } from './context.ts';
import { problemCodeOf } from './problem.ts';
import { addressOf } from './ratelimit.ts';
import { limitOf, nextLink, queryOf, timeOf } from './request.ts';
import { pageOf } from './page.ts';
import { traceIdOf } from './trace.ts';

/** @param actionOf names the route of a request, or undefined where it is not noted */
export function audited(
  { audit, system, log }: ApiContext,
  actionOf: (request: Request) => string | undefined,
): RequestHandler {
  return async (request, response, next) => {
    const action = actionOf(request);
    if (action === undefined) return next();
    const record = begun(request, response, action, system.now());
    await audit.notes.note(record);
    response.once('close', () => {
      const code = problemCodeOf(response);
      const ended: AuditRecord = {
        ...record,
        // Cut off in the middle: nobody was told what came of it.
        ...(response.writableFinished && { status: response.statusCode }),
        ...(code !== undefined && { code }),
        ...detailOf(request),
      };
      audit.notes.note(ended).catch((error: unknown) => {
        log.error({ ...ended, error: String(error) }, 'the outcome of an audited request could not be noted');
      });
    });
    next();
  };
}

function begun(request: Request, response: Response, action: string, at: number): AuditRecord {
  const { subject, tokenId, tenant } = callerOf(request);
  return {
    id: String(response.getHeader('X-Request-Id')),
    at,
    subject,
    ...(tokenId !== undefined && { token: tokenId }),
    ...(tenant !== undefined && { tenant }),
    address: addressOf(request),
    action,
    target: request.originalUrl.slice(0, 512),
    ...traceIdOf(request),
  };
}

function detailOf(request: Request): { detail?: string } {
  const text = bodyBeginningOf(request);
  // Whatever was sent has to be storable: PostgreSQL takes no NUL and no half characters.
  return text === undefined || text === '' ? {} : { detail: text.replaceAll('\0', '\uFFFD').toWellFormed() };
}

const auditQuery = ['subject', 'action', 'target', 'after', 'before', 'limit', 'cursor'] as const;

export function auditRoute(context: ApiContext): Router {
  const router = Router();
  router.get('/', allow('admin'), async (request, response) => {
    const query = queryOf(request, auditQuery);
    const wanted = {
      subject: query.get('subject'),
      action: query.get('action'),
      target: query.get('target'),
      after: timeOf(query, 'after'),
      before: timeOf(query, 'before'),
    };
    const filter = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined));
    const { rows, next } = pageOf(await context.audit.reader.audit(filter, limitOf(query), query.get('cursor')));
    if (next !== undefined) response.set('Link', nextLink('/api/v1/audit', query, next));
    response.json({ items: rows.map(auditResource), next: next ?? null });
  });
  return router;
}

function auditResource({ at, ...row }: AuditRow): object {
  const given = Object.entries(row).filter(([, value]) => value !== null);
  return { at: new Date(at).toISOString(), ...Object.fromEntries(given) };
}
