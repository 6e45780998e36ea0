/** The audit log: what operators asked for, newest first. */
import type { AuditStore } from '../ports.ts';
import type { AuditRecord } from '../protocol/audit.ts';
import type { AuditFilter, AuditReader, AuditRow, Page } from '../readmodel.ts';
import type { Pool } from './pool.ts';

const cursorPattern = /^[0-9A-HJKMNP-TV-Z]{26}$/;

export class PostgresAudit implements AuditStore, AuditReader {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /** The two records of a request become one row, in whichever order and however often they come. */
  async store(records: readonly AuditRecord[]): Promise<void> {
    const whole = new Map<string, AuditRecord>();
    for (const record of records) whole.set(record.id, { ...whole.get(record.id), ...record });
    await this.#pool.query(
      `INSERT INTO audit (id, at, subject, token, tenant, address, action, target, detail, status, code, trace)
       SELECT id, to_timestamp(at / 1000.0), subject, token, tenant, address, action, target, detail, status, code, trace
       FROM jsonb_to_recordset($1::jsonb) AS r(id text, at float8, subject text, token text, tenant text, address text,
         action text, target text, detail text, status integer, code text, trace text)
       ON CONFLICT (id) DO UPDATE SET status = coalesce(EXCLUDED.status, audit.status),
         code = coalesce(EXCLUDED.code, audit.code), detail = coalesce(EXCLUDED.detail, audit.detail)`,
      [JSON.stringify([...whole.values()])],
    );
  }

  async audit(filter: AuditFilter, limit: number, cursor: string | undefined): Promise<Page<AuditRow>> {
    if (cursor !== undefined && !cursorPattern.test(cursor)) return 'bad-cursor';
    const values: unknown[] = [];
    const conditions: string[] = [];
    const add = (condition: string, value: unknown): void => {
      if (value !== undefined) conditions.push(condition.replace('?', `$${values.push(value)}`));
    };
    add('subject = ?', filter.subject);
    add('action = ?', filter.action);
    add('target = ?', filter.target);
    add('at >= to_timestamp(?::float8 / 1000.0)', filter.after);
    add('at < to_timestamp(?::float8 / 1000.0)', filter.before);
    add('id < ?', cursor);
    const rows = await this.#pool.query<AuditRow>(
      `SELECT id, (extract(epoch FROM at) * 1000)::float8 AS at, subject, token, tenant, address, action, target, detail,
         status, code, trace
       FROM audit ${conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''} ORDER BY id DESC LIMIT ${limit + 1}`,
      values,
    );
    const shown = rows.slice(0, limit);
    return { rows: shown, next: rows.length > limit ? shown.at(-1)?.id : undefined };
  }
}
