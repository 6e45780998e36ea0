import { setup } from 'xstate';
import * as z from 'zod';
import { expect, test } from 'vitest';
import { createRegistry } from '../../actors/application.ts';
import { loadDefinition } from '../../runtime/core/definition.ts';
import { joinedFields, mergeRulesOf, type DeclaredMerge } from '../../runtime/core/merge/rules.ts';

function rulesOf(merge: DeclaredMerge) {
  const machine = setup({}).createMachine({
    id: 'kettle',
    meta: { merge },
    initial: 'cold',
    states: {
      cold: { on: { boil: 'boiled', spill: 'spilt', pour: 'waiting' } },
      waiting: { on: { drop: 'spilt' } },
      boiled: { type: 'final' },
      spilt: { type: 'final' },
    },
  });
  return mergeRulesOf(
    loadDefinition({
      id: 'kettle',
      version: 1,
      machine,
      input: z.looseObject({}) as never,
      events: { boil: z.looseObject({ type: z.literal('boil') }) as never },
      retentionMs: 0,
    }),
  );
}

test('every definition of the product has rules for every pair of its ends', () => {
  for (const definition of createRegistry().all()) expect(() => mergeRulesOf(definition)).not.toThrow();
});

test('a missing rule names the pair of ends', () => {
  expect(() => rulesOf({})).toThrow(/"kettle".*"boiled" and "spilt"/);
  expect(() => rulesOf({ precedence: ['boiled'] })).toThrow(/"boiled" and "spilt"/);
});

test('what can be reached from another end is further along and needs no rule', () => {
  const rules = rulesOf({ told: ['waiting'], precedence: ['boiled', 'spilt', 'waiting'] });
  expect(rules.prevails('boiled', 'spilt')).toBe(true);
  expect(rules.prevails('spilt', 'boiled')).toBe(false);
  expect(rules.prevails('spilt', 'waiting')).toBe(true);
  // From waiting one comes to spilt and never to boiled: only that pair is left to say.
  expect(() => rulesOf({ told: ['waiting'], precedence: ['boiled', 'spilt'] })).toThrow(/"boiled" and "waiting"/);
});

test('wrong words in the rules are named', () => {
  const precedence = ['boiled', 'spilt'];
  expect(() => rulesOf({ precedence, external: ['steam'] })).toThrow(/"steam"/);
  expect(() => rulesOf({ precedence: [...precedence, 'gone'] })).toThrow(/no state "gone"/);
  expect(() => rulesOf({ precedence, settle: { event: 'settle', carries: [] } })).toThrow(/"settle"/);
  expect(() => rulesOf({ precedence, fields: { heat: 'mean' as never } })).toThrow(/"mean"/);
});

test('I13: joined fields never move down, and joining again changes nothing', () => {
  const fields = { a: 'max', b: 'min', c: 'or', d: 'union', e: 'first', f: 'winner' } as const;
  const rules = rulesOf({ precedence: ['boiled', 'spilt'], fields });
  const left = { a: 1, b: 1, c: false, d: ['x'], e: 'l', f: 'l' };
  const right = { a: 2, b: 2, c: true, d: ['y', 'x'], e: 'r', f: 'r' };
  const changed = joinedFields(rules, left, right);
  expect(changed).toEqual({ a: 2, c: true, d: ['x', 'y'] });
  expect(joinedFields(rules, { ...left, ...changed }, right)).toEqual({});
  expect(joinedFields(rules, right, left)).toEqual({ b: 1, d: ['x', 'y'] });
});
