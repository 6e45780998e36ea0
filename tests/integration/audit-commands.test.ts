/** What the command line does without the API stands in the audit log too, whoever is away meanwhile. */
import { spawnSync } from 'node:child_process';
import { chmodSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { AuditFolder } from '../../runtime/host/auditfolder.ts';
import { Auditor } from '../../runtime/host/auditor.ts';
import { createSystem } from '../../runtime/host/system.ts';
import { migrate } from '../../runtime/postgres/migrate.ts';
import { PostgresAudit } from '../../runtime/postgres/audit.ts';
import { Pool } from '../../runtime/postgres/pool.ts';
import type { AuditRecord } from '../../runtime/protocol/audit.ts';
import { freshFolder, rootDir } from '../support/folders.ts';
import { createDatabase } from '../support/servers.ts';
import { MemoryLog } from '../support/site.ts';

const system = createSystem();
let data: string;
let store: PostgresAudit;
let log: MemoryLog;
let folder: AuditFolder;
let auditor: Auditor;

beforeAll(async () => {
  const pool = new Pool({ url: await createDatabase('audit-commands'), log: new MemoryLog() });
  await migrate(pool, new MemoryLog());
  store = new PostgresAudit(pool);
  return () => pool.close();
});
beforeEach(async () => {
  data = await freshFolder('audit-commands');
  log = new MemoryLog();
  folder = new AuditFolder(join(data, 'audit'), log);
  auditor = new Auditor({ inbox: folder, store, system, log });
});

function orchestrator(args: readonly string[], input = ''): { code: number | null; out: string; words: string } {
  const program = join(rootDir, '.build/scripts/orchestrator.js');
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [program, ...args, '--set', `data.directory=${data}`],
    { input, encoding: 'utf8', env: { ...process.env, SUDO_USER: '' } },
  );
  return { code: status, out: stdout.trim(), words: stderr.trim() };
}

async function newest(count: number): Promise<object[]> {
  const page = await store.audit({}, count, undefined);
  if (page === 'bad-cursor') throw new Error('no page');
  return page.rows;
}

const idOf = (token: string): string =>
  (JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as { jti: string }).jti;

describe('the notes of the command line', () => {
  test('tokens that are minted, called back and rotated are named, and no token or secret is among it', async () => {
    const minted = orchestrator(['token', '--scope', 'agents:register', '--subject', 'gpu-box', '--days', '7']);
    expect(minted).toMatchObject({ code: 0 });
    expect(orchestrator(['token', 'revoke'], minted.out)).toMatchObject({ code: 0 });
    expect(orchestrator(['token', 'rotate'])).toMatchObject({ code: 0 });
    const files = readdirSync(join(data, 'audit'));
    expect(files).toHaveLength(6);
    const words = files.map((name) => readFileSync(join(data, 'audit', name), 'utf8')).join('');
    const secrets = [minted.out.split('.')[2]!, ...readFileSync(join(data, 'secret'), 'utf8').trim().split('\n')];
    for (const secret of secrets) expect(words).not.toContain(secret);
    for (const name of files) expect(statSync(join(data, 'audit', name)).mode & 0o777).toBe(0o600);
    expect(await auditor.runOnce()).toBe(6);
    expect(readdirSync(join(data, 'audit'))).toEqual([]);
    const about = { subject: userInfo().username, address: 'command line', status: 200 };
    const detail = { id: idOf(minted.out), scopes: ['agents:register'], days: 7 };
    expect(await newest(3)).toMatchObject([
      { ...about, action: 'orchestrator token rotate', target: join(data, 'secret') },
      { ...about, action: 'orchestrator token revoke', target: idOf(minted.out) },
      { ...about, action: 'orchestrator token', target: 'gpu-box', detail: JSON.stringify(detail) },
    ]);
  });

  test('what failed is noted as failed', async () => {
    const away = ['--set', 'postgres.url=postgres://nobody@127.0.0.1:1/none', '--set', 'redis.url=redis://127.0.0.1:1'];
    expect(orchestrator(['rebuild', ...away])).toMatchObject({ code: 1 });
    expect(await auditor.runOnce()).toBe(2);
    expect(await newest(1)).toMatchObject([{ action: 'orchestrator rebuild', target: 'Redis', status: 500 }]);
  });

  test('what cannot be noted is not done', () => {
    expect(orchestrator(['token'])).toMatchObject({ code: 0 });
    const secret = readFileSync(join(data, 'secret'), 'utf8');
    rmSync(join(data, 'audit'), { recursive: true });
    writeFileSync(join(data, 'audit'), 'in the way');
    const { code, out, words } = orchestrator(['token', 'rotate']);
    expect([code, out]).toEqual([1, '']);
    expect(words).toContain('token rotate cannot be noted in the audit log, so it was not done');
    expect(readFileSync(join(data, 'secret'), 'utf8')).toBe(secret);
  });
});

describe('the folder', () => {
  const record: AuditRecord = {
    ...{ id: '01JD2Q8Z0G5M6N7P8Q9RSTVWXA', at: 1_700_000_000_000, subject: 'someone', address: 'command line' },
    ...{ action: 'orchestrator prune', target: 'archive' },
  };

  test('that is not there holds nothing; one that cannot be read is an error', async () => {
    expect(await folder.read(10)).toEqual([]);
    writeFileSync(join(data, 'audit'), 'in the way');
    await expect(folder.read(10)).rejects.toThrow('ENOTDIR');
  });

  test('an outcome that comes between reading and removing is not lost', async () => {
    await folder.note(record);
    const read = await folder.read(10);
    await folder.note({ ...record, status: 200 });
    await folder.remove(read.map(({ position }) => position));
    expect((await folder.read(10)).map(({ record: left }) => left)).toEqual([{ ...record, status: 200 }]);
  });

  test('what is no record is dropped and said; other files are left alone; at most so many are read', async () => {
    await folder.note(record);
    writeFileSync(join(data, 'audit', `${record.id.slice(0, 25)}B.begun.json`), '{');
    writeFileSync(join(data, 'audit', 'notes.txt'), 'mine');
    chmodSync(join(data, 'audit', 'notes.txt'), 0o000);
    expect(await folder.read(1)).toHaveLength(1);
    expect(await auditor.runOnce()).toBe(2);
    expect(log.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
    expect(readdirSync(join(data, 'audit'))).toEqual(['notes.txt']);
  });
});
