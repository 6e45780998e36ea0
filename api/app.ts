/** The Express application: order of the doors (address, token, body), routes, and one last word for every error. */
import express, { type Express, type Request, type RequestHandler } from 'express';
import { limits } from '../config/limits.ts';
import { agentRoutes } from './agents.ts';
import { byRegistration, gatewayRoutes } from './gateway.ts';
import { audited, auditRoute } from './audit.ts';
import { allow, authenticate, keepTenants } from './auth.ts';
import { bulkRoutes } from './bulkactions.ts';
import { conflictRoutes } from './conflicts.ts';
import type { ApiContext } from './context.ts';
import { eventRoutes } from './events.ts';
import type { Operation } from './operation.ts';
import { limitRoutes, queueRoutes } from './queues.ts';
import { openApiDocument } from './openapi.ts';
import { requestLog } from './requestlog.ts';
import { methodsOf, routes } from './routes.ts';
import { limitRefusals, limitRequests } from './ratelimit.ts';
import { setAsideRoutes, statusRoute } from './operations.ts';
import { Problem, problemHandler } from './problem.ts';
import { taskRoutes } from './tasks.ts';
import { byTicket, ticketRoute, Tickets } from './tickets.ts';
import { siteRoutes } from './sites/handlers.ts';
import { answerAsStandby } from './sites/standby.ts';
import { scheduleRoutes } from './schedules/handlers.ts';
import { tracing } from './trace.ts';
import { activityRoutes } from './visualiser/activity.ts';
import { actorRoutes } from './visualiser/actors.ts';
import { Drawings } from './visualiser/drawings.ts';
import { machineRoutes } from './visualiser/machines.ts';
import { visualiserPages } from './visualiser/pages.ts';

/** Addresses and the methods that they take. */
const known = [...methodsOf].map(([path, methods]) => ({
  path,
  pattern: new RegExp(`^${path.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^/]+')}/?$`),
  methods: methods.includes('GET') ? ['HEAD', ...methods] : methods,
}));

export function createApp(context: ApiContext): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', 'simple');
  app.set('trust proxy', false);
  app.use((_request, response, next) => {
    response.set('X-Request-Id', context.system.ulid());
    next();
  });
  app.use(requestLog(context.log, context.system));
  app.use(headers, wellFormed, knownMethod);

  app.get('/healthz', (_request, response) => {
    response.json({ status: 'alive' });
  });
  app.get('/readyz', async (_request, response) => {
    const health = await context.health();
    const ready = context.ready() && health.redis;
    response.status(ready ? 200 : 503).json({
      status: ready ? 'ready' : 'not ready',
      redis: health.redis ? 'up' : 'down',
      postgres: health.postgres ? 'up' : 'down',
      findings: health.findings,
    });
  });
  app.get('/version', (_request, response) => {
    response.json({ version: context.site.version });
  });

  const drawings = new Drawings(context.layouts);
  app.use(
    '/visualiser',
    visualiserPages(() => drawings.prepare(context.machines.charts())),
  );

  const tickets = new Tickets();
  const withTicket = byTicket(tickets, context.auth);
  const withToken = authenticate(context.auth);
  const withRegistration = byRegistration(context);
  app.use(async (request, response, next) => {
    if (withTicket(request) || (await withRegistration(request))) next();
    else
      void withToken(request, response, (refusal?: unknown) => {
        if (refusal === undefined) next();
        else if (refusal instanceof Problem && refusal.code === 'not-authenticated')
          limitRefusals(context.rateLimits, request, response, refusal, next).catch(next);
        else next(refusal);
      });
  });
  app.use(limitRequests(context.rateLimits));
  app.use('/api/v1', tracing(context.system));
  app.use(audited(context, auditedAction));
  app.use(keepTenants((request) => operationOf(request)?.operation?.tenants === true));
  app.use(answerAsStandby(context));
  app.get('/metrics', allow('read'), async (_request, response) => {
    response.type(context.metrics.contentType).send(await context.metrics.render());
  });
  const document = openApiDocument(context.site.version);
  app.get('/api/v1/openapi.json', allow('read'), (_request, response) => {
    response.json(document);
  });
  app.use('/api/v1', eventRoutes(context));
  app.use('/api/v1/tasks', taskRoutes(context));
  app.use('/api/v1/bulk', bulkRoutes(context));
  app.use('/api/v1/agents', agentRoutes(context), gatewayRoutes(context));
  app.use('/api/v1/status', statusRoute(context));
  app.use('/api/v1/audit', auditRoute(context));
  app.use('/api/v1/conflicts', conflictRoutes(context));
  app.use('/api/v1/queues', queueRoutes(context));
  app.use('/api/v1/limits', limitRoutes(context));
  app.use('/api/v1/schedules', scheduleRoutes(context));
  app.use('/api/v1/sites', siteRoutes(context));
  app.use('/api/v1/set-aside', setAsideRoutes(context));
  app.use('/api/v1/machines', machineRoutes(context, drawings));
  app.use('/api/v1/actors', actorRoutes(context));
  app.use('/api/v1', activityRoutes(context));
  app.use('/api/v1/tickets', ticketRoute(context, tickets));
  app.use((request, _response, next) => {
    next(new Problem('not-found', `there is nothing at ${request.path.slice(0, 200)}`));
  });
  app.use(problemHandler(context.log));
  return app;
}

const headers: RequestHandler = (request, response, next) => {
  response.set({
    'X-Content-Type-Options': 'nosniff',
    'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
    'Referrer-Policy': 'no-referrer',
    'Cache-Control': 'no-store',
  });
  if (request.secure) response.set('Strict-Transport-Security', 'max-age=31536000');
  next();
};

/** What the parser lets pass, and what servers in front of this one may read differently. */
const wellFormed: RequestHandler = (request, _response, next) => {
  const { host = [], 'transfer-encoding': coding = ['chunked'] } = request.headersDistinct;
  if (host.length > 1 || (host.length === 0 && request.httpVersion !== '1.0'))
    next(new Problem('invalid-http', 'a request has one Host header', { where: 'Host' }));
  else if (coding.join().toLowerCase() !== 'chunked')
    next(new Problem('invalid-http', 'the only transfer coding is chunked', { where: 'Transfer-Encoding' }));
  else if (request.url.length > limits.queryLengthMax)
    next(new Problem('uri-too-long', `an address has at most ${limits.queryLengthMax} characters`));
  else next();
};

/** The route of a request and what the table says of it; `operation` is undefined for a method that it does not take. */
function operationOf({ path, method }: Request): { path: string; operation: Operation | undefined } | undefined {
  const route = known.find(({ pattern }) => pattern.test(path));
  return (
    route && { path: route.path, operation: routes[route.path]?.[method === 'HEAD' ? 'get' : method.toLowerCase()] }
  );
}

/** Method and route of a request that stands in the audit log. */
function auditedAction(request: Request): string | undefined {
  if (request.method === 'GET' || request.method === 'HEAD') return undefined;
  const route = operationOf(request);
  return !route || route.operation?.audited === false ? undefined : `${request.method} ${route.path}`;
}

const knownMethod: RequestHandler = (request, _response, next) => {
  const route = known.find(({ pattern }) => pattern.test(request.path));
  if (!route || route.methods.includes(request.method)) next();
  else
    next(
      new Problem('method-not-allowed', `${request.path.slice(0, 200)} does not take ${request.method}`, {
        allow: route.methods,
      }),
    );
};
