/** The OpenAPI 3.1 document, from the routes and the schemas that check their bodies. */
import { components, ref } from './components.ts';
import type { Operation } from './operation.ts';
import { problemCodes, type ProblemCode } from './problem.ts';
import { routes } from './routes.ts';

export function openApiDocument(version: string): object {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Supreme AI Orchestrator',
      version,
      description: 'Takes tasks, queues them by priority, hands them to agents and keeps every step.',
    },
    servers: [{ url: '/' }],
    security: [{ bearer: [] }],
    paths: Object.fromEntries(
      Object.entries(routes).map(([path, item]) => [
        path,
        Object.fromEntries(Object.entries(item).map(([method, one]) => [method, operation(`${method}${path}`, one)])),
      ]),
    ),
    components: {
      schemas: components(),
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
    },
  };
}

function operation(
  name: string,
  { summary, scope, parameters, body, optionalBody, answers, problems = [] }: Operation,
): object {
  const always: ProblemCode[] =
    scope === undefined ? [] : ['not-authenticated', 'not-allowed', 'rate-limited', 'unavailable'];
  return {
    operationId: name
      .replaceAll(/[^a-z]+([a-z])/gi, (_, letter: string) => letter.toUpperCase())
      .replaceAll(/[^a-z]/gi, ''),
    summary,
    ...(scope === undefined ? { security: [] } : { description: `Scope: \`${scope}\`.`, 'x-scope': scope }),
    ...(parameters && { parameters }),
    ...(body && {
      requestBody: {
        required: !optionalBody,
        content: {
          'application/json': { schema: body },
          ...(name === 'post/api/v1/tasks' && { 'application/x-ndjson': { schema: { type: 'string' } } }),
        },
      },
    }),
    responses: {
      ...Object.fromEntries(
        Object.entries(answers).map(([status, [description, schema, type = 'application/json']]) => [
          status,
          { description, ...(schema && { content: { [type]: { schema } } }) },
        ]),
      ),
      ...problemAnswers([...problems, ...always]),
    },
  };
}

/** Several codes share a status. */
function problemAnswers(codes: readonly ProblemCode[]): object {
  const statuses = new Set(codes.map((code) => problemCodes[code][0]));
  return Object.fromEntries(
    [...statuses].map((status) => [
      status,
      {
        description: codes
          .filter((code) => problemCodes[code][0] === status)
          .map((code) => `\`${code}\`: ${problemCodes[code][1]}.`)
          .join(' '),
        content: { 'application/problem+json': { schema: ref('Problem') } },
      },
    ]),
  );
}
