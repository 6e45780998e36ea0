/** Lists of tasks and agents: filters, pages, cursors, counts. */
import { beforeAll, describe, expect, test } from 'vitest';
import type { Page, TaskFilter, TaskRow } from '../../runtime/readmodel.ts';
import { Feed, recordOf, submitted, type ProjectionBed } from './projectionbed.ts';

const shard = 200;
const id = (number: number) => `t-${shard}-${String(number).padStart(2, '0')}`;

/** Walks through all pages, of which there are not many. */
export async function walk<Row>(
  list: (cursor: string | undefined) => Promise<Page<Row>>,
  limit: number,
  pagesMax = 100,
): Promise<Row[]> {
  const all: Row[] = [];
  let cursor: string | undefined;
  for (let pages = 0; pages < pagesMax; pages++) {
    const page = await list(cursor);
    if (page === 'bad-cursor') throw new Error('the own cursor is refused');
    if (page.rows.length > limit) throw new Error(`${page.rows.length} rows where ${limit} were asked for`);
    all.push(...page.rows);
    cursor = page.next;
    if (cursor === undefined) return all;
  }
  throw new Error(`no end after ${pagesMax} pages`);
}

export function listsSuite(bed: () => ProjectionBed): void {
  describe('lists', () => {
    const ids = async (filter: TaskFilter) => {
      const page = await bed().model.tasks(filter, 100, undefined);
      return page === 'bad-cursor' ? page : page.rows.map((row) => Number(row.id.slice(-2)));
    };
    const cursorAfter = async (limit: number) => {
      const page = await bed().model.tasks({}, limit, undefined);
      return page === 'bad-cursor' ? '' : (page.next ?? '');
    };

    // 20 tasks: four of each second, two types, two tenants and none, one failed, one held.
    beforeAll(async () => {
      const feed = new Feed(bed().store, shard);
      for (let second = 0; second < 5; second++)
        await feed.apply(
          feed.entry(
            1_000 * (second + 1),
            [0, 1, 2, 3].map((n) => {
              const number = 4 * second + n;
              const tenant = ['acme', 'umbrella'][number % 3];
              return submitted(id(number), { type: number % 2 === 0 ? 'even' : 'odd', ...(tenant && { tenant }) });
            }),
          ),
        );
      const error = { message: 'Disk 100% full: C:\\data_1' };
      const events = [
        recordOf(`task/${id(7)}`, 2, 'parked', { event: { type: 'fail', error } }),
        recordOf(
          `task/${id(9)}`,
          2,
          { open: { held: 'assigned' } },
          { event: { type: 'assign', agent: 'a-200-x', attempt: 1 } },
        ),
      ];
      await feed.apply(feed.entry(9_000, events));
      const agents = ['b', 'd', 'a', 'c'].map((name) =>
        recordOf(`agent/a-${shard}-${name}`, 1, 'registering', { input: { type: 'even' } }),
      );
      await feed.apply(feed.entry(9_500, agents));
    });

    test('newest first, and every task once over pages whose border lies within one moment', async () => {
      const { model } = bed();
      const newest = [...Array(20).keys()].reverse();
      for (const limit of [1, 3, 7, 20, 100]) {
        const all = await walk((cursor) => model.tasks({}, limit, cursor), limit);
        expect(all.map((row) => Number(row.id.slice(-2)))).toEqual(newest);
      }
    });

    test('a full last page has no next one', async () => {
      const { model } = bed();
      expect(await model.tasks({}, 20, undefined)).toMatchObject({ next: undefined });
      expect(await model.tasks({}, 19, undefined)).toMatchObject({ next: expect.any(String) as string });
    });

    test('filters, alone and together', async () => {
      expect(await ids({ type: 'even' })).toEqual([18, 16, 14, 12, 10, 8, 6, 4, 2, 0]);
      expect(await ids({ tenant: 'umbrella' })).toEqual([19, 16, 13, 10, 7, 4, 1]);
      expect(await ids({ type: 'even', tenant: 'umbrella' })).toEqual([16, 10, 4]);
      expect(await ids({ status: 'parked' })).toEqual([7]);
      expect(await ids({ agent: 'a-200-x' })).toEqual([9]);
      expect(await ids({ createdAfter: 4_000 })).toEqual([19, 18, 17, 16, 15, 14, 13, 12]);
      expect(await ids({ createdBefore: 2_000 })).toEqual([3, 2, 1, 0]);
      expect(await ids({ createdAfter: 2_000, createdBefore: 3_000, type: 'odd' })).toEqual([7, 5]);
      expect(await ids({ status: 'no such' })).toEqual([]);
    });

    test('times before and after all times of a database are no error', async () => {
      expect(await ids({ createdAfter: -8.64e15 })).toHaveLength(20);
      expect(await ids({ createdBefore: 8.64e15 })).toHaveLength(20);
      expect(await ids({ createdAfter: 8.64e15 })).toEqual([]);
      expect(await ids({ createdBefore: -8.64e15 })).toEqual([]);
    });

    test('a text is looked for in ids and error messages, as it stands', async () => {
      expect(await ids({ text: 'DISK 100%' })).toEqual([7]);
      expect(await ids({ text: 'C:\\DATA_1' })).toEqual([7]);
      expect(await ids({ text: '-1' })).toEqual([19, 18, 17, 16, 15, 14, 13, 12, 11, 10]);
      // Nothing in a text is a pattern.
      for (const text of ['100_', 'd%k', 'C:data', '%', '_']) {
        const found = await ids({ text });
        expect(found === 'bad-cursor' ? found : found.filter((number) => number !== 7)).toEqual([]);
      }
      expect(await ids({ text: 'd%k' })).toEqual([]);
      expect(await ids({ text: '100_' })).toEqual([]);
    });

    test('an error text is looked for in messages alone; one of several statuses is enough; a count is that of the list', async () => {
      expect(await ids({ error: 'DISK 100%' })).toEqual([7]);
      expect(await ids({ error: '-1' })).toEqual([]);
      expect(await ids({ error: 'd%k' })).toEqual([]);
      expect(await ids({ statuses: ['parked', 'assigned'] })).toEqual([9, 7]);
      expect(await ids({ statuses: [] })).toEqual([]);
      const { model } = bed();
      for (const filter of [{ statuses: ['parked', 'assigned'] }, { type: 'even' }, { type: 'nobody' }]) {
        const found = await ids(filter);
        expect(await model.countTasks(filter)).toBe(found.length);
      }
    });

    test('a cursor keeps its place when newer tasks come', async () => {
      const { model, store } = bed();
      const cursor = await cursorAfter(5);
      const feed = new Feed(store, shard + 1);
      await feed.apply(feed.entry(20_000, [submitted(`t-${shard + 1}-new`, { type: 'new' })]));
      const page = await model.tasks({ createdBefore: 20_000 }, 3, cursor);
      expect(page === 'bad-cursor' ? page : page.rows.map((row: TaskRow) => Number(row.id.slice(-2)))).toEqual([
        14, 13, 12,
      ]);
    });

    test('a cursor that this list did not make is refused', async () => {
      const { model } = bed();
      const agents = await model.agents(1, undefined);
      const foreign = agents === 'bad-cursor' ? '' : (agents.next ?? '');
      const made = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
      const bad = [
        '',
        '!',
        'x'.repeat(3_000),
        foreign,
        made(null),
        made({}),
        made([]),
        made(['tasks']),
        made(['tasks', 1]),
        made(['tasks', '1', 't-1-a']),
        made(['tasks', 1, 2]),
        made(['tasks', -8e15, 't-1-a']),
        made(['tasks', null, 't-1-a']),
        made(['tasks', 1, 't-1-a', 3]),
        made(['other', 1, 't-1-a']),
        (await cursorAfter(5)).slice(0, -4),
      ];
      for (const cursor of bad) expect([cursor, await model.tasks({}, 5, cursor)]).toEqual([cursor, 'bad-cursor']);
      const tasks = await cursorAfter(5);
      for (const cursor of [...bad.filter((text) => text !== foreign), tasks]) {
        expect(await model.agents(5, cursor)).toBe('bad-cursor');
        expect(await model.history(`task/${id(1)}`, 5, cursor)).toBe('bad-cursor');
      }
      expect(await model.history(`task/${id(1)}`, 5, foreign)).toBe('bad-cursor');
    });

    test('agents by id, page by page', async () => {
      const { model } = bed();
      const all = await walk((cursor) => model.agents(3, cursor), 3);
      expect(all.map((row) => row.id).filter((name) => name.startsWith(`a-${shard}-`))).toEqual(
        ['a', 'b', 'c', 'd'].map((name) => `a-${shard}-${name}`),
      );
      expect(await model.agent('a-0-none')).toBeUndefined();
      expect(await model.task('t-0-none')).toBeUndefined();
    });

    test('counts by status, for all or for one tenant', async () => {
      const { model } = bed();
      expect(await model.counts('umbrella')).toMatchObject({ tasks: { queued: 6, parked: 1 } });
      expect(await model.counts('acme')).toMatchObject({ tasks: { queued: 6, assigned: 1 } });
      expect((await model.counts('nobody')).tasks).toEqual({});
      const { tasks, agents } = await model.counts();
      expect(tasks).toMatchObject({ parked: 1, assigned: 1 });
      expect(agents['REGISTERING']).toBe(4);
    });

    // Last: its tasks would stand in the lists of the others.
    test('what came to an end since a time is counted by type, the most first', async () => {
      const { model, store } = bed();
      const [other, since] = [shard + 90, 5_000_000];
      const feed = new Feed(store, other);
      const names = ['one', 'two', 'three', 'four'];
      const ended = (name: string) =>
        recordOf(`task/t-${other}-${name}`, 2, 'cancelled', { event: { type: 'cancel' } });
      const made = names.map((name, number) =>
        submitted(`t-${other}-${name}`, { type: number < 2 ? 'late' : 'mixed' }),
      );
      await feed.apply(feed.entry(since - 1_000, made));
      await feed.apply(feed.entry(since - 1, [ended('four')]));
      await feed.apply(feed.entry(since, [ended('one'), ended('two'), ended('three')]));
      const counted = [
        { type: 'late', count: 2 },
        { type: 'mixed', count: 1 },
      ];
      expect(await model.finished(since, 10)).toEqual(counted);
      expect(await model.finished(since, 1)).toEqual(counted.slice(0, 1));
      expect(await model.finished(since + 1, 10)).toEqual([]);
    });
  });
}
