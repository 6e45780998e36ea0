/** How a route is described: the parts that many routes share. */
import { limits } from '../config/limits.ts';
import type { Schema } from './components.ts';
import type { ProblemCode } from './problem.ts';
import type { Scope } from './token.ts';

export type Parameter = Record<string, unknown>;

export interface Operation {
  summary: string;
  /** Undefined where no token is needed. */
  scope?: Scope;
  parameters?: readonly Parameter[];
  body?: Schema;
  optionalBody?: boolean;
  answers: Record<string, readonly [description: string, schema?: Schema, type?: string]>;
  problems?: readonly ProblemCode[];
  /** True where a token of a tenant may ask: what is answered is checked against its tenant, or is nobody's. */
  tenants?: true;
  /** False for the daily work of clients and agents; every other request that is no read stands in the audit log. */
  audited?: false;
}

export const header = (name: string, description: string): Parameter => ({
  name,
  in: 'header',
  description,
  schema: { type: 'string' },
});
export const inPath = (name: string, schema: Schema = { type: 'string' }): Parameter => ({
  name,
  in: 'path',
  required: true,
  schema,
});
export const inQuery = (name: string, schema: Schema = { type: 'string' }, description?: string): Parameter => ({
  name,
  in: 'query',
  schema,
  ...(description !== undefined && { description }),
});

export const paging = [
  inQuery('limit', { type: 'integer', minimum: 1, maximum: limits.listLimitMax, default: limits.listLimitDefault }),
  inQuery('cursor', { type: 'string' }, '`next` of the page before.'),
];
