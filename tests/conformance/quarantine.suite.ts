/** Records that PostgreSQL cannot hold: kept aside with the reason, and the rest goes on. */
import { describe, expect, test } from 'vitest';
import { Feed, recordOf, submitted, type PostgresBed } from './projectionbed.ts';

interface QuarantineRow {
  position: string;
  ordinal: number;
  reason: string;
  record: Buffer;
}

export function quarantineSuite(bed: () => PostgresBed): void {
  describe('quarantine', () => {
    const unstorable: [name: string, parameters: Record<string, string>][] = [
      ['NUL', { text: 'a\u0000b' }],
      ['a lone surrogate', { text: 'a\ud800b' }],
      ['NUL in a member name', { 'a\u0000': 'b' }],
    ];
    test.each(unstorable)(
      'a record with %s is kept aside; the rest of the batch is stored',
      async (name, parameters) => {
        const { pool, store, model } = bed();
        const shard = 300 + unstorable.findIndex(([other]) => other === name);
        const feed = new Feed(store, shard);
        const tasks = [...Array(9).keys()].map((n) => `t-${shard}-${n}`);
        const bad = submitted(tasks[4]!, { parameters });
        const entries = [0, 3, 6].map((from) =>
          feed.entry(
            1_000 + from,
            tasks.slice(from, from + 3).map((task) => (task === tasks[4] ? bad : submitted(task))),
          ),
        );
        expect(await feed.apply(...entries)).toEqual({ applied: 8, quarantined: 1 });
        expect(await store.watermark(shard)).toBe(entries[2]!.position);
        const stored = await Promise.all(tasks.map((task) => model.task(task)));
        expect(stored.map((row) => row?.id)).toEqual(tasks.map((task) => (task === tasks[4] ? undefined : task)));
        const rows = await pool.query<QuarantineRow>('SELECT * FROM quarantine WHERE shard = $1', [shard]);
        expect(rows).toMatchObject([{ position: entries[1]!.position, ordinal: 1 }]);
        expect(rows[0]!.reason.length).toBeGreaterThan(5);
        expect(JSON.parse(rows[0]!.record.toString('utf8'))).toEqual(JSON.parse(JSON.stringify(bad)));
        // What follows of the same actor has no row to change, and is still history.
        const cancel = recordOf(`task/${tasks[4]}`, 2, 'cancelled', { event: { type: 'cancel' } });
        expect(await feed.apply(feed.entry(2_000, [cancel]))).toEqual({ applied: 1, quarantined: 0 });
        expect(await model.task(tasks[4]!)).toBeUndefined();
        expect(await model.history(`task/${tasks[4]}`, 10, undefined)).toMatchObject({ rows: [{ event: 'cancel' }] });
      },
    );

    test('a number beyond its column and a row without what it needs are kept aside too', async () => {
      const { store, model } = bed();
      const feed = new Feed(store, 310);
      const records = [
        submitted('t-310-a'),
        submitted('t-310-b', { priority: 1e12 }),
        recordOf('task/t-310-c', 1, { open: 'queued' }, { event: { type: 'start' } }),
        submitted('t-310-d'),
      ];
      expect(await feed.apply(feed.entry(1_000, records))).toEqual({ applied: 2, quarantined: 2 });
      expect(await model.task('t-310-a')).toBeDefined();
      expect(await model.task('t-310-d')).toBeDefined();
    });

    test('a batch of bad records only is kept aside whole', async () => {
      const { pool, store } = bed();
      const feed = new Feed(store, 311);
      const records = [...Array(5).keys()].map((n) => submitted(`t-311-${n}`, { parameters: { x: '\u0000' } }));
      expect(await feed.apply(feed.entry(1_000, records))).toEqual({ applied: 0, quarantined: 5 });
      const [row] = await pool.query<{ count: number }>(
        'SELECT count(*)::int AS count FROM quarantine WHERE shard = 311',
      );
      expect(row?.count).toBe(5);
    });
  });
}
