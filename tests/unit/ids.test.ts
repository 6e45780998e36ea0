import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  address,
  hash32,
  isId,
  isName,
  isUnique,
  makeId,
  parseAddress,
  shardOfId,
  shardOfLane,
  ulid,
} from '../../runtime/protocol/ids.ts';
import { keyspace } from '../../runtime/protocol/keys.ts';

const allowed = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._~-';
const unique = fc.string({ unit: fc.constantFrom(...allowed), minLength: 1, maxLength: 100 });
const shard = fc.integer({ min: 0, max: 9_999 });

describe('ids', () => {
  test('carry their shard there and back', () => {
    fc.assert(
      fc.property(fc.constantFrom('t', 'a', 'f', 'abcdefgh'), shard, unique, (prefix, number, rest) => {
        const id = makeId(prefix, number, rest);
        expect(isId(id)).toBe(true);
        expect(shardOfId(id)).toBe(number);
        expect(parseAddress(address('task', id))).toEqual({ definition: 'task', id, shard: number });
      }),
    );
  });

  test('never change the hash tag of a key that they are part of', () => {
    const space = keyspace('p:');
    fc.assert(
      fc.property(shard, fc.string({ maxLength: 20 }), (number, text) => {
        fc.pre(isId(text) || isUnique(text));
        const tag = /\{([^}]*)\}/.exec(space.inbox(number, text))?.[1];
        expect(tag).toBe(`s${number}`);
        expect(text).not.toMatch(/[{}:*\s]/);
      }),
    );
  });

  const wrong: [what: string, id: string][] = [
    ['empty', ''],
    ['no shard', 't-x'],
    ['a shard with a leading zero', 't-01-x'],
    ['a shard of five digits', 't-10000-x'],
    ['a negative shard', 't--1-x'],
    ['no unique part', 't-3-'],
    ['no prefix', '-3-x'],
    ['a prefix in capitals', 'T-3-x'],
    ['a long prefix', 'abcdefghi-3-x'],
    ['a brace', 't-3-{s9}'],
    ['a colon', 't-3-a:b'],
    ['a slash', 't-3-a/b'],
    ['a space', 't-3-a b'],
    ['a line end', 't-3-a\n'],
    ['a letter beyond ASCII', 't-3-é'],
    ['a unique part of 101 characters', `t-3-${'x'.repeat(101)}`],
  ];
  test.each(wrong)('%s is none', (_what, id) => {
    expect(isId(id)).toBe(false);
    expect(shardOfId(id)).toBeUndefined();
    expect(parseAddress(`task/${id}`)).toBeUndefined();
  });
});

describe('addresses', () => {
  test.each(['', '/', 'task', 'task/', '/t-3-x', '9/t-3-x', 'ta sk/t-3-x', 'task/t-3-x/y', '../t-3-x'])(
    '"%s" is none',
    (text) => {
      expect(parseAddress(text)).toBeUndefined();
    },
  );

  test('no text makes the parser fail', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const parts = parseAddress(text);
        if (parts) expect(address(parts.definition, parts.id)).toBe(text);
      }),
    );
  });
});

test('names begin with a letter and have at most 128 characters', () => {
  for (const name of ['a', 'Z9', 'text_processing', 'a.b-c_d', `a${'1'.repeat(127)}`]) expect(isName(name)).toBe(true);
  for (const name of ['', '9a', '_a', 'a b', 'a/b', 'a{', 'a\n', 'ä', `a${'1'.repeat(128)}`])
    expect(isName(name)).toBe(false);
});

describe('hash', () => {
  test('is FNV-1a with its published values: ids that are stored depend on it', () => {
    expect(hash32('')).toBe(0x811c9dc5);
    expect(hash32('a')).toBe(0xe40c292c);
    expect(hash32('foobar')).toBe(0xbf9cf968);
  });

  test('lanes are inside of the site, always the same, and spread', () => {
    expect(shardOfLane('text_processing', 0, 16)).toBe(11);
    const shards = new Set(Array.from({ length: 200 }, (_, lane) => shardOfLane('echo', lane, 16)));
    expect(shards.size).toBe(16);
    fc.assert(
      fc.property(fc.string(), fc.nat(100), fc.integer({ min: 1, max: 1_024 }), (type, lane, shards) => {
        const number = shardOfLane(type, lane, shards);
        expect(number >= 0 && number < shards && Number.isInteger(number)).toBe(true);
      }),
    );
  });
});

describe('ULIDs', () => {
  const chance = fc.uint8Array({ minLength: 16, maxLength: 16 });

  test('have 26 characters that may stand in an id', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 47), chance, (nowMs, random) => {
        const made = ulid(nowMs, random);
        expect(made).toMatch(/^[0-9A-HJKMNP-TV-Z]{26}$/);
        expect(isUnique(made)).toBe(true);
      }),
    );
  });

  test('sort by time', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 46), fc.integer({ min: 1, max: 2 ** 40 }), chance, chance, (nowMs, later, one, two) => {
        expect(ulid(nowMs, one) < ulid(nowMs + later, two)).toBe(true);
      }),
    );
  });
});
