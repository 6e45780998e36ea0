/** Lists of schedules: what is there, by tenant, type and status, page by page; a removed name that is taken again. */
import { beforeAll, describe, expect, test } from 'vitest';
import type { ScheduleFilter } from '../../runtime/readmodel.ts';
import { walk } from './lists.suite.ts';
import { Feed, recordOf, type ProjectionBed } from './projectionbed.ts';

const shard = 220;
const id = (name: string) => `s-${shard}-${name}`;

export function schedulesSuite(bed: () => ProjectionBed): void {
  describe('schedules', () => {
    const made = (name: string, more: object = {}) =>
      recordOf(`schedule/${id(name)}`, 1, 'registering', {
        input: { name, cron: '0 * * * *', task: { type: 'report' }, ...more },
      });
    const told = (name: string, revision: number, state: string, type: string, more: object = {}) =>
      recordOf(`schedule/${id(name)}`, revision, state, { event: { type, ...more } });
    const names = async (filter: ScheduleFilter) => {
      const page = await bed().model.schedules(filter, 100, undefined);
      return page === 'bad-cursor' ? page : page.rows.map(({ name }) => name);
    };

    beforeAll(async () => {
      const feed = new Feed(bed().store, shard);
      await feed.apply(
        feed.entry(1_000, [
          ...['a', 'b', 'c', 'd'].map((name) => made(name)),
          made('e', { tenant: 'acme', task: { type: 'other' }, cron: undefined, interval_ms: 31_536_000_000 }),
          ...['a', 'b', 'c', 'd', 'e'].map((name) => told(name, 2, 'active', 'admitted')),
          told('b', 3, 'paused', 'pause'),
          told('c', 3, 'removed', 'remove'),
        ]),
        feed.entry(2_000, [
          told('d', 3, 'active', 'update', {
            interval_ms: 5_000,
            timezone: 'Europe/Berlin',
            task: { type: 'changed' },
          }),
        ]),
      );
    });

    test('filters; what is gone is listed when asked for', async () => {
      expect(await names({})).toEqual(['a', 'b', 'd', 'e']);
      expect(await names({ status: 'paused' })).toEqual(['b']);
      expect(await names({ status: 'removed' })).toEqual(['c']);
      expect(await names({ tenant: 'acme' })).toEqual(['e']);
      expect(await names({ type: 'report' })).toEqual(['a', 'b']);
      expect(await names({ type: 'other', tenant: 'nobody' })).toEqual([]);
    });

    test('a row, and what an update changes and clears of it', async () => {
      const page = await bed().model.schedules({}, 100, undefined);
      if (page === 'bad-cursor') throw new Error(page);
      expect(page.rows.find(({ name }) => name === 'e')).toMatchObject({
        ...{ id: id('e'), tenant: 'acme', type: 'other', status: 'active', cron: null, intervalMs: 31_536_000_000 },
        ...{ timezone: 'UTC', overlap: 'skip', createdAt: 1_000, updatedAt: 1_000, revision: 2 },
      });
      expect(page.rows.find(({ name }) => name === 'd')).toMatchObject({
        ...{ type: 'changed', cron: null, intervalMs: 5_000, timezone: 'Europe/Berlin' },
        ...{ createdAt: 1_000, updatedAt: 2_000, revision: 3 },
      });
    });

    test('page by page, and a cursor of another list is refused', async () => {
      const { model } = bed();
      for (const limit of [1, 2, 4, 10]) {
        const all = await walk((cursor) => model.schedules({}, limit, cursor), limit);
        expect(all.map(({ name }) => name)).toEqual(['a', 'b', 'd', 'e']);
      }
      const foreign = Buffer.from(JSON.stringify(['agents', 0, 'a-0-x'])).toString('base64url');
      expect(await model.schedules({}, 5, foreign)).toBe('bad-cursor');
      expect(await model.schedules({}, 5, '!')).toBe('bad-cursor');
    });

    test('a removed name that is taken again begins anew', async () => {
      const feed = new Feed(bed().store, shard + 1);
      const again = (revision: number, state: string, rest: object) =>
        recordOf(`schedule/s-${shard + 1}-again`, revision, state, rest);
      const input = { name: 'again', cron: '0 * * * *', task: { type: 'again' } };
      await feed.apply(
        feed.entry(3_000, [again(1, 'registering', { input: { ...input, tenant: 'old' } })]),
        feed.entry(4_000, [again(2, 'removed', { event: { type: 'remove' } })]),
        feed.entry(5_000, [again(1, 'registering', { input }), again(2, 'active', { event: { type: 'admitted' } })]),
      );
      const page = await bed().model.schedules({ type: 'again' }, 5, undefined);
      expect(page === 'bad-cursor' ? page : page.rows).toMatchObject([{ tenant: null, createdAt: 5_000, revision: 2 }]);
    });
  });
}
