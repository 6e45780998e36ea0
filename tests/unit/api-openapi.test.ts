/** The OpenAPI document and the reference of problems say what the API does. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openApiDocument } from '../../api/openapi.ts';
import { problemCodes } from '../../api/problem.ts';
import { scopes } from '../../api/token.ts';
import { rootDir } from '../support/folders.ts';

interface Operation {
  operationId: string;
  summary: string;
  'x-scope'?: string;
  parameters?: { name: string; in: string; schema: unknown; required?: boolean }[];
  requestBody?: { content: Record<string, { schema: unknown }> };
  responses: Record<string, { description: string; content?: Record<string, { schema: unknown }> }>;
}

interface Document {
  openapi: string;
  info: { title: string; version: string };
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Record<string, unknown>> };
}

const document = JSON.parse(JSON.stringify(openApiDocument('1.2.3'))) as Document;
const operations = Object.entries(document.paths).flatMap(([path, item]) =>
  Object.entries(item).map(([method, operation]) => ({ path, method, operation })),
);

function references(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, part]) => (key === '$ref' ? [String(part)] : references(part)));
}

describe('the OpenAPI document', () => {
  test('is 3.1 and names the version of the server', () => {
    expect(document.openapi).toBe('3.1.0');
    expect(document.info.version).toBe('1.2.3');
  });

  test('every reference leads somewhere and every schema is used', () => {
    const found = new Set(references(document));
    const known = Object.keys(document.components.schemas).map((name) => `#/components/schemas/${name}`);
    expect([...found].filter((one) => !known.includes(one))).toEqual([]);
    expect(known.filter((one) => !found.has(one))).toEqual([]);
  });

  test('operation ids are unique names', () => {
    const ids = operations.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^[a-z][A-Za-z0-9]+$/);
  });

  test.each(operations)('$method $path: parameters, scope and answers are whole', ({ path, operation }) => {
    const inPath = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path');
    expect(inPath.map(({ name }) => `{${name}}`)).toEqual(path.match(/\{\w+\}/g) ?? []);
    for (const parameter of operation.parameters ?? []) expect(parameter.schema).toBeDefined();
    const names = (operation.parameters ?? []).map((parameter) => `${parameter.in} ${parameter.name.toLowerCase()}`);
    expect(new Set(names).size).toBe(names.length);
    const open = ['/healthz', '/readyz', '/version'].includes(path);
    if (open) expect(operation['x-scope']).toBeUndefined();
    else {
      expect(scopes).toContain(operation['x-scope']);
      expect(Object.keys(operation.responses)).toEqual(expect.arrayContaining(['401', '403']));
    }
    for (const answer of Object.values(operation.responses)) expect(answer.description).not.toBe('');
  });

  test('the seed routes are there', () => {
    expect(operations.map(({ method, path }) => `${method} ${path}`)).toEqual(
      expect.arrayContaining([
        'post /api/v1/tasks',
        'get /api/v1/tasks/{id}',
        'delete /api/v1/tasks/{id}',
        'post /api/v1/agents',
        'put /api/v1/agents/{id}',
        'get /api/v1/status',
        'get /metrics',
      ]),
    );
  });

  test('a submit is described by the schema that checks it', () => {
    const submit = document.components.schemas['Submit'] as {
      properties: Record<string, { default?: unknown; maximum?: number }>;
      required: string[];
      additionalProperties: boolean;
    };
    expect(submit.required).toEqual(['type']);
    expect(submit.additionalProperties).toBe(false);
    expect(submit.properties['priority']).toMatchObject({ default: 0, maximum: 1_000 });
    expect(submit.properties['parameters']).toEqual({
      default: {},
      description: expect.stringContaining('256 KiB') as string,
    });
    expect(Object.keys(submit.properties)).toEqual(expect.arrayContaining(['retry', 'timeouts', 'tenant']));
  });
});

describe('api/README.md', () => {
  const readme = readFileSync(join(rootDir, 'api/README.md'), 'utf8');

  test('has one paragraph for each problem code and none for another', () => {
    const headings = [...readme.matchAll(/^### `([a-z-]+)` \((\d{3})\)\n\n(\S.*)$/gm)].map((match) => [
      match[1],
      Number(match[2]),
    ]);
    expect(headings).toEqual(Object.entries(problemCodes).map(([code, [status]]) => [code, status]));
  });

  test('names every route and every scope', () => {
    for (const { method, path } of operations) expect(readme).toContain(`\`${method.toUpperCase()} ${path}\``);
    for (const scope of scopes) expect(readme).toContain(`\`${scope}\``);
  });
});
