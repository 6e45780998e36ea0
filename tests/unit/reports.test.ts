/** An outbox is written by anybody's program in any language: what it says becomes events, or a problem with a reason. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { answerRefusal, translateReport } from '../../actors/agent/reports.ts';
import { limits } from '../../config/limits.ts';
import type { Envelope, MachineEvent } from '../../runtime/protocol/envelope.ts';
import { parseAddress } from '../../runtime/protocol/ids.ts';

const agent = 'a-0-x';
const task = 't-0-1';

const translated = (fields: Record<string, string>): ReturnType<typeof translateReport> =>
  translateReport(agent, { source: { outbox: agent }, id: '7-0', fields: Object.entries(fields).flat() });

function envelopes(fields: Record<string, string>): Envelope[] {
  const outcome = translated(fields);
  const [problem] = outcome.problems;
  if (problem) throw new Error(`${problem.reason}: ${problem.detail}`);
  return outcome.envelopes;
}
const of = (fields: Record<string, string>): MachineEvent => envelopes({ task, token: 'tok', ...fields })[0]!.event!;
const attempt = { token: 'tok', agent };

describe('each kind becomes its event', () => {
  const cases: [fields: Record<string, string>, event: object][] = [
    [{ kind: 'started' }, { type: 'start', ...attempt }],
    [
      { kind: 'progress', progress: '0.25' },
      { type: 'progress', ...attempt, progress: 0.25 },
    ],
    [
      { kind: 'progress', note: '12' },
      { type: 'progress', ...attempt, note: '12' },
    ],
    [
      { kind: 'completed', result: '{"a":[1,null]}' },
      { type: 'complete', ...attempt, result: { a: [1, null] } },
    ],
    [
      { kind: 'completed', result: 'false' },
      { type: 'complete', ...attempt, result: false },
    ],
    [{ kind: 'completed' }, { type: 'complete', ...attempt, result: null }],
    [
      { kind: 'failed', error: '{"message":"no"}', retryable: 'false' },
      { type: 'fail', ...attempt, error: { message: 'no' }, retryable: false },
    ],
    [
      { kind: 'released', reason: 'going' },
      { type: 'release', ...attempt, reason: 'going' },
    ],
    [{ kind: 'cancelled' }, { type: 'cancelled', ...attempt }],
    // What a kind does not carry is not taken over.
    [
      { kind: 'started', result: '1', progress: '1', type: 'cancel' },
      { type: 'start', ...attempt },
    ],
  ];
  test.each(cases)('%o', (fields, event) => {
    expect(of(fields)).toEqual(event);
  });

  test('without a token it has an empty one, which is none', () => {
    expect(envelopes({ kind: 'started', task })[0]!.event).toMatchObject({ token: '' });
  });

  test('a heartbeat and a goodbye are about the agent itself', () => {
    const attempts = '[{"task":"t-0-1","token":"tok"}]';
    expect(envelopes({ kind: 'heartbeat', generation: '3', attempts })).toMatchObject([
      { to: `agent/${agent}`, event: { type: 'heartbeat', generation: 3, attempts: [{ task, token: 'tok' }] } },
    ]);
    expect(envelopes({ kind: 'goodbye', reason: 'update' })).toMatchObject([
      { to: `agent/${agent}`, event: { type: 'goodbye', reason: 'update' } },
    ]);
  });

  test('any report is a sign of life, once', () => {
    const types = (list: Envelope[]): string[] => list.map(({ event }) => event!.type);
    expect(types(envelopes({ kind: 'started', task, generation: '2' }))).toEqual(['start', 'seen']);
    const batch = JSON.stringify([
      { kind: 'started', task },
      { kind: 'progress', task },
    ]);
    expect(types(envelopes({ batch }))).toEqual(['start', 'progress', 'seen']);
    const beat = JSON.stringify([{ kind: 'started', task }, { kind: 'heartbeat' }]);
    expect(types(envelopes({ batch: beat }))).toEqual(['start', 'heartbeat']);
  });

  test('ids are of the entry and the place in it; who reports is the outbox', () => {
    const batch = JSON.stringify([
      { kind: 'started', task },
      { kind: 'completed', task, traceparent: '00-1-2-01' },
    ]);
    const list = envelopes({ batch });
    expect(list.map(({ id }) => id)).toEqual(['7-0.0', '7-0.1', '7-0.seen']);
    expect(list.every(({ by, origin }) => by === agent && origin === 'report')).toBe(true);
    expect(list[1]).toMatchObject({ traceparent: '00-1-2-01' });
  });

  test('a generation that is no number stays for the schema to refuse', () => {
    expect(Number.isNaN(envelopes({ kind: 'heartbeat', generation: 'two' })[0]!.event!['generation'])).toBe(true);
    expect(envelopes({ kind: 'heartbeat', generation: '' })[0]!.event).toEqual({ type: 'heartbeat' });
  });
});

describe('R10: hostile input has a reason', () => {
  const deep = '['.repeat(200) + ']'.repeat(200);
  const cases: [what: string, fields: Record<string, string>, problem: string][] = [
    ['nothing', {}, 'bad-report'],
    ['an unknown kind', { kind: 'explode', task }, 'unknown-kind'],
    ['a name of every object', { kind: 'constructor', task }, 'unknown-kind'],
    ['__proto__ as a kind', { kind: '__proto__', task }, 'unknown-kind'],
    ['an event that is no report', { kind: 'cancel', task }, 'unknown-kind'],
    ['no task', { kind: 'started' }, 'bad-report'],
    ['a task that is none', { kind: 'started', task: '../fleet/f-0-site' }, 'bad-report'],
    ['the report of another agent', { kind: 'started', task, agent: 'a-0-y' }, 'foreign-agent'],
    ['a result that is no JSON', { kind: 'completed', task, result: 'hello' }, 'not-json'],
    ['a result with NUL', { kind: 'completed', task, result: '"\\u0000"' }, 'bad-report'],
    ['a result with half a pair', { kind: 'completed', task, result: '"\\ud800"' }, 'bad-report'],
    ['a result that sets a prototype', { kind: 'completed', task, result: '{"__proto__":1}' }, 'bad-report'],
    ['a result too deep', { kind: 'completed', task, result: deep }, 'bad-report'],
    ['a note with NUL', { kind: 'progress', task, note: 'a\u0000b' }, 'bad-report'],
    ['a broken batch', { batch: '[' }, 'not-json'],
    ['a batch that is no list', { batch: '{"kind":"started"}' }, 'bad-batch'],
    ['a batch of numbers', { batch: '[1]' }, 'bad-report'],
    ['a batch too long', { batch: JSON.stringify(Array.from({ length: 1_001 }, () => ({}))) }, 'bad-batch'],
    ['a batch with one bad report', { batch: `[{"kind":"started","task":"${task}"},{"kind":7}]` }, 'bad-report'],
    ['a batch with NUL', { batch: `[{"kind":"progress","task":"${task}","note":"\\u0000"}]` }, 'bad-report'],
  ];
  test.each(cases)('%s', (_what, fields, problem) => {
    expect(translated(fields).problems).toMatchObject([{ reason: problem }]);
  });

  test('one bad report of a batch is set aside alone, as an entry that can be redriven, and the agent is told', () => {
    const bad = { kind: 'completed', task, token: 'tok', result: '\u0000' };
    const batch = [{ kind: 'started', task, token: 'tok' }, bad, 7, { kind: 'heartbeat' }];
    const { envelopes: taken, problems } = translated({ agent, generation: '3', batch: JSON.stringify(batch) });
    expect(taken.map(({ id, event }) => [id, event!.type])).toEqual([
      ['7-0.0', 'start'],
      ['7-0.3', 'heartbeat'],
    ]);
    expect(problems.map(({ reason, fields }) => [reason, fields])).toEqual([
      ['bad-report', ['agent', agent, 'generation', '3', 'batch', JSON.stringify([bad])]],
      ['bad-report', ['agent', agent, 'generation', '3', 'batch', '[7]']],
    ]);
    expect(problems[0]!.answer).toMatchObject([{ kind: 'post', mailbox: agent, message: { kind: 'refused' } }]);
  });

  test('the sentence does not quote pages', () => {
    const long = 'x'.repeat(100_000);
    for (const fields of [
      { kind: long, task },
      { kind: 'started', task, agent: long },
    ]) {
      const [problem] = translated(fields).problems;
      expect(problem!.detail.length).toBeLessThan(limits.reasonLengthMax);
    }
  });

  test('no entry makes the translation fail, and none speaks for another agent', () => {
    const names = ['kind', 'task', 'token', 'batch', 'agent', 'attempts', 'result', 'error', 'progress', 'generation'];
    const kinds = ['started', 'progress', 'completed', 'failed', 'heartbeat', 'goodbye', '__proto__'];
    const report = fc.record(
      {
        kind: fc.constantFrom<unknown>(...kinds, 7, null),
        task: fc.constantFrom<unknown>(task, 'a-0-y', 'f-0-site', {}, 'x/y'),
        agent: fc.constantFrom<unknown>('a-0-y', agent),
        token: fc.anything(),
        generation: fc.constantFrom<unknown>(1, '2', {}, null),
        traceparent: fc.constantFrom<unknown>('00', 7),
      },
      { requiredKeys: [] },
    );
    const text = fc.oneof(
      fc.constantFrom(...kinds, task, agent, ''),
      fc.string(),
      fc.json(),
      fc.array(report, { maxLength: 3 }).map((list) => JSON.stringify(list)),
    );
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names), text, { maxKeys: 6 }), (fields) => {
        const outcome = translated(fields);
        for (const { to, by, origin } of outcome.envelopes) {
          const parts = parseAddress(to);
          expect(parts?.definition === 'task' || parts?.id === agent).toBe(true);
          expect([by, origin]).toEqual([agent, 'report']);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('R6: an agent is told that its report was refused', () => {
  const envelope: Envelope = {
    ...{ id: '7-0.0', to: `task/${task}`, origin: 'report', by: agent },
    event: { type: 'complete', token: 'old', agent, result: 1 },
  };
  test('with the report, the task and its token', () => {
    expect(answerRefusal(envelope, 'stale-token', 'why')).toEqual([
      {
        kind: 'post',
        mailbox: agent,
        message: { kind: 'refused', report: 'completed', task, token: 'old', reason: 'stale-token', detail: 'why' },
      },
    ]);
  });

  test('but not about a mere sign of life, and not when nobody said it', () => {
    expect(answerRefusal({ ...envelope, event: { type: 'seen' } }, 'x', '')).toEqual([]);
    const { by: _by, ...nobody } = envelope;
    expect(answerRefusal(nobody, 'x', '')).toEqual([]);
  });

  test('a token that is no text is not repeated', () => {
    const odd = { ...envelope, event: { type: 'start', token: { a: 1 } } as MachineEvent };
    expect(answerRefusal(odd, 'invalid-event', '')).toMatchObject([{ message: { token: '' } }]);
  });
});
