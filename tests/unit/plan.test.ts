/** The planned transitions and XState's own interpreter say the same, for the product's machine and for generated ones. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  assign,
  createMachine,
  raise,
  setup,
  type AnyActorScope,
  type AnyMachineSnapshot,
  type AnyStateMachine,
} from 'xstate';
import { agentMachine } from '../../actors/agent/machine.ts';
import { fleetMachine } from '../../actors/fleet/machine.ts';
import { taskMachine } from '../../actors/task/machine.ts';
import { Plan } from '../../runtime/core/plan.ts';

interface Asked {
  type: string;
  params: unknown;
}

function scopeInto(asked: Asked[]): AnyActorScope {
  const nothing = (): undefined => undefined;
  return {
    self: { id: 'x' },
    id: 'x',
    sessionId: 'x',
    logger: nothing,
    defer: nothing,
    emit: nothing,
    stopChild: nothing,
    actionExecutor: ({ type, params }: Asked) => asked.push({ type, params }),
    system: { _sendInspectionEvent: nothing, scheduler: { schedule: nothing, cancel: nothing } },
  } as unknown as AnyActorScope;
}

/** What a run of events leads to, seen by whoever runs it: states, contexts and everything that was asked for. */
function run(
  events: readonly { type: string }[],
  begin: (scope: AnyActorScope) => AnyMachineSnapshot,
  next: (snapshot: AnyMachineSnapshot, event: { type: string }, scope: AnyActorScope) => AnyMachineSnapshot,
): unknown[] {
  const asked: Asked[] = [];
  const scope = scopeInto(asked);
  const seen: unknown[] = [];
  let snapshot = begin(scope);
  const look = (changed: boolean): void => {
    const { value, context, status } = snapshot;
    seen.push(JSON.parse(JSON.stringify({ changed, value, context, status, asked: asked.splice(0) })));
  };
  look(true);
  for (const event of events) {
    if (snapshot.status !== 'active') break;
    const before = snapshot;
    snapshot = next(snapshot, event, scope);
    look(snapshot !== before);
  }
  return seen;
}

function expectSame(machine: AnyStateMachine, input: object, events: readonly { type: string }[]): void {
  const plan = Plan.of(machine);
  if (!plan) throw new Error('this machine has no plan');
  const planned = run(
    events,
    (scope) => plan.initial(input, scope),
    (snapshot, event, scope) => plan.transition(snapshot, event, scope),
  );
  const interpreted = run(
    events,
    (scope) => machine.getInitialSnapshot(scope, input as never) as AnyMachineSnapshot,
    (snapshot, event, scope) => machine.transition(snapshot, event as never, scope) as AnyMachineSnapshot,
  );
  expect(planned).toEqual(interpreted);
}

const stamp = { at: 5_000, self: 't-0-x' };
const tokens = fc.constantFrom('tok', 'old');
const taskEvent = fc.oneof(
  fc.record({ type: fc.constantFrom('start', 'cancelled', 'release', 'beat'), token: tokens }),
  fc.record({ type: fc.constant('progress'), token: tokens, progress: fc.constant(0.5) }),
  fc.record({ type: fc.constant('complete'), token: tokens, result: fc.constant({ ok: 1 }) }),
  fc.record({
    type: fc.constant('fail'),
    token: tokens,
    error: fc.constant({ message: 'no' }),
    retryable: fc.boolean(),
  }),
  fc.record({
    type: fc.constant('assign'),
    agent: fc.constant('a-0-a'),
    token: fc.constant('tok'),
    attempt: fc.integer({ min: 1, max: 4 }),
  }),
  fc.record({ type: fc.constant('revoke'), agent: fc.constantFrom('a-0-a', 'a-0-b'), reason: fc.constant('lost') }),
  fc.record({ type: fc.constantFrom('cancel', 'redrive', 'overdue', 'nonsense') }),
  fc.record({
    type: fc.constantFrom(
      'xstate.after.scheduleToClose.task.open',
      'xstate.after.scheduleToStart.task.open.queued',
      'xstate.after.assigned.task.open.held.assigned',
      'xstate.after.startToClose.task.open.held.running',
      'xstate.after.cancelGrace.task.open.held.cancelling',
      'xstate.after.backoff.task.open.retrying',
    ),
  }),
);

describe("R2: planned transitions are XState's", () => {
  test('for tasks, whatever they are told', () => {
    fc.assert(
      fc.property(fc.array(taskEvent, { maxLength: 25 }), fc.boolean(), (events, watched) => {
        const input = {
          type: 'echo',
          parameters: {},
          priority: 0,
          ...(watched && { timeouts: { heartbeat_ms: 50, schedule_to_close_ms: 900 } }),
          ...stamp,
        };
        expectSame(
          taskMachine,
          input,
          events.map((event) => ({ ...event, ...stamp })),
        );
      }),
      { numRuns: 400 },
    );
  });

  test('for the fleet', () => {
    const event = fc.record({
      type: fc.constantFrom('admit', 'leave'),
      agent: fc.constantFrom('a', 'b', 'c'),
      max: fc.constant(2),
    });
    fc.assert(fc.property(fc.array(event, { maxLength: 15 }), (events) => expectSame(fleetMachine, stamp, events)));
  });

  test('for generated machines of nested states, with internal, external and raising transitions, delays and final states', () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'] as const;
    // A tree of seven states in a fixed shape: a { b { c, d }, e }, f, g (final).
    const path: Record<(typeof names)[number], string> = {
      ...{ a: '#m.a', b: '#m.a.b', c: '#m.a.b.c', d: '#m.a.b.d', e: '#m.a.e', f: '#m.f', g: '#m.g' },
    };
    const edge = fc.record({
      from: fc.constantFrom(...names.slice(0, 6)),
      event: fc.constantFrom('E1', 'E2', 'E3'),
      to: fc.option(fc.constantFrom(...names), { nil: undefined }),
      reenter: fc.boolean(),
      act: fc.constantFrom('count', 'mark', 'again'),
      guarded: fc.boolean(),
    });
    fc.assert(
      fc.property(
        fc.array(edge, { maxLength: 14 }),
        fc.array(fc.constantFrom('E1', 'E2', 'E3', 'xstate.after.soon.m.a.b', 'none'), { maxLength: 12 }),
        (edges, events) => {
          const on = (name: string): Record<string, object[]> => {
            const list: Record<string, object[]> = {};
            for (const { from, event, to, reenter, act, guarded } of edges)
              if (from === name)
                (list[event] ??= []).push({
                  ...(to !== undefined && { target: path[to] }),
                  ...(reenter && { reenter }),
                  ...(guarded && { guard: 'even' }),
                  actions: [
                    act,
                    { type: 'tell', params: ({ context }: { context: { n: number } }) => ({ n: context.n, name }) },
                  ],
                });
            return list;
          };
          const node = (name: string, more: object = {}): object => ({
            on: on(name),
            entry: [{ type: 'tell', params: { entered: name } }],
            exit: [{ type: 'tell', params: { left: name } }, 'count'],
            ...more,
          });
          const machine = setup({
            types: {} as { context: { n: number; marked?: boolean } },
            actions: {
              count: assign(({ context }) => ({ n: context.n + 1 })),
              mark: assign({ marked: true }),
              again: raise({ type: 'E3' }),
              tell: (_: unknown, _params: object) => undefined,
            },
            guards: { even: ({ context }) => context.n % 2 === 0 },
            delays: { soon: 100 },
          }).createMachine({
            id: 'm',
            context: { n: 0 },
            initial: 'a',
            states: {
              a: node('a', {
                initial: 'b',
                states: {
                  b: node('b', { initial: 'c', after: { soon: '#m.f' }, states: { c: node('c'), d: node('d') } }),
                  e: node('e'),
                },
              }),
              f: node('f'),
              g: { type: 'final', entry: [{ type: 'tell', params: { entered: 'g' } }] },
            },
          } as never);
          machine.options = { ...machine.options, maxIterations: 50 };
          const same = (): void =>
            expectSame(
              machine as unknown as AnyStateMachine,
              {},
              events.map((type) => ({ type })),
            );
          // A machine that raises for ever ends in both the same way: by an exception.
          try {
            same();
          } catch (error) {
            if (!(error instanceof Error) || !/Infinite loop|took more than/.test(error.message)) throw error;
          }
        },
      ),
      { numRuns: 600 },
    );
  });

  test('machines with regions, history, `always` or outputs go through XState whole', () => {
    expect(Plan.of(agentMachine)).toBeUndefined();
    expect(Plan.of(createMachine({ initial: 'a', states: { a: { always: 'b' }, b: {} } }))).toBeUndefined();
    expect(Plan.of(createMachine({ initial: 'a', states: { a: {}, h: { type: 'history' } } }))).toBeUndefined();
    expect(Plan.of(createMachine({ initial: 'a', states: { a: { type: 'final', output: 1 } } }))).toBeUndefined();
    expect(Plan.of(taskMachine)).toBeDefined();
  });
});
