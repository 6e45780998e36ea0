import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { durable, NotJson } from '../../runtime/core/context.ts';

const back = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe('R9: a context in memory has the members that its JSON gives back, in the same order', () => {
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom<unknown>(undefined, null, true, 0, 1.5, '', 'text'),
      fc.array(tie('any'), { maxLength: 4 }),
      fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), tie('any'), { noNullPrototype: true }),
    ),
  })).any;
  const context = fc.dictionary(fc.constantFrom('x', 'y', 'z'), value, { noNullPrototype: true });

  test('whatever is undefined in it, at any depth', () => {
    fc.assert(
      fc.property(context, (given) => {
        const kept = durable(given, {});
        expect(kept).toStrictEqual(back(given));
        expect(JSON.stringify(kept)).toBe(JSON.stringify(given));
        expect(durable(kept, {})).toBe(kept);
      }),
    );
  });

  test('a member that was looked at before is not looked at again', () => {
    const large = { deep: [new Date(0)] };
    const given = { large, count: 2 };
    expect(durable(given, { large, count: 1 })).toBe(given);
    expect(() => durable(given, {})).toThrow(NotJson);
  });

  test('a member that is taken away and set again comes last, as after a take-over', () => {
    const nested = { a: 1, b: 2 };
    const without = durable({ nested: { ...nested, a: undefined } }, { nested }) as { nested: typeof nested };
    expect(JSON.stringify({ ...without.nested, a: 3 })).toBe('{"b":2,"a":3}');
  });
});

class Money {
  amount = 1;
}

describe('what JSON cannot keep is refused with its place', () => {
  const circle: Record<string, unknown> = {};
  circle['self'] = circle;
  const cases: [string, unknown, RegExp][] = [
    ['a date', { list: [{ at: new Date(0) }] }, /a Date at list\.0\.at/],
    ['a map', { held: new Map() }, /a Map at held/],
    ['an instance', { price: { net: new Money() } }, /a Money at price\.net/],
    ['NaN', { a: { b: Number.NaN } }, /NaN at a\.b/],
    ['Infinity', { a: [1, Infinity] }, /Infinity at a\.1/],
    ['a function', { call: () => 1 }, /a function at call/],
    ['a bigint', { n: 1n }, /a bigint at n/],
    ['a symbol', { s: Symbol('s') }, /a symbol at s/],
    ['itself', circle, /more than 1000 levels at self\.self/],
  ];
  test.each(cases)('%s', (_name, context, sentence) => {
    expect(() => durable(context as Record<string, unknown>, {})).toThrow(sentence);
  });
});
