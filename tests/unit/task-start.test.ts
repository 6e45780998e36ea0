import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRegistry } from '../../actors/application.ts';
import { obstacle, startOf, withParent, type Parent } from '../../actors/task/start.ts';
import { taskStatus } from '../../actors/task/status.ts';
import { levelsOf } from '../../api/dependencies.ts';
import { limits } from '../../config/limits.ts';
import { stateOf, viewOf, type Actor } from '../../runtime/core/actor.ts';
import { step, type Decision } from '../../runtime/core/step.ts';
import type { MachineEvent } from '../../runtime/protocol/envelope.ts';

const definition = createRegistry().get('task')!;
const [first, second] = ['t-0-first', 't-1-second'];
let number = 0;

function born(input: object, at = 1_000): Decision & { outcome: 'applied' } {
  const to = 'task/t-0-child';
  const decision = step(
    definition,
    undefined,
    { id: `c${++number}`, to, origin: 'command', input: { type: 'echo', ...input } },
    at,
  );
  if (decision.outcome !== 'applied') throw new Error(JSON.stringify(decision));
  return decision;
}
function told(actor: Actor, event: object, at: number, origin: 'actor' | 'command' | 'timer' = 'actor') {
  const id = origin === 'timer' ? (event as { type: string }).type : `e${++number}`;
  const decision = step(definition, actor, { id, to: actor.address, origin, event: event as MachineEvent }, at);
  if (decision.outcome !== 'applied') throw new Error(JSON.stringify(decision));
  return decision;
}
const status = (actor: Actor): string => taskStatus(stateOf(actor));
const parent = (task: string, how: string, result?: unknown) => ({
  type: 'parent',
  task,
  status: how,
  ...(result !== undefined && { result }),
});
const runAtTimer = (actor: Actor): string => Object.keys(actor.timers).find((timer) => timer.includes('.runAt.'))!;

describe('a delay', () => {
  test('keeps a task scheduled, and its deadlines count from its end', () => {
    const { actor } = born({ delay_ms: 500, timeouts: { schedule_to_start_ms: 100, schedule_to_close_ms: 400 } });
    expect(status(actor)).toBe('scheduled');
    expect(actor.timers[runAtTimer(actor)]).toBe(1_500);
    const { actor: queued } = told(actor, { type: runAtTimer(actor) }, 1_600, 'timer');
    expect(status(queued)).toBe('queued');
    expect(viewOf(queued).context).toMatchObject({ queuedAt: 1_600, openedAt: 1_600 });
    expect(Object.values(queued.timers).sort()).toEqual([1_700, 1_900]);
  });

  test('run_at in the past, or no delay, queues at once', () => {
    expect(status(born({ run_at: '1970-01-01T00:00:01Z' }).actor)).toBe('queued');
    expect(status(born({ delay_ms: 0 }).actor)).toBe('queued');
    expect(status(born({ run_at: '1970-01-01T00:00:01.001Z' }).actor)).toBe('scheduled');
    expect(status(born({ run_at: '1970-01-01T02:00:01+02:00' }).actor)).toBe('queued');
  });

  test('a paused task goes back to its delay, or to the queue when that is over', () => {
    const { actor } = born({ delay_ms: 500 });
    const paused = told(actor, { type: 'pause' }, 1_100, 'command').actor;
    expect([status(paused), Object.keys(paused.timers)]).toEqual(['paused', []]);
    expect(status(told(paused, { type: 'resume' }, 1_200, 'command').actor)).toBe('scheduled');
    expect(status(told(paused, { type: 'resume' }, 1_500, 'command').actor)).toBe('queued');
    expect(status(told(paused, { type: 'cancel' }, 1_500, 'command').actor)).toBe('cancelled');
  });
});

describe('dependencies', () => {
  const join = (more: object = {}) => born({ depends_on: [first, second], ...more });

  test('a join asks its parents once, and is queued with their results when the last one has succeeded', () => {
    const { actor, effects } = join();
    expect(status(actor)).toBe('blocked');
    const asked = { kind: 'send', event: { type: 'await', child: 'task/t-0-child' } };
    expect(effects).toEqual([
      { ...asked, to: `task/${first}` },
      { ...asked, to: `task/${second}` },
    ]);
    const half = told(actor, parent(first!, 'succeeded', { a: 1 }), 1_100);
    expect([status(half.actor), half.effects]).toEqual(['blocked', []]);
    const whole = told(half.actor, parent(second!, 'succeeded', 2), 1_200).actor;
    expect([status(whole), viewOf(whole).context['queuedAt']]).toEqual(['queued', 1_200]);
    const assigned = told(whole, { type: 'assign', agent: 'a-0-x', token: 'k', attempt: 1 }, 1_300);
    const message = assigned.effects.find((effect) => effect.kind === 'post')!.message;
    expect(JSON.parse(message['parents']!)).toEqual({
      [first!]: { status: 'succeeded', result: { a: 1 } },
      [second!]: { status: 'succeeded', result: 2 },
    });
  });

  test.each([
    ['skip', 'cancelled', 'cancelled'],
    ['skip', 'parked', 'cancelled'],
    ['run', 'expired', 'blocked'],
    ['block', 'parked', 'blocked'],
    ['block', 'cancelled', 'parked'],
    ['block', 'unknown', 'parked'],
    ['block', 'crowded', 'parked'],
  ])('on_failure %s: a parent that is %s leaves the child %s', (policy, how, expected) => {
    const { actor } = told(join({ on_failure: policy }).actor, parent(first!, how), 1_100);
    expect(status(actor)).toBe(expected);
    if (expected !== 'blocked') expect(viewOf(actor).context['reason']).toBe('parent_failed');
  });

  test('a parked parent that is redriven and succeeds lets the child go on; a parked child redriven runs', () => {
    const waiting = told(born({ depends_on: [first] }).actor, parent(first!, 'parked'), 1_100).actor;
    expect(status(told(waiting, parent(first!, 'succeeded'), 1_200).actor)).toBe('queued');
    const parked = told(born({ depends_on: [first] }).actor, parent(first!, 'expired'), 1_100).actor;
    expect(status(told(parked, { type: 'redrive' }, 1_200, 'command').actor)).toBe('queued');
  });

  test('a parent tells every child, in time or late, when it is redriven, full, over or gone', () => {
    const child = 'task/t-3-kid';
    const known = told(born({}).actor, { type: 'await', child }, 1_100).actor;
    const news = (how: string) => ({
      kind: 'send',
      to: child,
      event: { type: 'parent', task: 't-0-child', status: how },
    });
    const cancelled = told(known, { type: 'cancel' }, 1_200, 'command');
    expect(cancelled.effects).toEqual([news('cancelled')]);
    const late = definition.unheard!('t-0-child', viewOf(cancelled.actor), { type: 'await', child });
    expect(late).toEqual([news('cancelled')]);
    expect(definition.unheard!('t-0-child', undefined, { type: 'await', child })).toEqual([news('unknown')]);
    let full = known;
    for (let kid = 1; kid < limits.childrenMax; kid++)
      full = told(full, { type: 'await', child: `task/t-0-${kid}` }, 1_100).actor;
    expect(told(full, { type: 'await', child: 'task/t-3-more' }, 1_100).effects).toEqual([
      { ...news('crowded'), to: 'task/t-3-more' },
    ]);
  });

  test('a result that does not fit is left out and said so, and others stay', () => {
    const parents = startOf({ depends_on: [first!, second!], at: 0 }).parents!;
    const small = withParent(parents, { task: first!, status: 'succeeded', result: 'a' });
    const large = 'x'.repeat(limits.parentResultsBytesMax);
    expect(withParent(small, { task: second!, status: 'succeeded', result: large })).toEqual({
      [first!]: { status: 'succeeded', result: 'a' },
      [second!]: { status: 'succeeded', result_omitted: true },
    });
  });

  test('property: a join never hangs: once every parent is over, nothing blocks it', () => {
    const ending = fc.constantFrom<Parent['status']>('succeeded', 'cancelled', 'expired', 'unknown', 'crowded');
    fc.assert(
      fc.property(fc.array(ending, { minLength: 1 }), fc.constantFrom('block', 'skip', 'run'), (endings, onFailure) => {
        const parents = Object.fromEntries(endings.map((how, index) => [`t-0-${index}`, { status: how }]));
        expect(obstacle({ parents, onFailure: onFailure as 'run' }, 0)).not.toBe('block');
      }),
    );
  });
});

describe('order of a bulk submit', () => {
  const item = (ref: string, ...dependsOn: string[]) => ({ ref, dependsOn, at: `/${ref}` });

  test('parents stand in earlier levels', () => {
    const { levels, problems } = levelsOf([item('c', '#a', '#b'), item('a'), item('b', '#a'), item('d', 't-0-x')]);
    expect([levels, problems.size]).toEqual([[[1, 3], [2], [0]], 0]);
  });

  test('a cycle is named, and so is what depends on it', () => {
    const { levels, problems } = levelsOf([
      item('a', '#b'),
      item('b', '#c'),
      item('c', '#a'),
      item('d', '#a'),
      item('e'),
    ]);
    expect(levels).toEqual([[4]]);
    expect(problems.get(0)!.message).toBe('it depends on itself: a -> b -> c -> a');
    expect(problems.get(3)!.message).toBe('it depends on a cycle, which can never end: a -> b -> c -> a');
    expect(levelsOf([item('a', '#a')]).problems.get(0)!.message).toBe('it depends on itself: a -> a');
  });

  test('unknown refs, refs that stand twice, and too many levels are refused', () => {
    expect(levelsOf([item('a', '#x')]).problems.get(0)!.message).toBe('no item of the request has the ref x');
    expect(levelsOf([item('a'), item('a')]).problems.get(1)!.message).toBe('the ref a stands twice');
    const chain = Array.from({ length: limits.dependencyDepthMax + 1 }, (_, at) =>
      item(`r${at}`, ...(at > 0 ? [`#r${at - 1}`] : [])),
    );
    const { levels, problems } = levelsOf(chain);
    expect([levels.length, [...problems.keys()]]).toEqual([limits.dependencyDepthMax, [limits.dependencyDepthMax]]);
  });
});
