/** The audit log: who asked for what, and what came of it, whatever happens to PostgreSQL or to the process meanwhile. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { routes } from '../../api/routes.ts';
import { Auditor } from '../../runtime/host/auditor.ts';
import { createSystem } from '../../runtime/host/system.ts';
import { migrate } from '../../runtime/postgres/migrate.ts';
import { PostgresAudit } from '../../runtime/postgres/audit.ts';
import { Pool } from '../../runtime/postgres/pool.ts';
import type { AuditRecord } from '../../runtime/protocol/audit.ts';
import { Unavailable } from '../../runtime/protocol/errors.ts';
import { keyspace } from '../../runtime/protocol/keys.ts';
import { RedisAuditStream } from '../../runtime/redis/auditstream.ts';
import { startApi, type ApiSite } from '../support/apisite.ts';
import { createDatabase, startPrivatePostgres, useRedis } from '../support/servers.ts';
import { MemoryLog } from '../support/site.ts';

let api: ApiSite;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.stop());

type Row = Record<string, unknown>;

/** The rows of a query, once there are as many as were meant. */
async function rows(query: string, count: number, complete = (_: Row): boolean => true): Promise<Row[]> {
  for (let tries = 0; ; tries++) {
    const { body } = await api.call(`/api/v1/audit?${query}`);
    const items = (body.items ?? []).filter(complete);
    if (items.length >= count) return items;
    if (tries > 400) throw new Error(`there are ${JSON.stringify(body.items)}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
const ended = (row: Row): boolean => row['status'] !== undefined;

async function queuedTask(type = 'audited'): Promise<string> {
  const { body } = await api.call('/api/v1/tasks', { body: { type } });
  return String(body['id']);
}

describe('what operators do', () => {
  test('is there with who, what, on what, and what came of it', async () => {
    const id = await queuedTask();
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    const answer = await api.call(`/api/v1/tasks/${id}`, { method: 'DELETE', headers: { traceparent } });
    expect(answer.status).toBe(200);
    const target = `/api/v1/tasks/${id}`;
    const [row] = await rows(`target=${encodeURIComponent(target)}`, 1, ended);
    expect(row).toEqual({
      id: answer.headers.get('X-Request-Id'),
      at: expect.stringMatching(/^\d{4}-.*Z$/) as string,
      subject: 'tester',
      token: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
      address: '127.0.0.1',
      action: 'DELETE /api/v1/tasks/{id}',
      target,
      status: 200,
      trace: '4bf92f3577b34da6a3ce929d0e0e4736',
    });
  });

  test('so is what was refused, and why', async () => {
    const id = await queuedTask();
    const target = `/api/v1/tasks/${id}/redrive`;
    const token = api.tokenOf('acme', 'read');
    expect((await api.call(target, { method: 'POST', token })).status).toBe(403);
    expect((await api.call(target, { method: 'POST' })).status).toBe(409);
    const found = await rows(`target=${encodeURIComponent(target)}`, 2, ended);
    expect(found.map(({ status, code, tenant }) => [status, code, tenant])).toEqual([
      [409, 'not-legal-now', undefined],
      [403, 'not-allowed', 'acme'],
    ]);
  });

  test('what was asked for stands there as it was sent, as far as it can be kept', async () => {
    const put = (raw: string | Buffer) => api.call('/api/v1/agents/a-0-nobody', { method: 'PUT', raw });
    await put('{"status":"PAUSED"}');
    await put(`{"status":"\u0000${'x'.repeat(5_000)}"}`);
    await put('{"status":"\\ud800"}');
    await put(Buffer.from([0xff, 0xfe]));
    const found = await rows('target=/api/v1/agents/a-0-nobody', 4, ended);
    expect(found.map(({ detail, status }) => [status, (detail as string | undefined)?.slice(0, 20)])).toEqual([
      [400, undefined],
      [400, '{"status":"\\ud800"}'],
      [400, `{"status":"\uFFFDxxxxxxxx`],
      [404, '{"status":"PAUSED"}'],
    ]);
    expect(String(found[2]!['detail'])).toHaveLength(1_024);
  });

  test('reads and the daily work of clients and agents are not', async () => {
    const before = (await api.call('/api/v1/audit')).body.items!.length;
    const id = await queuedTask();
    await api.call(`/api/v1/tasks/${id}`);
    await api.call('/api/v1/tickets', { method: 'POST' });
    await api.call(`/api/v1/tasks/${id}`, { method: 'DELETE' });
    await rows(`target=/api/v1/tasks/${id}`, 1, ended);
    expect((await api.call('/api/v1/audit')).body.items).toHaveLength(before + 1);
  });

  test('every route that is no read stands in it, or says that it does not', () => {
    const silent = Object.entries(routes).flatMap(([path, item]) =>
      Object.entries(item)
        .filter(([method, { audited }]) => method !== 'get' && audited === false)
        .map(([method, { scope }]) => [`${method} ${path}`, scope]),
    );
    // None of them is an operator's: they need a scope of clients or agents.
    for (const [, scope] of silent) expect(['read', 'tasks:submit', 'agents:register', 'agents:work']).toContain(scope);
    expect(silent.length).toBeGreaterThan(0);
  });
});

describe('the list', () => {
  test('has pages and filters, and takes nothing else', async () => {
    for (const n of [1, 2, 3]) await api.call(`/api/v1/tasks/t-0-paged${n}`, { method: 'DELETE' });
    await rows('target=/api/v1/tasks/t-0-paged3', 1, ended);
    const seen: unknown[] = [];
    let cursor = '';
    do {
      const page: { body: Row & { items?: Row[] } } = await api.call(`/api/v1/audit?limit=2${cursor}`);
      seen.push(...page.body.items!.map(({ id }) => id));
      cursor = typeof page.body['next'] === 'string' ? `&cursor=${page.body['next']}` : '';
    } while (cursor);
    expect(new Set(seen).size).toBe(seen.length);
    expect([...seen].sort().reverse()).toEqual(seen);
    expect((await api.call('/api/v1/audit?subject=nobody')).body.items).toEqual([]);
    expect((await api.call('/api/v1/audit?before=2020-01-01')).body.items).toEqual([]);
    const action = encodeURIComponent('DELETE /api/v1/tasks/{id}');
    for (const { action: found } of (await api.call(`/api/v1/audit?action=${action}`)).body.items!)
      expect(found).toBe('DELETE /api/v1/tasks/{id}');
    for (const query of ['cursor=x', "cursor=' OR 1=1", 'actor=x', 'limit=0', 'after=x'])
      expect([query, (await api.call(`/api/v1/audit?${query}`)).status]).toEqual([query, 400]);
  });

  test('is for admins', async () => {
    const token = api.token(
      'read',
      'tasks:submit',
      'tasks:cancel',
      'tasks:redrive',
      'agents:register',
      'agents:control',
    );
    expect((await api.call('/api/v1/audit', { token })).status).toBe(403);
  });
});

describe('what comes in between', () => {
  const record = (id: string, more: Partial<AuditRecord> = {}): AuditRecord => ({
    id: `01JD2Q8Z0G5M6N7P8Q9RSTVW${id}`,
    at: 1_700_000_000_000,
    subject: 'someone',
    address: '10.0.0.1',
    action: 'PUT /x',
    target: '/x',
    ...more,
  });
  const system = createSystem();

  async function bed(prefix: string) {
    const log = new MemoryLog();
    const { url } = await useRedis();
    const stream = new RedisAuditStream({ redis: { url, name: 'audit' }, space: keyspace(prefix), system, log });
    const pool = new Pool({ url: await createDatabase('audit'), log });
    await migrate(pool, log);
    const store = new PostgresAudit(pool);
    const auditor = new Auditor({ inbox: stream, store, system, log });
    const stop = async (): Promise<void> => {
      stream.close();
      await pool.close();
    };
    return { log, stream, pool, store, auditor, stop };
  }

  test('a record that comes twice, late or in the wrong order is one row', async () => {
    const { stream, store, auditor, stop } = await bed('audit-order:');
    await stream.note(record('XA', { status: 200 }));
    await stream.note(record('XA'));
    await stream.note(record('XB'));
    expect(await auditor.runOnce()).toBe(3);
    expect(await auditor.runOnce()).toBe(0);
    await stream.note(record('XB', { status: 409, code: 'not-legal-now' }));
    await stream.note(record('XB'));
    await auditor.runOnce();
    await store.store([record('XA')]);
    const page = await store.audit({}, 10, undefined);
    expect(page).toMatchObject({ rows: [{ status: 409, code: 'not-legal-now' }, { status: 200 }], next: undefined });
    await stop();
  });

  test('a process that ends in between leaves what it had begun', async () => {
    const { stream, store, auditor, stop } = await bed('audit-begun:');
    await stream.note(record('XC'));
    await auditor.runOnce();
    expect(await store.audit({}, 10, undefined)).toMatchObject({ rows: [{ status: null }] });
    await stop();
  });

  test('what others write into the stream is dropped and said, and holds nothing up', async () => {
    const { log, stream, store, auditor, stop } = await bed('audit-foreign:');
    const { redis } = api.site;
    for (const text of ['', '{', '[]', '{"id":"x"}', JSON.stringify({ ...record('XD'), subject: 'x'.repeat(999) })])
      await redis.xadd('audit-foreign:orchestrator:audit', '*', 'record', text);
    await redis.xadd('audit-foreign:orchestrator:audit', '*', 'other', 'x');
    await stream.note(record('XE'));
    expect(await auditor.runOnce()).toBe(7);
    expect(await store.audit({}, 10, undefined)).toMatchObject({ rows: [{ id: record('XE').id }] });
    expect(log.lines.filter(({ level }) => level === 'error')).toHaveLength(6);
    expect(await redis.xlen('audit-foreign:orchestrator:audit')).toBe(0);
    await stop();
  });

  test('while PostgreSQL is away records wait, and none is lost', async () => {
    const { stream, log, stop } = await bed('audit-away:');
    const postgres = await startPrivatePostgres();
    const pool = new Pool({ url: postgres.url, log });
    await migrate(pool, log);
    const store = new PostgresAudit(pool);
    const auditor = new Auditor({ inbox: stream, store, system, log });
    await postgres.stop();
    await auditor.start();
    for (const id of ['XF', 'XG', 'XH']) await stream.note(record(id));
    await expect(auditor.runOnce()).rejects.toThrow(Unavailable);
    await postgres.restart();
    for (let tries = 0; ; tries++) {
      const page = await store.audit({}, 10, undefined).catch(() => undefined);
      if (page && page !== 'bad-cursor' && page.rows.length === 3) break;
      if (tries > 400) throw new Error('the records were not stored');
      await system.sleep(25);
    }
    await auditor.stop();
    await pool.close();
    await postgres.dispose();
    await stop();
  });
});

test('what cannot be noted is not carried out', async () => {
  const id = await queuedTask();
  const { audit } = api.context;
  const { notes } = audit;
  audit.notes = { note: () => Promise.reject(new Unavailable('redis', 'away')) };
  try {
    const { status, body } = await api.call(`/api/v1/tasks/${id}`, { method: 'DELETE' });
    expect([status, body.code]).toEqual([503, 'unavailable']);
  } finally {
    audit.notes = notes;
  }
  expect((await api.call(`/api/v1/tasks/${id}`)).body['status']).toBe('queued');
});
