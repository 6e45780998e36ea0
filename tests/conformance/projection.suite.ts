/** What a projection store and its read model promise: each record once, and the lists that follow from them. */
import { digestOf } from '../../runtime/protocol/redaction.ts';
import { beforeEach, describe, expect, test } from 'vitest';
import { walk } from './lists.suite.ts';
import { Feed, recordOf, submitted, type ProjectionBed } from './projectionbed.ts';

export function projectionSuite(bed: () => ProjectionBed): void {
  let shard = 0;
  let feed: Feed;
  beforeEach(() => {
    feed = new Feed(bed().store, ++shard);
  });

  describe('applying', () => {
    test('rows and watermark go forward together; what is applied again is refused with the present place', async () => {
      const { store, model } = bed();
      expect(await store.watermark(shard)).toBe('0-0');
      expect(await store.apply(shard, '0-0', [])).toEqual({ applied: 0, quarantined: 0 });
      const first = feed.entry(1_000, [submitted(`t-${shard}-a`), submitted(`t-${shard}-b`)]);
      expect(await feed.apply(first)).toEqual({ applied: 2, quarantined: 0 });
      expect(await store.watermark(shard)).toBe(first.position);
      expect(await store.apply(shard, '0-0', [first])).toEqual({ conflict: first.position });
      const empty = feed.entry(2_000, []);
      expect(await feed.apply(empty)).toEqual({ applied: 0, quarantined: 0 });
      expect((await model.watermarks())[String(shard)]).toBe(empty.position);
      expect(await model.history(`task/t-${shard}-a`, 10, undefined)).toMatchObject({ rows: [{ revision: 1 }] });
    });

    test('of several that apply the same entries at once, one does', async () => {
      const { store, model } = bed();
      const task = `t-${shard}-a`;
      const first = feed.entry(1_000, [submitted(task)]);
      const second = feed.entry(2_000, [recordOf(`task/${task}`, 2, 'cancelled', { event: { type: 'cancel' } })]);
      // With the first entry there is no watermark yet, with the second there is.
      for (const [from, entry] of [
        ['0-0', first],
        [first.position, second],
      ] as const) {
        const outcomes = await Promise.all([1, 2, 3, 4].map(() => store.apply(shard, from, [entry])));
        expect(outcomes.filter((outcome) => !('conflict' in outcome))).toEqual([{ applied: 1, quarantined: 0 }]);
        expect(outcomes.filter((outcome) => 'conflict' in outcome)).toEqual(
          [1, 2, 3].map(() => ({ conflict: entry.position })),
        );
      }
      expect(await model.history(`task/${task}`, 10, undefined)).toMatchObject({ rows: [{}, {}], next: undefined });
    });

    test('rows of one batch that change different columns keep the others as they were', async () => {
      const { model } = bed();
      const [a, b] = [`t-${shard}-a`, `t-${shard}-b`];
      await feed.apply(feed.entry(1_000, [submitted(a, { tenant: 'acme' }), submitted(b)]));
      const assigned = (task: string, agent: string) =>
        recordOf(`task/${task}`, 2, { open: { held: 'assigned' } }, { event: { type: 'assign', agent, attempt: 1 } });
      const told = (task: string, revision: number, progress: number) =>
        recordOf(`task/${task}`, revision, { open: { held: 'running' } }, { event: { type: 'progress', progress } });
      await feed.apply(feed.entry(2_000, [assigned(a, 'a-0-x'), assigned(b, 'a-0-y')]));
      await feed.apply(feed.entry(2_500, [told(a, 3, 0.25), told(b, 3, 0.25)]));
      await feed.apply(
        feed.entry(3_000, [
          told(a, 4, 0.5),
          recordOf(`task/${b}`, 4, 'succeeded', { event: { type: 'complete', result: { b: 1 } } }),
        ]),
      );
      await feed.apply(
        feed.entry(4_000, [recordOf(`task/${a}`, 5, 'parked', { event: { type: 'fail', error: { message: 'm' } } })]),
      );
      expect(await model.task(a)).toMatchObject({
        ...{ status: 'parked', tenant: 'acme', agent: 'a-0-x', progress: null, error: { message: 'm' } },
        ...{ result: null, finishedAt: null, attempt: 1, updatedAt: 4_000 },
      });
      expect(await model.task(b)).toMatchObject({
        ...{ status: 'succeeded', tenant: null, agent: 'a-0-y', progress: null, error: null },
        ...{ result: { b: 1 }, finishedAt: 3_000, attempt: 1, updatedAt: 3_000 },
      });
    });

    test('many records of one actor in one batch give the row that they give one by one', async () => {
      const { model } = bed();
      const life = (task: string) => [
        submitted(task, { priority: 3 }),
        recordOf(
          `task/${task}`,
          2,
          { open: { held: 'assigned' } },
          { event: { type: 'assign', agent: 'a-0-x', token: 's', attempt: 1 } },
        ),
        recordOf(
          `task/${task}`,
          3,
          { open: { held: 'running' } },
          { event: { type: 'start', token: 's', agent: 'a-0-x' } },
        ),
        recordOf(
          `task/${task}`,
          4,
          { open: 'retrying' },
          { event: { type: 'fail', token: 's', agent: 'a-0-x', error: { message: 'no' } } },
        ),
        recordOf(
          `task/${task}`,
          5,
          { open: { held: 'assigned' } },
          { event: { type: 'assign', agent: 'a-0-y', token: 't', attempt: 2 } },
        ),
        recordOf(`task/${task}`, 6, 'succeeded', {
          event: { type: 'complete', token: 't', agent: 'a-0-y', result: { ok: true } },
        }),
      ];
      const [whole, single, pairs] = ['w', 's', 'p'].map((name) => `t-${shard}-${name}`);
      await feed.apply(...life(whole!).map((record, index) => feed.entry(1_000 + index, [record])));
      for (const [index, record] of life(single!).entries()) await feed.apply(feed.entry(1_000 + index, [record]));
      const halves = life(pairs!).map((record, index) => feed.entry(1_000 + index, [record]));
      await feed.apply(...halves.slice(0, 3));
      await feed.apply(...halves.slice(3));
      const row = await model.task(whole!);
      expect(row).toEqual({
        id: whole,
        type: 'echo',
        tenant: null,
        status: 'succeeded',
        priority: 3,
        parameters: { a: 1 },
        result: { ok: true },
        error: { message: 'no' },
        reason: 'failed',
        agent: 'a-0-y',
        attempt: 2,
        progress: null,
        createdAt: 1_000,
        startedAt: 1_002,
        finishedAt: 1_005,
        updatedAt: 1_005,
        revision: 6,
      });
      expect(await model.task(single!)).toEqual({ ...row, id: single });
      expect(await model.task(pairs!)).toEqual({ ...row, id: pairs });
    });

    test('R6 refused and repeated envelopes stand in the history with their reason, and change no row', async () => {
      const { model } = bed();
      const task = `t-${shard}-a`;
      await feed.apply(
        feed.entry(1_000, [
          submitted(task),
          recordOf(
            `task/${task}`,
            1,
            { open: 'queued' },
            {
              event: { type: 'complete', token: 'old', result: 1 },
              outcome: 'refused',
              reason: 'stale-token',
              origin: 'report',
              by: 'a-0-x',
            },
          ),
          recordOf(`task/${task}`, 1, { open: 'queued' }, { input: { type: 'other' }, outcome: 'duplicate' }),
          recordOf(
            `task/${task}`,
            1,
            { open: 'queued' },
            { event: { type: 'retire' }, outcome: 'retired', origin: 'timer' },
          ),
        ]),
      );
      expect(await model.task(task)).toMatchObject({ type: 'echo', status: 'queued', result: null, revision: 1 });
      const history = await model.history(`task/${task}`, 10, undefined);
      expect(history).toMatchObject({
        rows: [
          {
            outcome: 'applied',
            event: 'create',
            state: 'open.queued',
            origin: 'command',
            reason: null,
            by: null,
            at: 1_000,
          },
          {
            outcome: 'refused',
            event: 'complete',
            reason: 'stale-token',
            origin: 'report',
            by: 'a-0-x',
            payload: { token: digestOf('old') },
          },
          { outcome: 'duplicate', event: 'create', payload: { type: 'other' } },
          { outcome: 'retired', event: 'retire' },
        ],
      });
      expect(history).toMatchObject({ rows: [{ position: `${shard}.1.1.0` }, {}, {}, { position: `${shard}.1.1.3` }] });
    });

    test('actors without a projection keep their last state', async () => {
      const { others, model } = bed();
      const fleet = `fleet/f-${shard}-echo` as const;
      await feed.apply(
        feed.entry(1_000, [recordOf(fleet, 1, 'open', { input: {} }), recordOf(fleet, 2, { busy: 'full' })]),
        feed.entry(2_000, [recordOf(`fleet/f-${shard}-two`, 1, 'open', { input: {} })]),
      );
      await feed.apply(feed.entry(3_000, [recordOf(`fleet/f-${shard}-two`, 2, 'closed')]));
      const states = await others();
      expect([states.get(fleet), states.get(`fleet/f-${shard}-two`)]).toEqual(['busy.full', 'closed']);
      expect(await model.history(fleet, 10, undefined)).toMatchObject({ rows: [{ revision: 1 }, { revision: 2 }] });
    });
  });

  describe('history', () => {
    test('is in the order of epoch, sequence and place in the commit, page by page', async () => {
      const { model } = bed();
      const task = `t-${shard}-a`;
      const told = (revision: number) =>
        recordOf(
          `task/${task}`,
          revision,
          { open: { held: 'running' } },
          { event: { type: 'progress', note: `n${revision}` } },
        );
      await feed.apply(feed.entry(1_000, [submitted(task), told(2), told(3)]), feed.entry(1_000, [told(4)]));
      // Ten stands after nine, and a clock that went back changes nothing.
      feed.epoch = 9;
      await feed.apply(feed.entry(900, [told(5)]));
      feed.epoch = 10;
      await feed.apply(...[6, 7, 8, 9, 10, 11].map((revision) => feed.entry(500, [told(revision)])));
      const seen = await walk((cursor) => model.history(`task/${task}`, 2, cursor), 2);
      expect(seen.map(({ revision }) => revision)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
      expect(await model.history(`task/t-${shard}-none`, 10, undefined)).toEqual({ rows: [], next: undefined });
    });

    test('keeps what was said, without tokens and without what stands in the row', async () => {
      const { model } = bed();
      const task = `t-${shard}-a`;
      const event = { type: 'complete', token: 'secret', agent: 'a-0-x', result: { large: true }, parameters: {} };
      await feed.apply(
        feed.entry(1_000, [submitted(task, { tenant: 'acme' }), recordOf(`task/${task}`, 2, 'succeeded', { event })]),
      );
      const history = await model.history(`task/${task}`, 10, undefined);
      expect(history).toMatchObject({
        rows: [{ payload: { tenant: 'acme' } }, { event: 'complete', payload: { agent: 'a-0-x' } }],
      });
      expect(JSON.stringify(history)).not.toMatch(/secret|large/);
    });
  });
}
