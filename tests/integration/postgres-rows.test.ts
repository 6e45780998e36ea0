/** However a journal is cut into batches, PostgreSQL has the rows that memory has from it record by record. */
import { expect, test } from 'vitest';
import { taskProjection } from '../../actors/task/projection.ts';
import { MemoryProjectionStore } from '../../runtime/memory/projection.ts';
import { MemoryReadModel } from '../../runtime/memory/readmodel.ts';
import type { PositionedEntry } from '../../runtime/ports.ts';
import { migrate } from '../../runtime/postgres/migrate.ts';
import { Pool } from '../../runtime/postgres/pool.ts';
import { PostgresProjectionStore } from '../../runtime/postgres/projector.ts';
import { PostgresReadModel } from '../../runtime/postgres/readmodel.ts';
import { Chance, newSeed } from '../support/chance.ts';
import { createDatabase } from '../support/servers.ts';
import { MemoryLog } from '../support/site.ts';
import { randomEvent, taskLife, type Lived } from '../support/tasklife.ts';

test('rows of random lives, in random batches', async () => {
  const seed = newSeed();
  const chance = new Chance(seed);
  const pool = new Pool({ url: await createDatabase('rows'), log: new MemoryLog() });
  await migrate(pool, new MemoryLog());
  const lives = [...Array(150).keys()].map((n) =>
    taskLife(`t-0-${n}`, (actor, number) => (number < 50 ? randomEvent(chance, actor, number) : undefined)),
  );

  // The lives run side by side: a batch has records of many tasks, and several of some.
  const entries: PositionedEntry[] = [];
  while (lives.length > 0) {
    const records: Lived[] = [];
    for (let left = 1 + chance.below(8); left > 0 && lives.length > 0; left--) {
      const index = chance.below(lives.length);
      const { value, done } = lives[index]!.next();
      if (done) lives.splice(index, 1);
      else records.push(value as Lived);
    }
    const sequence = entries.length + 1;
    const entry = { shard: 0, epoch: 1, sequence, at: 1_000 * sequence, records: records.map(({ record }) => record) };
    entries.push({ position: `${sequence}-0`, entry });
  }

  const memory = new MemoryProjectionStore([taskProjection]);
  let from = '0-0';
  for (const each of entries) {
    await memory.apply(0, from, [each]);
    from = each.position;
  }
  const store = new PostgresProjectionStore(pool, [taskProjection]);
  let at = '0-0';
  for (let next = 0; next < entries.length;) {
    const page = entries.slice(next, (next += 1 + chance.below(60)));
    expect(await store.apply(0, at, page)).toMatchObject({ quarantined: 0 });
    at = page.at(-1)!.position;
  }

  const expected = await new MemoryReadModel(memory).tasks({}, 500, undefined);
  const found = await new PostgresReadModel(pool).tasks({}, 500, undefined);
  expect({ seed, found }).toEqual({ seed, found: expected });
  expect(expected === 'bad-cursor' ? 0 : expected.rows.length).toBe(150);
  await pool.close();
});
