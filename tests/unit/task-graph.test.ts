/** What holds for a task wherever it is: reached by walking the machine's graph, and by chance. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { getShortestPaths } from 'xstate/graph';
import { createRegistry } from '../../actors/application.ts';
import { backoffMs, remainingMs, taskDefaults, type TaskContext } from '../../actors/task/attempt.ts';
import { taskMachine } from '../../actors/task/machine.ts';
import { taskStatus, taskStatuses } from '../../actors/task/status.ts';
import { freeze, isDone, stateOf, viewOf, type Actor } from '../../runtime/core/actor.ts';
import { legalEvents, step, type Decision } from '../../runtime/core/step.ts';
import type { Envelope, MachineEvent, Origin, StateValue } from '../../runtime/protocol/envelope.ts';

const definition = createRegistry().get('task')!;
const to = 'task/t-0-x' as const;
const at = { token: 'tok', agent: 'a-0-a' };
const input = {
  type: 'echo',
  timeouts: { schedule_to_start_ms: 900, schedule_to_close_ms: 9_000, heartbeat_ms: 50, start_to_close_ms: 500 },
};

let ids = 0;
const tell = (actor: Actor | undefined, origin: Origin, event: object, now: number): Decision => {
  const envelope: Envelope = { id: `e${++ids}`, to, origin, event: event as MachineEvent };
  return step(definition, actor, envelope, now);
};
const born = (more: object = {}): Actor => {
  const decision = step(definition, undefined, { id: 'c', to, origin: 'command', input: { ...input, ...more } }, 1_000);
  if (decision.outcome !== 'applied') throw new Error(JSON.stringify(decision));
  return decision.actor;
};
const context = (actor: Actor): TaskContext => viewOf(actor).context as unknown as TaskContext;

/** Everything that may happen next to a task, and who says it. */
function happenings(actor: Actor): [origin: Origin, event: object][] {
  const report = (type: string, more = {}): [Origin, object] => ['report', { type, ...at, ...more }];
  return [
    ['dispatch', { type: 'assign', ...at, attempt: context(actor).attempt + 1 }],
    ...['start', 'release', 'cancelled', 'progress'].map((type) => report(type)),
    report('complete', { result: 1 }),
    report('fail', { error: { message: 'no' } }),
    report('fail', { error: { message: 'no' }, retryable: false }),
    ['actor', { type: 'revoke', agent: at.agent, reason: 'agent_lost' }],
    ['actor', { type: 'beat', token: at.token }],
    ['command', { type: 'cancel' }],
    ['command', { type: 'pause' }],
    ['command', { type: 'resume' }],
    ['actor', { type: 'parent', task: 't-1-p', status: 'succeeded', result: 1 }],
    ['command', { type: 'redrive' }],
  ];
}

/** One task in each status, by the shortest way. */
function reached(): Map<string, Actor> {
  const found = new Map<string, Actor>();
  const queue = [born(), born({ delay_ms: 5 }), born({ depends_on: ['t-1-p'] })];
  for (let actor = queue.shift(); actor; actor = queue.shift()) {
    const status = taskStatus(stateOf(actor));
    if (found.has(status)) continue;
    found.set(status, actor);
    for (const [origin, event] of happenings(actor)) {
      const decision = tell(actor, origin, event, 1_001);
      if (decision.outcome === 'applied') queue.push(decision.actor);
    }
    for (const [timer, value] of Object.entries(actor.timers)) {
      const due = typeof value === 'number' ? value : value[0];
      const decision = step(definition, actor, { id: timer, to, origin: 'timer', event: { type: timer } }, due);
      if (decision.outcome === 'applied') queue.push(decision.actor);
    }
  }
  return found;
}
const tasks = reached();

test('every status is reached by what is told, and every state by a path through the graph', () => {
  expect([...tasks.keys()].sort()).toEqual([...taskStatuses].sort());
  const stamp = { at: 2_000, self: 't-0-x' };
  const paths = getShortestPaths(taskMachine, {
    input: { type: 'echo', parameters: {}, priority: 0, ...stamp, at: 1_000 },
    events: (snapshot) =>
      [
        { type: 'assign', ...at, attempt: snapshot.context.attempt + 1 },
        ...['start', 'release', 'cancelled', 'progress', 'cancel', 'redrive', 'pause', 'delay', 'block'].map(
          (type) => ({ type, ...at }),
        ),
        { type: 'complete', ...at, result: 1 },
        ...[true, false].map((retryable) => ({ type: 'fail', ...at, error: { message: 'no' }, retryable })),
        { type: 'xstate.after.scheduleToStart.task.open.queued' },
        { type: 'xstate.after.backoff.task.open.retrying' },
      ].map((event) => ({ ...event, ...stamp })) as never,
    serializeState: ({ value }) => JSON.stringify(value),
  });
  const statuses = paths.map(({ state }) => taskStatus(state.value as StateValue));
  expect([...new Set(statuses)].sort()).toEqual([...taskStatuses].sort());
});

describe('R4: a stale token changes nothing but is recorded', () => {
  const kinds = ['start', 'progress', 'complete', 'fail', 'release', 'cancelled'];
  test.each([...tasks.keys()])('%s', (status) => {
    const actor = tasks.get(status)!;
    const before = freeze(actor);
    for (const type of kinds)
      for (const token of ['stale', 'undefined', 'null']) {
        const more = { ...(type === 'complete' && { result: 1 }), ...(type === 'fail' && { error: { message: '' } }) };
        const decision = tell(actor, 'report', { type, agent: at.agent, token, ...more }, 1_002);
        expect(decision).toMatchObject({ outcome: 'refused', reason: 'stale-token' });
      }
    expect(freeze(actor)).toBe(before);
  });

  test('nor does the token of a former attempt, a beat of one, or the loss of another agent', () => {
    const running = tasks.get('running')!;
    expect(tell(running, 'actor', { type: 'beat', token: 'stale' }, 1_002).outcome).toBe('refused');
    expect(tell(running, 'actor', { type: 'revoke', agent: 'a-0-b', reason: 'agent_lost' }, 1_002).outcome).toBe(
      'refused',
    );
    for (const attempt of [0, 1, 3]) {
      const queued = tell(running, 'report', { type: 'release', ...at }, 1_002);
      const assign = { type: 'assign', ...at, attempt };
      expect(queued.outcome === 'applied' && tell(queued.actor, 'dispatch', assign, 1_003).outcome).toBe('refused');
    }
  });
});

describe('cancel', () => {
  test.each([...tasks.keys()])('of what is %s', (status) => {
    const actor = tasks.get(status)!;
    const decision = tell(actor, 'command', { type: 'cancel' }, 1_002);
    if (isDone(actor) || status === 'cancelling') {
      expect(decision.outcome).toBe('refused');
      expect(legalEvents(actor)).not.toContain('cancel');
      return;
    }
    if (decision.outcome !== 'applied') throw new Error(JSON.stringify(decision));
    const held = status === 'assigned' || status === 'running';
    expect(taskStatus(stateOf(decision.actor))).toBe(held ? 'cancelling' : 'cancelled');
    expect(context(decision.actor).reason).toBe('cancelled');
    const kinds = decision.effects.flatMap((effect) => (effect.kind === 'post' ? [effect.message.kind] : []));
    expect(kinds).toEqual(held ? ['cancel'] : []);
  });
});

test('whatever happens, counts fit the policy, clocks belong to the state, and a slot is given back once', () => {
  const choice = fc.array(fc.tuple(fc.nat(20), fc.constantFrom(0, 1, 60, 2_000)), { maxLength: 40 });
  fc.assert(
    fc.property(choice, (list) => {
      let actor = born();
      let now = 1_000;
      let holds = 0;
      for (const [which, waitMs] of list) {
        now += waitMs;
        const due = Object.entries(actor.timers).find(
          ([, value]) => (typeof value === 'number' ? value : value[0]) <= now,
        );
        const options = happenings(actor);
        const [origin, event] = options[which % options.length]!;
        const decision = due
          ? step(definition, actor, { id: due[0], to, origin: 'timer', event: { type: due[0] } }, now)
          : tell(actor, origin, event, now);
        if (decision.outcome === 'retired') break;
        if (decision.outcome !== 'applied') continue;
        actor = decision.actor;
        for (const effect of decision.effects)
          if (effect.kind === 'send' && effect.event.type === 'occupy') holds++;
          else if (effect.kind === 'send' && effect.event.type === 'release') holds--;
        // A lost agent has no slots: it drops its count by itself.
        if (!due && event && 'type' in event && event.type === 'revoke') holds--;
        const status = taskStatus(stateOf(actor));
        const held = ['assigned', 'running', 'cancelling'].includes(status);
        const { failures, losses, attempt, token } = context(actor);
        expect(holds).toBe(held ? 1 : 0);
        expect(token !== undefined).toBe(held);
        expect(failures).toBeLessThanOrEqual(taskDefaults.retry.max_attempts);
        expect(losses).toBeLessThanOrEqual(taskDefaults.lossesMax);
        expect(failures + losses).toBeLessThanOrEqual(attempt);
        if (status === 'parked') expect(Object.keys(actor.timers)).toEqual([]);
        for (const value of Object.values(actor.timers))
          expect(typeof value === 'number' ? value : value[0]).toBeGreaterThanOrEqual(now);
      }
    }),
    { numRuns: 300 },
  );
});

describe('numbers', () => {
  const policy = fc.record(
    {
      initial_delay_ms: fc.nat(100_000),
      factor: fc.double({ min: 1, max: 10, noNaN: true }),
      max_delay_ms: fc.nat(1_000_000),
      jitter: fc.double({ min: 0, max: 1, noNaN: true }),
    },
    { requiredKeys: [] },
  );

  test('a delay is between its bounds for every policy, the same every time, and a whole number', () => {
    fc.assert(
      fc.property(policy, fc.integer({ min: 1, max: 100 }), fc.string(), (retry, failures, self) => {
        const { initial_delay_ms, factor, max_delay_ms, jitter } = { ...taskDefaults.retry, ...retry };
        const delay = backoffMs({ failures, retry }, self);
        const base = Math.min(initial_delay_ms * factor ** (failures - 1), max_delay_ms);
        expect(delay).toBeGreaterThanOrEqual(Math.floor(base * (1 - jitter)));
        expect(delay).toBeLessThanOrEqual(Math.ceil(base * (1 + jitter)));
        expect(Number.isSafeInteger(delay)).toBe(true);
        expect(backoffMs({ failures, retry }, self)).toBe(delay);
      }),
    );
  });

  test('deadlines count from the submit, or from the redrive, and never backwards', () => {
    const task = { createdAt: 1_000 } as TaskContext;
    expect(remainingMs(task, undefined, 5_000)).toBe(Infinity);
    expect(remainingMs(task, 700, 1_200)).toBe(500);
    expect(remainingMs(task, 700, 9_000)).toBe(0);
    expect(remainingMs({ ...task, openedAt: 8_900 }, 700, 9_000)).toBe(600);
  });
});
