import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { exceedsBytes, isObject, parseJson, storageProblem, textProblem } from '../../runtime/protocol/json.ts';

const bounds = { depthMax: 4, keysMax: 10 };
const wide = { depthMax: 1_000, keysMax: 1_000_000 };

describe('what cannot be stored is named with its place', () => {
  const cases: [what: string, value: unknown, sentence: RegExp][] = [
    ['NUL', { a: [{ b: 'x\u0000y' }] }, /^\/a\/0\/b contains a NUL character$/],
    ['NUL in a member name', { a: { 'b\u0000': 1 } }, /^a member name in \/a contains a NUL character$/],
    ['the first half of a pair', ['ok', '\ud83d'], /^\/1 contains a lone surrogate$/],
    ['the second half of a pair', 'x\ude00', /^the value contains a lone surrogate$/],
    ['halves in the wrong order', '\ude00\ud83d', /lone surrogate/],
    [
      'a member that sets a prototype',
      JSON.parse('{"a":{"__proto__":{"admin":true}}}'),
      /\/a has a member named __proto/,
    ],
    ['a number beyond JSON', { a: Number.POSITIVE_INFINITY }, /^\/a is not a finite number$/],
    ['NaN', [Number.NaN], /^\/0 is not a finite number$/],
    ['five levels', [[[[[1]]]]], /nested deeper than 4 levels/],
    ['eleven members', Array.from({ length: 11 }, () => 1), /more than 10 members/],
  ];
  test.each(cases)('%s', (_what, value, sentence) => {
    expect(storageProblem(value, bounds)).toMatch(sentence);
  });

  test('a long member name is cut in the sentence', () => {
    expect(storageProblem({ ['k'.repeat(5_000)]: '\u0000' }, bounds)!.length).toBeLessThan(100);
  });

  test('a hundred thousand levels do not break the stack', () => {
    const text = '['.repeat(100_000) + ']'.repeat(100_000);
    const parsed = parseJson(text);
    if (parsed.ok) expect(storageProblem(parsed.value, bounds)).toMatch(/nested deeper/);
    else expect(parsed.error).not.toBe('');
  });
});

describe('what can be stored', () => {
  test.each<unknown>([null, true, 0, -0.5, '', 'é 😀 \u{10ffff}', [], {}, { constructor: 1, toString: 2 }, [[[[1]]]]])(
    '%j',
    (value) => {
      expect(storageProblem(value, bounds)).toBeUndefined();
    },
  );

  test('every JSON value whose texts are well formed', () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: 'grapheme' }), (value) => {
        const text = JSON.stringify(value);
        fc.pre(!text.includes('\\u0000') && !text.includes('"__proto__"'));
        expect(storageProblem(JSON.parse(text), wide)).toBeUndefined();
      }),
    );
  });
});

describe('texts', () => {
  test('are fine exactly when they are well formed and without NUL', () => {
    const unit = fc.constantFrom('a', '\u0000', '\ud83d', '\ude00', '😀', 'é');
    fc.assert(
      fc.property(fc.array(unit, { maxLength: 8 }), (units) => {
        const text = units.join('');
        const wellFormed = Buffer.from(text, 'utf8').toString('utf8') === text;
        expect(textProblem(text) === undefined).toBe(wellFormed && !text.includes('\u0000'));
      }),
    );
  });

  test('their bytes are counted as UTF-8 counts them', () => {
    const text = fc.string({ unit: 'binary', maxLength: 40 });
    fc.assert(
      fc.property(text, fc.nat(130), (value, bytesMax) => {
        expect(exceedsBytes(value, bytesMax)).toBe(Buffer.byteLength(value, 'utf8') > bytesMax);
      }),
      { numRuns: 500 },
    );
  });
});

test('what is not JSON is an outcome with a sentence, never an exception', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const parsed = parseJson(text);
      if (parsed.ok) expect(JSON.stringify(parsed.value)).toBeDefined();
      else expect(parsed.error.length).toBeGreaterThan(0);
    }),
  );
  expect(parseJson('{"a":1}')).toEqual({ ok: true, value: { a: 1 } });
});

test('lists and null are no objects', () => {
  expect([{}, { a: 1 }].every(isObject)).toBe(true);
  expect([null, [], 'x', 1, undefined].some(isObject)).toBe(false);
});
