/** Partial results: numbered, bounded, of the attempt under way alone. */
import { describe, expect, test } from 'vitest';
import { isRepeated, mayStream, streamed } from '../../actors/task/chunks.ts';
import { taskDefaults } from '../../actors/task/attempt.ts';
import { limits } from '../../config/limits.ts';
import { DispatchBed } from '../support/dispatchbed.ts';
import { reportEntry } from '../support/decisions.ts';

function begun(): {
  bed: DispatchBed;
  id: string;
  agent: string;
  chunk: (number: number, more?: object) => string | undefined;
} {
  const bed = new DispatchBed();
  const agent = bed.agent('x');
  const id = bed.submit({ timeouts: { heartbeat_ms: 60_000 } });
  const { token = '' } = bed.task(id);
  bed.settle([reportEntry(agent, { kind: 'started', task: id, token })]);
  let asked = 0;
  return {
    bed,
    id,
    agent,
    /** @returns why it was refused, or undefined */
    chunk: (number, more = {}) => {
      const fields = { kind: 'chunk', task: id, token, attempt: '1', number: String(number), chunk: `"${++asked}"` };
      const decided = bed.bench.run([reportEntry(agent, { ...fields, ...more })], bed.now);
      const [message] = decided.commit.posts.get(agent) ?? [];
      return message?.['reason'];
    },
  };
}

test('the next one is taken, one that was taken before is passed over, a gap is refused', () => {
  const { bed, id, chunk } = begun();
  expect([chunk(1), chunk(2), chunk(1), chunk(2), chunk(4), chunk(3)]).toEqual([
    ...[undefined, undefined, undefined, undefined],
    'chunk-gap',
    undefined,
  ]);
  expect(bed.task(id).chunks).toEqual({ count: 3, bytes: 9 });
});

test('of another token or attempt nothing is taken, and after the end neither (R4)', () => {
  const { bed, id, chunk } = begun();
  expect(chunk(1, { token: 'other' })).toBe('stale-token');
  expect(chunk(1, { attempt: '2' })).toBe('stale-attempt');
  expect(bed.task(id).chunks).toBeUndefined();
  bed.complete(id);
  expect(chunk(1)).toBe('stale-token');
});

test('one without a start is the start, and a cancel lets those pass that are on their way', () => {
  const bed = new DispatchBed();
  const agent = bed.agent('x');
  const id = bed.submit();
  const { token = '' } = bed.task(id);
  const entry = (number: number) =>
    reportEntry(agent, { kind: 'chunk', task: id, token, attempt: '1', number: String(number), chunk: '1' });
  bed.settle([entry(1)]);
  expect([bed.status(id), bed.task(id).startedAt]).toEqual(['running', bed.now]);
  bed.tell(`task/${id}`, { type: 'cancel' });
  bed.settle([entry(2)]);
  expect([bed.status(id), bed.task(id).chunks?.count]).toEqual(['cancelling', 2]);
});

test('the next attempt begins with number 1', () => {
  const { bed, id, agent, chunk } = begun();
  chunk(1);
  bed.end(id, 'failed');
  expect(bed.task(id).chunks?.count).toBe(1);
  bed.pass(2_000);
  const { token = '', attempt } = bed.task(id);
  const entry = { kind: 'chunk', task: id, token, attempt: String(attempt), number: '1', chunk: 'null' };
  bed.settle([reportEntry(agent, entry)]);
  expect([attempt, bed.task(id).chunks]).toEqual([2, { count: 1, bytes: 4 }]);
});

test('it is a sign of life of a watched attempt', () => {
  const { bed, id, chunk } = begun();
  for (let number = 1; number <= 4; number++) {
    bed.pass(40_000);
    expect(chunk(number)).toBeUndefined();
  }
  expect(bed.status(id)).toBe('running');
});

describe('limits, on both sides', () => {
  const at = (count: number, bytes: number) => ({ attempt: 1, chunks: { count, bytes } });
  const next = (number: number, chunk: unknown = 1) => ({ attempt: 1, number, chunk });

  test('of the number and of all bytes of an attempt', () => {
    const { chunksPerAttemptMax: most, chunkBytesPerAttemptMax: bytes } = limits;
    expect(mayStream(at(most - 1, 0), next(most))).toBe(true);
    expect(mayStream(at(most, 0), next(most + 1))).toBe(false);
    expect(mayStream(at(1, bytes - 1), next(2))).toBe(true);
    expect(mayStream(at(1, bytes), next(2))).toBe(false);
    expect(streamed(at(1, 10), next(2, 'ü'))).toEqual({ count: 2, bytes: 14 });
  });

  test('of one chunk, as JSON', () => {
    const { chunk } = begun();
    const text = (length: number) => ({ chunk: JSON.stringify('x'.repeat(length)) });
    expect(chunk(1, text(limits.chunkBytesMax - 1))).toBe('invalid-event');
    expect(chunk(1, text(limits.chunkBytesMax - 2))).toBeUndefined();
    expect(chunk(2, { chunk: '{' })).toBe('not-json');
    expect(chunk(2, { number: '0' })).toBe('invalid-event');
  });

  test('a repeat is one of the same attempt only', () => {
    const context = { attempt: 2, token: 't', chunks: { count: 3, bytes: 3 } } as never;
    const event = (more: object) => ({ type: 'chunk', token: 't', attempt: 2, number: 3, ...more });
    expect(isRepeated(context, event({}))).toBe(true);
    for (const other of [{ number: 4 }, { number: 0 }, { attempt: 1 }, { token: 'u' }, { type: 'progress' }])
      expect(isRepeated(context, event(other))).toBe(false);
  });
});

test('a task that is given back again and again is parked in the end, and a redrive counts anew', () => {
  const bed = new DispatchBed();
  bed.agent('x');
  const id = bed.submit();
  for (let time = 1; time < taskDefaults.releasesMax; time++) bed.end(id, 'released');
  expect([bed.status(id), bed.task(id).failures]).toEqual(['assigned', 0]);
  bed.end(id, 'released');
  expect([bed.status(id), bed.task(id).reason]).toEqual(['parked', 'released']);
  bed.tell(`task/${id}`, { type: 'redrive' });
  expect([bed.status(id), bed.task(id).releases]).toEqual(['assigned', undefined]);
});
