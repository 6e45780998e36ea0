import { describe, expect, test } from 'vitest';
import { taskStatus } from '../../actors/task/status.ts';
import { freeze } from '../../runtime/core/actor.ts';
import type { Decided } from '../../runtime/core/batch.ts';
import { admitted, commandEntry, createBench, reportEntry, type Bench } from '../support/decisions.ts';

const agent = 'a-0-one';
const task = 't-0-first';

function assigned(bench: Bench): { token: string; decided: Decided } {
  admitted(bench, agent, 'echo');
  const decided = bench.run([commandEntry({ to: `task/${task}`, input: { type: 'echo', parameters: { n: 1 } } })]);
  const [message] = decided.commit.posts.get(agent) ?? [];
  return { token: message?.['token'] ?? '', decided };
}

/** Everything of a commit as text; maps and sets are written out. */
function bytes(decided: Decided): string {
  return JSON.stringify(decided.commit, (_key, value: unknown) =>
    value instanceof Map || value instanceof Set ? [...(value as Iterable<unknown>)] : value,
  );
}

test('R2: the same entries on the same world give the same commit, byte for byte', () => {
  const history = (): string => {
    const bench = createBench();
    admitted(bench, agent, 'echo', 3);
    const entries = [1, 2, 3, 4].map((n) => ({
      ...commandEntry({ id: `c${n}`, to: `task/t-0-${n}`, input: { type: 'echo', priority: n % 2 } }),
      id: `${n}-0`,
    }));
    return bytes(bench.run(entries, 5_000));
  };
  expect(history()).toBe(history());
});

test('R3: messages, sends and timers stand in the commit and nowhere else', () => {
  const bench = createBench();
  const { decided } = assigned(bench);
  expect(decided.commit.posts.get(agent)).toEqual([
    expect.objectContaining({ kind: 'assign', task, attempt: '1', epoch: '11', parameters: '{"n":1}' }),
  ]);
  expect([...decided.commit.snapshots.keys()].sort()).toEqual([`agent/${agent}`, `task/${task}`]);
  expect(bench.alarms()).toContain(`task/${task} xstate.after.assigned.task.open.held.assigned`);
});

test('a submit is assigned in the same commit when an agent waits', () => {
  const bench = createBench();
  assigned(bench);
  expect(taskStatus(bench.world.actors.get(`task/${task}`)!.snapshot.value as never)).toBe('assigned');
});

describe('R4: every report about an attempt carries its token', () => {
  for (const kind of ['started', 'progress', 'completed', 'failed', 'released', 'cancelled'])
    test(`${kind} with another token changes nothing but is recorded`, () => {
      const bench = createBench();
      assigned(bench);
      const before = freeze(bench.world.actors.get(`task/${task}`)!);
      const report = { kind, task, token: 'stale', error: '{"message":"x"}', retryable: 'true', progress: '0.5' };
      const decided = bench.run([reportEntry(agent, report)], 1_500);
      expect(freeze(bench.world.actors.get(`task/${task}`)!)).toBe(before);
      expect(bench.records(decided)).toContainEqual(
        expect.objectContaining({ actor: `task/${task}`, outcome: 'refused' }),
      );
      expect(decided.commit.posts.get(agent)).toEqual([expect.objectContaining({ kind: 'refused', token: 'stale' })]);
    });

  test('the token of the attempt is taken', () => {
    const bench = createBench();
    const { token } = assigned(bench);
    bench.run([reportEntry(agent, { kind: 'completed', task, token, result: '{"ok":true}' })]);
    const done = bench.world.actors.get(`task/${task}`)!;
    expect(done.snapshot.status).toBe('done');
    expect(bench.world.actors.get(`agent/${agent}`)!.snapshot.context).toMatchObject({ holding: {} });
  });
});

describe('R6: duplicates and refusals are recorded outcomes', () => {
  test('a repeated submit is a duplicate, one with another fingerprint a conflict', () => {
    const bench = createBench();
    const to = `task/${task}` as const;
    bench.run([commandEntry({ to, input: { type: 'echo', fingerprint: 'f' } })]);
    const again = bench.run([commandEntry({ to, input: { type: 'echo', fingerprint: 'f' } })]);
    expect(bench.records(again)).toEqual([expect.objectContaining({ outcome: 'duplicate', revision: 1 })]);
    const other = bench.run([commandEntry({ to, input: { type: 'echo', fingerprint: 'g' } })]);
    expect(bench.records(other)).toEqual([expect.objectContaining({ outcome: 'refused', reason: 'conflict' })]);
  });

  test('a command that came before is known by its id', () => {
    const bench = createBench();
    const to = `agent/${agent}` as const;
    admitted(bench, agent, 'echo');
    bench.run([commandEntry({ id: 'pause-1', to, event: { type: 'pause' } })]);
    const again = bench.run([commandEntry({ id: 'pause-1', to, event: { type: 'pause' } })]);
    expect(bench.records(again)).toEqual([expect.objectContaining({ outcome: 'duplicate' })]);
  });

  test('a refusal names the events that are legal now', () => {
    const bench = createBench();
    admitted(bench, agent, 'echo');
    const entry = commandEntry({ to: `agent/${agent}`, event: { type: 'resume' } });
    const decided = bench.run([{ ...entry, fields: [...entry.fields, 'reply', 'me', 'request', '1'] }]);
    expect(decided.commit.replies).toEqual([
      {
        recipient: 'me',
        request: '1',
        outcomes: [expect.objectContaining({ outcome: 'refused', legal: ['drain', 'pause', 'retire'] })],
      },
    ]);
  });
});

describe('R10: what cannot be applied is set aside with its reason', () => {
  const cases: [string, string[], string][] = [
    ['no known field', ['a', 'b'], 'no-command'],
    ['not JSON', ['command', '{'], 'not-json'],
    ['no object', ['command', '7'], 'bad-command'],
    ['input and event', ['command', '{"id":"1","to":"task/t-0-1","input":{},"event":{"type":"x"}}'], 'bad-command'],
    ['a lone surrogate', ['command', '{"id":"1","to":"task/t-0-1","input":{"a":"\\ud800"}}'], 'bad-command'],
    ['an empty batch', ['batch', '[]'], 'bad-batch'],
    ['an unknown machine', ['command', '{"id":"1","to":"ghost/g-0-1","event":{"type":"x"}}'], 'unknown-definition'],
    ['another shard', ['command', '{"id":"1","to":"task/t-3-1","event":{"type":"cancel"}}'], 'foreign-shard'],
  ];
  for (const [what, fields, reason] of cases)
    test(`${what}: ${reason}`, () => {
      const bench = createBench();
      const decided = bench.run([{ source: 'commands', id: '7-0', fields }]);
      expect(decided.commit.setAside).toEqual([expect.objectContaining({ reason })]);
      expect(decided.commit.acks.get('commands')).toEqual(['7-0']);
      expect(decided.commit.snapshots.size).toBe(0);
    });
});
