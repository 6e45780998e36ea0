import { expect, test } from 'vitest';
import { checkGreeting, cursorOf, linkAfter, origin, receive, type Link } from '../../runtime/protocol/chain.ts';
import { firstEpoch, nextEpoch, siteOfEpoch } from '../../runtime/protocol/siteepoch.ts';

const start = origin('i1');
const first = linkAfter(start, 11, '{"n":1}');
const second = linkAfter(first, 11, '{"n":2}');
const third = linkAfter(second, 11, '{"n":3}');
const known = new Set([first, second, third].map(({ hash }) => hash));
const holds = (hash: string) => known.has(hash);
const refusal = (at: Parameters<typeof receive>[0], link: Link) => {
  const reception = receive(at, link, holds);
  return 'refused' in reception ? reception.refused : reception.taken;
};

test('site epochs rise, name their owner and are never the same at two sites', () => {
  expect(firstEpoch(1)).toBe(11);
  expect(nextEpoch(11, 2)).toBe(22);
  expect(nextEpoch(22, 1)).toBe(31);
  expect(nextEpoch(22, 2)).toBe(32);
  expect([11, 22, 31, 32].map(siteOfEpoch)).toEqual([1, 2, 1, 2]);
  expect(siteOfEpoch(13)).toBeUndefined();
});

test('a receiver takes the next link, and one that came before as a repeat', () => {
  expect(refusal(start, first)).toBe('next');
  expect(refusal(cursorOf(first), second)).toBe('next');
  expect(refusal(cursorOf(second), second)).toBe('repeat');
});

test('what does not fit is refused by its name, with a remedy', () => {
  expect(refusal(cursorOf(first), third)).toBe('hole');
  expect(refusal(cursorOf(third), second)).toBe('old-epoch');
  expect(refusal(cursorOf(second), { ...third, text: '{"n":4}' })).toBe('altered');
  expect(refusal(origin('i2'), first)).toBe('other-incarnation');
  const foreign = linkAfter(linkAfter(first, 11, '{"n":9}'), 11, '{"n":3}');
  expect(refusal(cursorOf(second), foreign)).toBe('diverged');
  expect(receive(cursorOf(first), third, holds)).toHaveProperty('remedy', expect.stringContaining('full copy'));
});

test('the first link of an epoch may fork where the receiver holds the past, and nowhere else', () => {
  expect(refusal(cursorOf(third), linkAfter(first, 22, '{}'))).toBe('next');
  const unknown = linkAfter(linkAfter(first, 11, '{"other":1}'), 22, '{}');
  expect(refusal(cursorOf(third), unknown)).toBe('hole');
});

test('a peer of another deployment, version, size or past is refused before it says anything', () => {
  const mine = { deployment: 'd', version: 1, shards: 16, incarnation: 'i1' };
  expect(checkGreeting(mine, mine)).toBeUndefined();
  const refused = (peer: object) => checkGreeting(mine, { ...mine, ...peer })?.refused;
  expect(refused({ deployment: 'e' })).toBe('other-deployment');
  expect(refused({ version: 2 })).toBe('newer-version');
  expect(refused({ version: 0 })).toBeUndefined();
  expect(refused({ shards: 8 })).toBe('other-shards');
  expect(refused({ incarnation: 'i0' })).toBe('other-incarnation');
});
