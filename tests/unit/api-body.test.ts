/** Bodies are taken only where every JSON parser would read them alike. */
import * as fc from 'fast-check';
import * as z from 'zod';
import { describe, expect, test } from 'vitest';
import { parseStrict } from '../../api/body.ts';
import { Problem } from '../../api/problem.ts';
import { checked } from '../../api/request.ts';
import { submitSchema } from '../../actors/task/events.ts';
import { limits } from '../../config/limits.ts';

function problemOf(run: () => unknown): {
  code: string;
  where: string | undefined;
  detail: string;
  remedy: string | undefined;
} {
  try {
    run();
  } catch (error) {
    if (error instanceof Problem)
      return { code: error.code, where: error.details.where, detail: error.message, remedy: error.details.remedy };
    throw error;
  }
  throw new Error('it was taken');
}

const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
const members = (count: number): string => `{${Array.from({ length: count }, (_, n) => `"k${n}":${n}`).join(',')}}`;

describe('what is taken', () => {
  test.each([
    ['{}', {}],
    [' {"a" : [1, 2.5, -3e2, true, null, "ü"]} ', { a: [1, 2.5, -300, true, null, 'ü'] }],
    ['{"a":{"x":1},"b":{"x":2}}', { a: { x: 1 }, b: { x: 2 } }],
    ['{"constructor":{"prototype":{"x":1}}}', { constructor: { prototype: { x: 1 } } }],
    ['"a \\"quoted\\" {\\u007d, text"', 'a "quoted" {}, text'],
    ['{"a":"\\u202e\\u200b"}', { a: '\u202e\u200b' }],
    ['9007199254740991', 9007199254740991],
    ['9007199254740992', 9007199254740992],
    ['123456789012345680000', 123456789012345680000],
    ['1e20', 1e20],
    ['{"a":["x","x"],"x":"x"}', { a: ['x', 'x'], x: 'x' }],
  ])('%s', (text, value) => {
    expect(parseStrict(text)).toEqual(value);
  });

  test('whatever JSON.stringify makes of plain values, unchanged', () => {
    const plain = fc.jsonValue({ maxDepth: 6, noUnicodeString: false, stringUnit: 'grapheme' });
    fc.assert(
      fc.property(plain, (value) => {
        const text = JSON.stringify(value);
        if (/\\u0000|__proto__|\\ud[89a-f]/i.test(text)) return;
        expect(JSON.stringify(parseStrict(text))).toBe(text);
      }),
      { numRuns: 300 },
    );
  });

  test('nesting and width up to the limits, for each item of a bulk submit', () => {
    expect(() => parseStrict(nested(limits.jsonDepthMax))).not.toThrow();
    expect(() => parseStrict(members(limits.jsonKeysMax))).not.toThrow();
    expect(() => parseStrict(`[${members(15_000)},${members(15_000)}]`)).not.toThrow();
  });
});

describe('what is refused', () => {
  test.each([
    ['nothing', ''],
    ['white space', ' \n'],
    ['a half', '{"a":'],
    ['two values', '{} {}'],
    ['a trailing comma', '{"a":1,}'],
    ['single quotes', "{'a':1}"],
    ['a comment', '{} // x'],
    ['NaN', '{"a":NaN}'],
    ['a byte order mark', '\uFEFF{}'],
    ['duplicate members', '{"a":1,"a":1}'],
    ['duplicate members, one escaped', '{"a":1,"\\u0061":2}'],
    ['duplicate members inside', '{"p":{"q":[{"a":1,"b":2,"a":3}]}}'],
    ['1e400', '{"a":1e400}'],
    ['-1e400', '[-1e400]'],
    ['2^53+1', '{"a":9007199254740993}'],
    ['a long integer', '123456789012345678901234567890'],
    ['a 64-bit id', '1234567890123456789'],
    ['no number', '[1-2]'],
    ['nesting of 65', nested(65)],
    ['nesting of 5,000', nested(5_000)],
    ['nesting of 100,000', nested(100_000)],
    ['unclosed nesting of 100,000', '['.repeat(100_000)],
    ['objects 100 deep', '{"a":'.repeat(100) + '1' + '}'.repeat(100)],
    ['1,000,000 members', members(1_000_000)],
    ['one member too many', members(limits.jsonKeysMax + 1)],
  ])('%s', (_name, text) => {
    expect(problemOf(() => parseStrict(text)).code).toBe('invalid-json');
  });

  test.each([
    ['NUL', '{"a":{"b":"x\\u0000"}}', '/a/b'],
    ['NUL in a name', '{"x\\u0000":1}', '/'],
    ['a lone surrogate', '{"a":["\\ud800"]}', '/a/0'],
    ['a lone low surrogate', '"\\udc00x"', '/'],
    ['__proto__', '{"a":{"__proto__":{"x":1}}}', '/a'],
    ['NUL in an item of a bulk submit', '[{"a":1},{"a":"\\u0000"}]', '/1/a'],
    ['an array of 20,001', `{"a":[${Array(limits.jsonKeysMax).fill(0).join()}]}`, '/'],
    [
      '1,001 items',
      `[${Array(limits.batchEnvelopesMax + 1)
        .fill(0)
        .join()}]`,
      undefined,
    ],
  ])('%s', (_name, text, where) => {
    const problem = problemOf(() => parseStrict(text));
    expect([problem.code, problem.where]).toEqual(['invalid-request', where]);
  });

  test('without growing with the square: 8 MiB of anything within seconds', () => {
    const texts = [
      '"'.repeat(8_000_000),
      '\\'.repeat(8_000_000),
      '1'.repeat(8_000_000),
      '{"":'.repeat(2_000_000),
      '[1,'.repeat(2_600_000),
    ];
    texts.push(`"${'\\u0061'.repeat(1_300_000)}"`, ' '.repeat(8_000_000), `[${'"",'.repeat(2_600_000)}""]`);
    for (const text of texts) {
      const began = performance.now();
      try {
        parseStrict(text);
      } catch (error) {
        expect(error).toBeInstanceOf(Problem);
      }
      expect(performance.now() - began).toBeLessThan(5_000);
    }
  });
});

describe('checked', () => {
  const at = (body: unknown, where = '') => problemOf(() => checked(submitSchema, body, where));

  test.each([
    [{}, '/type'],
    [{ type: 5 }, '/type'],
    [{ type: ['a'] }, '/type'],
    [{ type: '{s0}' }, '/type'],
    [{ type: 'a:b' }, '/type'],
    [{ type: 'a*' }, '/type'],
    [{ type: 'x'.repeat(129) }, '/type'],
    [{ type: 'a', priority: 1.5 }, '/priority'],
    [{ type: 'a', priority: '1' }, '/priority'],
    [{ type: 'a', priority: 1e9 }, '/priority'],
    [{ type: 'a', tenant: '' }, '/tenant'],
    [{ type: 'a', retry: { max_attempts: 0 } }, '/retry/max_attempts'],
    [{ type: 'a', retry: { factor: -1 } }, '/retry/factor'],
    [{ type: 'a', timeouts: { heartbeat_ms: 0 } }, '/timeouts/heartbeat_ms'],
    [null, '/'],
    [[], '/'],
    ['text', '/'],
  ])('%j names %s', (body, where) => {
    const problem = at(body);
    expect([problem.code, problem.where]).toEqual(['invalid-request', where]);
  });

  test('an unknown member names itself and the nearest known one', () => {
    expect(at({ type: 'a', priorty: 1 }, '/3')).toMatchObject({
      where: '/3/priorty',
      remedy: 'did you mean "priority"?',
    });
    expect(at({ type: 'a', retry: { max_attempt: 1 } })).toMatchObject({
      where: '/retry/max_attempt',
      remedy: 'did you mean "max_attempts"?',
    });
    expect(at({ type: 'a', 'x/y~z': 1 })).toMatchObject({
      where: '/x~1y~0z',
      remedy: expect.stringMatching(/^known: type, parameters/) as string,
    });
    expect(problemOf(() => checked(z.strictObject({}), { a: 1 })).remedy).toBeUndefined();
  });

  test('parameters at the limit are taken, one byte more is too large', () => {
    const fit = 'x'.repeat(limits.payloadBytesMax - 2);
    expect(() => checked(submitSchema, { type: 'a', parameters: fit })).not.toThrow();
    expect(at({ type: 'a', parameters: `${fit}x` })).toMatchObject({ code: 'too-large', where: '/parameters' });
    const umlauts = 'ü'.repeat((limits.payloadBytesMax - 2) / 2);
    expect(() => checked(submitSchema, { type: 'a', parameters: umlauts })).not.toThrow();
    expect(at({ type: 'a', parameters: `${umlauts}ü` }).code).toBe('too-large');
  });
});
