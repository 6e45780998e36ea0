/** What is noted of an operator's request: once before it is carried out, and once with what came of it. */
import * as z from 'zod';

const text = (max: number) => z.string().max(max);

export const auditRecordSchema = z.strictObject({
  /** Of the request: a ULID, so records sort by time. */
  id: z.string().regex(/^[0-9A-HJKMNP-TV-Z]{26}$/),
  /** Milliseconds since 1970. */
  at: z.int().min(0),
  subject: text(128),
  /** `jti` of the token. */
  token: text(128).optional(),
  tenant: text(128).optional(),
  address: text(64),
  /** Method and route, as `PUT /api/v1/agents/{id}`. */
  action: text(256),
  /** The address that was asked. */
  target: text(512),
  /** The beginning of the body. */
  detail: text(1_024).optional(),
  /** Of the answer; absent before there is one. */
  status: z.int().optional(),
  /** Code of the problem that was answered. */
  code: text(64).optional(),
  /** Id of the trace. */
  trace: text(32).optional(),
});

export type AuditRecord = z.infer<typeof auditRecordSchema>;
