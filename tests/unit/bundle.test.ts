/** Several messages in one inbox entry: how they are packed, who gets them so, and how the client takes them apart. */
import { describe, expect, test } from 'vitest';
import { limits } from '../../config/limits.ts';
import { Bundle } from '../../runtime/core/bundle.ts';
import type { Address } from '../../runtime/protocol/ids.ts';
import { parseEntry } from '../../scripts/agents/client/message.ts';
import { commandEntry, createBench, type Bench } from '../support/decisions.ts';

const packed = (messages: readonly { kind: string }[]): { kind: string }[][] => {
  const bundle = new Bundle();
  for (const message of messages) bundle.add(message);
  return bundle.texts().map((text) => JSON.parse(text) as { kind: string }[]);
};

describe('R12: an inbox entry of several messages is bounded', () => {
  const messages = (count: number, text = '') => Array.from({ length: count }, (_, n) => ({ kind: 'assign', n, text }));

  test('in their number', () => {
    const most = limits.batchEnvelopesMax;
    expect(packed([])).toEqual([]);
    expect(packed(messages(most))).toEqual([messages(most)]);
    expect(packed(messages(most + 1)).map((entry) => entry.length)).toEqual([most, 1]);
  });

  test('in its length, but a message that is longer goes alone', () => {
    const frame = JSON.stringify(messages(1)[0]).length;
    const half = messages(3, 'x'.repeat(limits.bundleLengthMax / 2 - frame));
    expect(packed(half).map((entry) => entry.length)).toEqual([2, 1]);
    const over = messages(2, 'x'.repeat(limits.bundleLengthMax / 2 - frame + 1));
    expect(packed(over).map((entry) => entry.length)).toEqual([1, 1]);
    const long = { kind: 'assign', text: 'x'.repeat(limits.bundleLengthMax) };
    expect(packed([...messages(1), long, ...messages(1)]).map((entry) => entry.length)).toEqual([1, 1, 1]);
  });
});

describe('assignments', () => {
  const to: Address = 'agent/a-0-one';
  const started = (batch: boolean | undefined): Bench => {
    const bench = createBench();
    bench.run([
      commandEntry({ to, input: { type: 'echo', slots: 2, max_agents: 9, ...(batch !== undefined && { batch }) } }),
    ]);
    bench.run([
      {
        source: 'commands',
        id: '2-0',
        fields: ['derived', JSON.stringify([{ id: 'x', to, origin: 'actor', event: { type: 'admitted' } }])],
      },
    ]);
    return bench;
  };
  const submits = ['t-0-x', 't-0-y'].map((id) =>
    commandEntry({ id, to: `task/${id}`, input: { type: 'echo', parameters: { text: id } } }),
  );

  test('share an entry where the agent asked for it, with values as JSON', () => {
    const { commit } = started(true).run(submits, 5_000);
    expect(commit.posts.size).toBe(0);
    expect(commit.bundleEpoch).toBe('11');
    const [text, ...more] = commit.bundles.get('a-0-one')!;
    expect(more).toEqual([]);
    const deadline = 5_000 + 3_600_000;
    expect(JSON.parse(text!)).toEqual(
      ['t-0-x', 't-0-y'].map((task, index) => ({
        ...{ kind: 'assign', task, type: 'echo', token: `token-${index + 1}` },
        ...{ attempt: 1, deadline, parameters: { text: task } },
      })),
    );
    const [assigned] = parseEntry(['epoch', commit.bundleEpoch, 'batch', text!]);
    expect(assigned).toEqual({
      ...{ kind: 'assign', task: 't-0-x', type: 'echo', token: 'token-1', attempt: 1 },
      ...{ parameters: { text: 't-0-x' }, deadlineMs: deadline, epoch: 11 },
    });
  });

  test.each([undefined, false])('come one by one to every other agent (batch: %s)', (batch) => {
    const { commit } = started(batch).run(submits);
    expect(commit.bundles.size).toBe(0);
    expect(commit.posts.get('a-0-one')).toMatchObject([
      { kind: 'assign', task: 't-0-x', parameters: '{"text":"t-0-x"}' },
      { kind: 'assign', task: 't-0-y' },
    ]);
  });
});

describe('the client', () => {
  test('says what in a batch is no message, and takes the rest', () => {
    const batch = JSON.stringify([1, { kind: 'assign' }, { kind: 'cancel', task: 't', token: 'k' }, { kind: 'other' }]);
    expect(parseEntry(['batch', batch])).toEqual([
      { kind: 'unreadable', problem: 'an item of the batch is no object' },
      { kind: 'unreadable', problem: 'an assignment without task, type or token' },
      { kind: 'cancel', task: 't', token: 'k' },
      { kind: 'unreadable', problem: "the kind 'other' is not known" },
    ]);
  });

  test.each(['', '{', '{}', '7'])('passes over a batch that is no array: %s', (batch) => {
    expect(parseEntry(['batch', batch])).toEqual([{ kind: 'unreadable', problem: 'the batch is no JSON array' }]);
  });
});
