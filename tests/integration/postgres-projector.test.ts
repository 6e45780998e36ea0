/** Projectors over a real PostgreSQL that is killed, shared and fed the unstorable: each record is there once. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { taskProjection } from '../../actors/task/projection.ts';
import { limits } from '../../config/limits.ts';
import { Projector, projectorReader } from '../../runtime/host/projector.ts';
import { createSystem } from '../../runtime/host/system.ts';
import { MemoryJournalReader } from '../../runtime/memory/journal.ts';
import { MemoryWorld } from '../../runtime/memory/world.ts';
import type { JournalReader, ProjectionStore, System } from '../../runtime/ports.ts';
import { migrate } from '../../runtime/postgres/migrate.ts';
import { Pool } from '../../runtime/postgres/pool.ts';
import { PostgresProjectionStore } from '../../runtime/postgres/projector.ts';
import { PostgresReadModel } from '../../runtime/postgres/readmodel.ts';
import { comparePositions, type JournalRecord } from '../../runtime/protocol/journal.ts';
import { startPrivatePostgres, type PrivateServer } from '../support/servers.ts';
import { MemoryLog } from '../support/site.ts';

const real = createSystem();
/** Waits a tenth of the time: what takes seconds in production need not take them here. */
const system: System = { ...real, sleep: (ms, signal) => real.sleep(ms / 10, signal) };

let server: PrivateServer<{ url: string; pid: number }>;
let pool: Pool;
const log = new MemoryLog();
beforeAll(async () => {
  // What it says is committed must be there after a kill.
  server = await startPrivatePostgres({ fsync: true });
  pool = new Pool({ url: server.url, log });
  await migrate(pool, log);
});
afterAll(async () => {
  await pool.close();
  await server.dispose();
});

let shard = 0;
let world: MemoryWorld;
let journals: JournalReader;
let store: ProjectionStore;
const projectors: Projector[] = [];
beforeEach(() => {
  shard++;
  sequence = 0;
  world = new MemoryWorld(real);
  journals = new MemoryJournalReader(world);
  store = new PostgresProjectionStore(pool, [taskProjection]);
});
afterEach(() => Promise.all(projectors.splice(0).map((projector) => projector.stop())));

function projector(settings: Partial<ConstructorParameters<typeof Projector>[0]> = {}): Projector {
  const made = new Projector({ shard, journals, store, system, log, ...settings });
  projectors.push(made);
  return made;
}

let sequence = 0;
function commit(records: readonly JournalRecord[], epoch = 1): void {
  const entry = { shard, epoch, sequence: ++sequence, at: real.now(), records };
  world.append(world.space.shard(shard).journal, ['entry', JSON.stringify(entry)]);
}

/** The life of a task, submit to result. */
function life(task: string, parameters: object = {}): JournalRecord[] {
  const actor = `task/${task}` as const;
  const attempt = { token: 's', agent: 'a-0-x' };
  const common = { actor, origin: 'command' as const };
  const [assigned, running] = ['assigned', 'running'].map((state) => ({ open: { held: state } }));
  return [
    { ...common, id: `${task}1`, revision: 1, state: { open: 'queued' }, input: { type: 'echo', parameters } as never },
    { ...common, id: `${task}2`, revision: 2, state: assigned!, event: { type: 'assign', ...attempt, attempt: 1 } },
    { ...common, id: `${task}3`, revision: 3, state: running!, event: { type: 'start', ...attempt } },
    { ...common, id: `${task}4`, revision: 4, state: 'succeeded', event: { type: 'complete', ...attempt, result: 1 } },
  ];
}

async function until(what: string, holds: () => Promise<boolean> | boolean, deadlineMs = 20_000): Promise<void> {
  for (const end = performance.now() + deadlineMs; performance.now() < end;) {
    if (await holds()) return;
    await real.sleep(20);
  }
  throw new Error(`${what} did not come within ${deadlineMs} ms; the log has ${JSON.stringify(log.lines.slice(-5))}`);
}

const caughtUp = async (): Promise<boolean> =>
  world.shard(shard).readers.get(projectorReader) === (await journals.last(shard));

/** How many rows the shard has, how many places in the history, and how many tasks are done. */
async function stored(): Promise<{ history: number; tasks: number; done: number; quarantined: number }> {
  const [row] = await pool.query<{ history: number; tasks: number; done: number; quarantined: number }>(
    `SELECT (SELECT count(*)::int FROM transitions WHERE shard = $1) AS history,
       (SELECT count(*)::int FROM tasks WHERE shard = $1) AS tasks,
       (SELECT count(*)::int FROM tasks WHERE shard = $1 AND status = 'succeeded' AND revision = 4) AS done,
       (SELECT count(*)::int FROM quarantine WHERE shard = $1) AS quarantined`,
    [shard],
  );
  return row!;
}

describe('a projector', () => {
  test('goes on by itself after PostgreSQL was killed, and stores each record once', async () => {
    let early = 0;
    const watched: JournalReader = {
      read: (...rest) => journals.read(...rest),
      range: (...rest) => journals.range(...rest),
      last: (...rest) => journals.last(...rest),
      acknowledge: async (each, reader, position) => {
        // What is acknowledged may be trimmed: it must be in the store by then.
        const present = await store.watermark(each).catch(() => undefined);
        if (present !== undefined && comparePositions(present, position) < 0) early++;
        await journals.acknowledge(each, reader, position);
      },
    };
    await projector({ journals: watched }).start();
    let tasks = 0;
    for (let round = 0; round < 3; round++) {
      for (let n = 0; n < 150; n++) {
        commit(life(`t-${shard}-${tasks++}`));
        if (n === 75 && round < 2) await server.kill('SIGKILL');
        if (n % 30 === 0) await real.sleep(10);
      }
      if (round < 2) await server.restart();
    }
    await until('the end of the journal', caughtUp);
    expect(await stored()).toEqual({ history: 4 * tasks, tasks, done: tasks, quarantined: 0 });
    expect(early).toBe(0);
  });

  test('says how far it is behind while PostgreSQL is away, and warns once', async () => {
    const one = projector();
    await one.start();
    commit(life(`t-${shard}-a`));
    one.kick();
    await until('the first task', caughtUp);
    await until('no lag', () => one.lagSeconds === 0);
    await server.kill('SIGKILL');
    const before = log.lines.length;
    commit(life(`t-${shard}-b`));
    one.kick();
    await until('a lag', () => one.lagSeconds > 0.5);
    expect(one.lagSeconds).toBeLessThan(20);
    await server.restart();
    await until('the second task', caughtUp);
    await until('no lag', () => one.lagSeconds === 0);
    const warnings = log.lines.slice(before).filter(({ message }) => message.startsWith('projection waits'));
    expect(warnings).toHaveLength(1);
  });

  test('shares a shard with another by mistake, and each record is stored once all the same', async () => {
    const [one, other] = [projector(), projector()];
    await Promise.all([one.start(), other.start()]);
    const tasks = 300;
    for (let n = 0; n < tasks; n++) {
      commit(life(`t-${shard}-${n}`));
      if (n % 10 === 0) {
        one.kick();
        other.kick();
        await real.sleep(2);
      }
    }
    await until('the end of the journal', caughtUp);
    expect(await stored()).toEqual({ history: 4 * tasks, tasks, done: tasks, quarantined: 0 });
  });

  test('R10 passes what cannot be stored, says so, and stores the rest', async () => {
    const before = log.lines.length;
    for (let n = 0; n < 40; n++) commit(life(`t-${shard}-${n}`, n % 10 === 3 ? { text: 'a\u0000b' } : {}));
    expect(await projector().runOnce()).toEqual({ applied: 156, quarantined: 4 });
    expect(await stored()).toMatchObject({ history: 156, tasks: 36, done: 36, quarantined: 4 });
    expect(log.lines.slice(before)).toMatchObject([{ level: 'error', fields: { count: 4 } }]);
  });

  test('R12 splits a long backlog into transactions and statements of bounded size', async () => {
    const sizes: number[] = [];
    const counting: ProjectionStore = {
      watermark: (each) => store.watermark(each),
      apply: (each, from, entries) => {
        sizes.push(entries.reduce((sum, { entry }) => sum + entry.records.length, 0));
        return store.apply(each, from, entries);
      },
    };
    const large = { text: 'x'.repeat(limits.payloadBytesMax - 100) };
    const lives = [...Array(6_000).keys()].map((n) => life(`t-${shard}-${n}`, n % 200 === 0 ? large : {}));
    // 24 entries of 1,000 records; 30 parameters of the largest size that is taken in.
    for (let n = 0; n < lives.length; n += 250) commit(lives.slice(n, n + 250).flat());
    expect(await projector({ store: counting }).runOnce()).toEqual({ applied: 24_000, quarantined: 0 });
    expect(sizes).toEqual([20_000, 4_000]);
    expect(await stored()).toEqual({ history: 24_000, tasks: 6_000, done: 6_000, quarantined: 0 });
  });

  test('keeps both histories when a journal was begun anew, and the lists follow the present one', async () => {
    const model = new PostgresReadModel(pool);
    const [before, after] = [`t-${shard}-before`, `t-${shard}-after`];
    commit(life(before));
    const one = projector();
    expect(await one.runOnce()).toEqual({ applied: 4, quarantined: 0 });
    // As after a FLUSHALL: the lease counts from 1 again.
    sequence = 0;
    await real.sleep(2);
    commit(life(after));
    commit(life(`${after}2`));
    expect(await one.runOnce()).toEqual({ applied: 4, quarantined: 4 });
    expect(await model.task(before)).toMatchObject({ status: 'succeeded' });
    expect(await model.task(after)).toMatchObject({ status: 'succeeded', revision: 4 });
    const rows = await pool.query<{ reason: string }>('SELECT DISTINCT reason FROM quarantine WHERE shard = $1', [
      shard,
    ]);
    expect(rows).toMatchObject([{ reason: expect.stringContaining('place in the history') as string }]);
  });

  test('stops in the middle of a backlog, and another goes on from there', async () => {
    for (let n = 0; n < 40; n++) commit([...Array(250).keys()].flatMap((m) => life(`t-${shard}-${n}x${m}`)));
    let stopping: Promise<void> | undefined;
    const one = projector({
      store: {
        watermark: (each) => store.watermark(each),
        apply: async (each, from, page) => {
          const outcome = await store.apply(each, from, page);
          stopping ??= one.stop();
          return outcome;
        },
      },
    });
    await one.start();
    await until('the first transaction', () => stopping !== undefined);
    await stopping;
    expect(await stored()).toMatchObject({ history: 20_000, quarantined: 0 });
    expect(world.shard(shard).readers.get(projectorReader)).toBe(await store.watermark(shard));
    await projector().start();
    await until('the end of the journal', caughtUp);
    expect(await stored()).toEqual({ history: 40_000, tasks: 10_000, done: 10_000, quarantined: 0 });
  });
});
