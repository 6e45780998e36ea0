/** What stands on a command stream is untrusted: every entry becomes envelopes, or a problem with a reason (R10). */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { application } from '../../actors/application.ts';
import { limits } from '../../config/limits.ts';
import type { Entry, SetAside } from '../../runtime/core/decision.ts';
import { asPoison, fieldsOf, intake, restoreSetAside } from '../../runtime/core/intake.ts';

const entry = (...fields: string[]): Entry => ({ source: 'commands', id: '5-0', fields });
const taken = (...fields: string[]): ReturnType<typeof intake> => intake(entry(...fields), application);
const json = (value: unknown): string => JSON.stringify(value);

const cancel = { id: 'c1', to: 'task/t-0-1', event: { type: 'cancel' } };
const create = { id: 'c2', to: 'task/t-0-2', input: { type: 'echo' }, by: 'someone', traceparent: '00-a-b-01' };
const derived = { id: '0.1.2.3', to: 'agent/a-0-x', origin: 'actor', event: { type: 'release', tasks: ['t-0-1'] } };

describe('what is understood', () => {
  test('one command, whose origin only the shard states', () => {
    expect(taken('command', json(cancel)).envelopes).toEqual([{ ...cancel, origin: 'command' }]);
    expect(taken('command', json(create)).envelopes).toEqual([{ ...create, origin: 'command' }]);
  });

  test('many commands, in order', () => {
    expect(taken('batch', json([cancel, create])).envelopes.map(({ id }) => id)).toEqual(['c1', 'c2']);
  });

  test('what the shard put off', () => {
    expect(taken('derived', json([derived])).envelopes).toEqual([derived]);
  });

  test('what another shard sent: its origin is the relay, whatever it says', () => {
    const one = taken('relayed', json(derived), 'source', '3', 'number', '17');
    expect(one.envelopes).toEqual([{ ...derived, origin: 'relay' }]);
    expect(one.relayed).toEqual({ source: 3, number: 17 });
  });

  test('a redrive', () => {
    expect(taken('redrive', json(['1-0', '2-5']))).toMatchObject({ envelopes: [], redrive: ['1-0', '2-5'] });
  });

  test('whoever wants an answer says so; a name that could leave its key does not count', () => {
    expect(taken('command', json(cancel), 'reply', 'api-1', 'request', 'r'.repeat(90)).reply).toEqual({
      recipient: 'api-1',
      request: 'r'.repeat(64),
    });
    for (const recipient of ['', 'a:b', 'a}b', 'x'.repeat(65), 'a b'])
      expect(taken('command', json(cancel), 'reply', recipient).reply).toBeUndefined();
  });

  test('a problem is answered too', () => {
    const one = taken('command', '{', 'reply', 'api-1', 'request', '9');
    expect(one).toMatchObject({ problem: { reason: 'not-json' }, reply: { recipient: 'api-1', request: '9' } });
  });
});

describe('R10: what is not understood has a reason', () => {
  const deep = (levels: number): unknown => (levels === 0 ? 0 : { a: deep(levels - 1) });
  const relay = (source: string, number: string): string[] => [
    'relayed',
    json(derived),
    'source',
    source,
    'number',
    number,
  ];
  const cases: [what: string, fields: string[], reason: string, detail: RegExp][] = [
    ['nothing', [], 'no-command', /has none/],
    ['other fields', ['x', '1', 'y', '2'], 'no-command', /has x, y/],
    ['a field without value', ['command'], 'no-command', /./],
    ['no JSON', ['command', '{"a"'], 'not-json', /^command: /],
    ['a list as a command', ['command', '[]'], 'bad-command', /./],
    ['null', ['command', 'null'], 'bad-command', /./],
    ['no id', ['command', json({ ...cancel, id: undefined })], 'bad-command', /^id: /],
    ['a long id', ['command', json({ ...cancel, id: 'x'.repeat(129) })], 'bad-command', /^id: /],
    ['no address', ['command', json({ ...cancel, to: 'task/1' })], 'bad-command', /^to: is no address/],
    ['an origin', ['command', json({ ...cancel, origin: 'dispatch' })], 'bad-command', /origin/],
    ['input and event', ['command', json({ ...cancel, input: {} })], 'bad-command', /exactly one/],
    ['neither', ['command', json({ id: '1', to: 'task/t-0-1' })], 'bad-command', /exactly one/],
    ['an event without type', ['command', json({ ...cancel, event: {} })], 'bad-command', /event\.type/],
    ['NUL', ['command', json({ ...cancel, event: { type: 'x', a: 'b\u0000' } })], 'bad-command', /\/event\/a .*NUL/],
    ['too deep', ['command', json({ ...create, input: deep(100) })], 'bad-command', /nested deeper than/],
    ['a prototype', ['command', '{"id":"1","to":"task/t-0-1","input":{"__proto__":{}}}'], 'bad-command', /__proto__/],
    ['an empty batch', ['batch', '[]'], 'bad-batch', /1 to 1000/],
    ['a batch of 1001', ['batch', json(Array.from({ length: 1_001 }, () => cancel))], 'bad-batch', /1 to 1000/],
    ['one bad item', ['batch', json([cancel, { id: 'x' }])], 'bad-command', /^item 1: to: /],
    ['derived, no list', ['derived', '{}'], 'bad-envelope', /./],
    ['derived, an unknown origin', ['derived', json([{ ...derived, origin: 'god' }])], 'bad-envelope', /./],
    ['derived, no event type', ['derived', json([{ ...derived, event: { type: 7 } }])], 'bad-envelope', /./],
    ['derived, both', ['derived', json([{ ...derived, input: {} }])], 'bad-envelope', /./],
    ['derived, by a number', ['derived', json([{ ...derived, by: 7 }])], 'bad-envelope', /./],
    ['derived, a bad address', ['derived', json([{ ...derived, to: 'x' }])], 'bad-envelope', /./],
    ['relayed without number', ['relayed', json(derived), 'source', '3'], 'bad-relay', /./],
    ['relayed without source', ['relayed', json(derived), 'number', '3'], 'bad-relay', /./],
    ['relayed by a shard that cannot be', relay(String(limits.shardsMax), '1'), 'bad-relay', /./],
    ['relayed with number 0', relay('1', '0'), 'bad-relay', /./],
    ['relayed with a broken number', relay('1', '1.5'), 'bad-relay', /./],
    ['relayed nonsense', ['relayed', '7', 'source', '3', 'number', '1'], 'bad-envelope', /./],
    ['redrive of no list', ['redrive', '"1-0"'], 'bad-redrive', /./],
    ['redrive of no ids', ['redrive', '["*"]'], 'bad-redrive', /./],
    ['redrive of too many', ['redrive', json(Array.from({ length: 1_001 }, () => '1-0'))], 'bad-redrive', /./],
  ];
  test.each(cases)('%s', (_what, fields, reason, detail) => {
    const one = taken(...fields);
    expect(one.envelopes).toEqual([]);
    expect(one.problem).toMatchObject({ reason });
    expect(one.problem!.detail).toMatch(detail);
    expect(one.problem!.detail.length).toBeLessThanOrEqual(limits.reasonLengthMax);
  });

  test('an entry larger than its limit is not even parsed', () => {
    const text = json({ ...create, input: { type: 'echo', parameters: 'x'.repeat(limits.entryBytesMax) } });
    expect(taken('command', text).problem).toMatchObject({ reason: 'too-large' });
  });

  test('a relayed entry that is broken keeps its number, so that its successors are not waited for', () => {
    expect(taken('relayed', '7', 'source', '3', 'number', '4').relayed).toEqual({ source: 3, number: 4 });
  });

  test('no entry makes the intake fail', () => {
    const name = fc.constantFrom('command', 'batch', 'derived', 'relayed', 'redrive', 'source', 'number', 'reply');
    const shape = fc.oneof(fc.string(), fc.json(), fc.constantFrom(json(cancel), json([derived]), '["1-0"]', '3'));
    fc.assert(
      fc.property(fc.array(fc.tuple(name, shape), { maxLength: 5 }), (fields) => {
        const one = taken(...fields.flat());
        if (one.problem) expect(one.envelopes).toEqual([]);
        for (const { to, event, input } of one.envelopes) {
          expect(to).toMatch(/^[A-Za-z][\w.-]*\/[a-z]+-\d+-/);
          expect((event === undefined) !== (input === undefined)).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('an entry that made its batch fail', () => {
  test('with several envelopes is taken apart', () => {
    const one = asPoison(taken('batch', json([cancel, create])), 'why');
    expect(one).toMatchObject({ apart: true });
    expect(one.envelopes).toHaveLength(2);
  });

  test('with a single one is set aside with the reason', () => {
    const one = asPoison(taken('command', json(cancel)), 'why');
    expect(one).toMatchObject({ envelopes: [], problem: { reason: 'not-storable', detail: 'why' } });
  });

  test('of another shard is kept such that a redrive takes it whatever was counted', () => {
    const one = asPoison(taken('relayed', json(derived), 'source', '3', 'number', '4'), 'why');
    const kept = intake(one.entry, application);
    expect(kept.relayed).toBeUndefined();
    expect(kept.envelopes).toEqual([{ ...derived, origin: 'relay' }]);
    expect(one.relayed).toEqual({ source: 3, number: 4 });
  });
});

test('what was set aside is restored as it stood', () => {
  const setAside: SetAside = { source: 'outbox:a-0-x', entry: '1-0', reason: '', detail: '', fields: '["kind","x"]' };
  expect(restoreSetAside(setAside, '9-0')).toEqual({ source: { outbox: 'a-0-x' }, id: '9-0', fields: ['kind', 'x'] });
  expect(restoreSetAside({ ...setAside, source: 'commands' }, '9-0').source).toBe('commands');
});

test('of a field that stands twice the last one counts; one without a value does not', () => {
  expect([...fieldsOf(entry('a', '1', 'b', '2', 'a', '3', 'c'))]).toEqual([
    ['a', '3'],
    ['b', '2'],
  ]);
});
