import { describe, expect, test } from 'vitest';
import { createMachine, fromPromise, type AnyStateMachine } from 'xstate';
import * as z from 'zod';
import { builtInDefinitions, createRegistry } from '../../actors/application.ts';
import { limits } from '../../config/limits.ts';
import { loadDefinition, Registry, structuralHash, type Definition } from '../../runtime/core/definition.ts';
import { chartOf } from '../../runtime/core/graph.ts';
import { ovenDefinition } from '../support/oven.ts';

const machineOf = (states: object, more: object = {}): AnyStateMachine =>
  createMachine({ id: 'm', initial: 'a', ...more, states: { a: {}, ...states } } as never) as AnyStateMachine;

const definitionOf = (more: Partial<Definition>): Definition => ({
  id: 'trial',
  version: 1,
  machine: machineOf({}),
  input: z.strictObject({}) as never,
  events: { go: z.strictObject({ type: z.literal('go') }) as never },
  retentionMs: 0,
  ...more,
});
const withStates = (states: object, more: object = {}): Definition =>
  definitionOf({ machine: machineOf(states, more) });

describe('a definition that cannot be run durably is not loaded, and says which rule it breaks and where', () => {
  const cases: [what: string, definition: Definition, sentence: RegExp][] = [
    ['an id that is no name', definitionOf({ id: 'no/name' }), /"no\/name": id: a name is/],
    ['an id that begins with a digit', definitionOf({ id: '9' }), /id: a name is/],
    ['version 0', definitionOf({ version: 0 }), /version: is a whole number from 1/],
    ['version 1.5', definitionOf({ version: 1.5 }), /version: is a whole number/],
    [
      'an invoke',
      withStates({ b: { invoke: { src: fromPromise(() => Promise.resolve(1)) } } }),
      /state "m\.b": invoke is not durable; use the effects/,
    ],
    ['a handler of everything', withStates({ b: { on: { '*': 'a' } } }), /state "m\.b": the handler "\*"/],
    ['a handler of a family', withStates({ b: { on: { 'order.*': 'a' } } }), /the handler "order\.\*"/],
    ['a handler of a reserved event', withStates({ b: { on: { 'xstate.init': 'a' } } }), /"xstate\.init" is reserved/],
    [
      'a handler of an actor that is done',
      withStates({ b: { on: { 'xstate.done.actor.x': 'a' } } }),
      /"xstate\.done\.actor\.x" is reserved/,
    ],
    ['an empty handler', withStates({ b: { on: { go: {} } } }), /"m\.b": the handler of "go" is empty/],
    [
      'an empty handler deep inside',
      withStates({ b: { initial: 'c', states: { c: { on: { go: {} } } } } }),
      /"m\.b\.c"/,
    ],
    ['an empty handler at the root', withStates({}, { on: { go: {} } }), /state "m": the handler of "go"/],
    ['a report without a schema', definitionOf({ reports: ['come'] }), /report "come": has no schema in events/],
    [
      'a reserved event',
      definitionOf({ events: { 'xstate.after.a': z.strictObject({}) as never } }),
      /event "xstate\.after\.a": names that begin with "xstate\."/,
    ],
  ];
  test.each(cases)('%s', (_what, definition, sentence) => {
    expect(() => loadDefinition(definition)).toThrow(sentence);
    expect(() => new Registry([definition])).toThrow(/^definition "/);
  });

  test('two of one name', () => {
    expect(() => new Registry([definitionOf({}), definitionOf({})])).toThrow(/"trial" is registered twice/);
    expect(() => createRegistry([definitionOf({ id: 'task' })])).toThrow(/"task" is registered twice/);
  });
});

test('delays, done events, and handlers that act or re-enter are welcome', () => {
  const states = {
    b: { after: { 10: 'a' }, on: { go: { target: 'b', reenter: true }, act: { actions: () => undefined } } },
    c: { initial: 'd', states: { d: { type: 'final' } }, onDone: 'a' },
  };
  expect(loadDefinition(withStates(states)).machine.options?.maxIterations).toBe(limits.microstepsMax);
});

describe('the structural hash', () => {
  const states = { b: { on: { go: 'a' } } };
  const hash = (more: object, rest: object = {}): string => structuralHash(machineOf({ ...states, ...more }, rest));

  test('is the same for the same structure, whatever the context and the actions do', () => {
    expect(hash({}, { context: { n: 1 } })).toBe(hash({}));
    expect(hash({ b: { on: { go: { target: 'a', actions: () => undefined } } } })).toBe(hash({}));
    expect(hash({})).toMatch(/^[0-9a-f]{8}$/);
  });

  const changes: [what: string, more: object][] = [
    ['a state', { c: {} }],
    ['a transition', { b: { on: { go: 'a', come: 'a' } } }],
    ['a target', { b: { on: { go: 'b' } } }],
    ['a re-entry', { b: { on: { go: { target: 'a', reenter: true } } } }],
    ['a final state', { b: { type: 'final' } }],
    ['a clock', { b: { on: { go: 'a' }, after: { 5: 'a' } } }],
  ];
  test.each(changes)('changes with %s', (_what, more) => {
    expect(hash(more)).not.toBe(hash({}));
  });
});

test('the registry gives what it was given, and nothing else', () => {
  const registry = createRegistry([ovenDefinition]);
  expect(registry.all().map(({ id }) => id)).toEqual([...builtInDefinitions.map(({ id }) => id), 'oven']);
  for (const name of ['', 'toString', '__proto__', 'Task']) expect(registry.get(name)).toBeUndefined();
});

describe('the chart of a definition', () => {
  for (const definition of createRegistry([ovenDefinition]).all())
    test(`${definition.id}: every edge leads from a state to a state, every state has its parent`, () => {
      const { states, edges, version } = chartOf(definition);
      const ids = new Set(states.map(({ id }) => id));
      expect(version).toBe(definition.versionTag);
      expect(ids.size).toBe(definition.stateNodes.size);
      for (const { from, to, kind, event } of edges) {
        expect(ids.has(from) && (to === undefined || ids.has(to))).toBe(true);
        expect(event === '').toBe(kind === 'always');
        expect(event).not.toMatch(/^xstate/);
      }
      for (const { parent, initial, type } of states) {
        expect(parent === undefined || ids.has(parent)).toBe(true);
        expect(initial !== undefined && ids.has(initial)).toBe(type === 'compound');
      }
    });
});
