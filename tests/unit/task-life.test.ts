/** The life of a task as a table: what happens in which state, and how long each clock waits. */
import { describe, expect, test } from 'vitest';
import { createRegistry } from '../../actors/application.ts';
import { backoffMs, taskDefaults } from '../../actors/task/attempt.ts';
import { taskMachine } from '../../actors/task/machine.ts';
import { taskStatus } from '../../actors/task/status.ts';
import { freeze, stateOf, thaw, viewOf, type Actor } from '../../runtime/core/actor.ts';
import { step, type Decision } from '../../runtime/core/step.ts';
import type { MachineEvent, Origin } from '../../runtime/protocol/envelope.ts';
import type { JsonObject } from '../../runtime/protocol/json.ts';
import { hash32 } from '../../runtime/protocol/ids.ts';
import * as z from 'zod';

const definition = createRegistry().get('task')!;
const to = 'task/t-0-x' as const;
const token = 'tok';

/** A task that is told things one after the other; every step also goes through its stored form. */
class Told {
  actor: Actor | undefined;
  now = 10_000;
  last!: Decision;
  #id = 0;

  constructor(input: JsonObject = {}) {
    this.last = step(
      definition,
      undefined,
      { id: 'c', to, origin: 'command', input: { type: 'echo', ...input } },
      this.now,
    );
    this.#keep();
  }

  tell(type: string, fields: JsonObject = {}): this {
    const origin: Origin = ['cancel', 'redrive', 'pause', 'resume'].includes(type)
      ? 'command'
      : ['assign', 'revoke', 'beat', 'parent'].includes(type)
        ? 'actor'
        : 'report';
    const event = { type, ...(origin === 'report' && { token, agent: 'a-0-a' }), ...fields } as MachineEvent;
    this.last = step(definition, this.actor, { id: `e${this.#id++}`, to, origin, event }, this.now);
    this.#keep();
    return this;
  }

  assign(): this {
    const attempt = Number(viewOf(this.actor!).context['attempt']) + 1;
    return this.tell('assign', { agent: 'a-0-a', token, attempt });
  }

  /** Lets the time pass until the timer with this name, and fires it. */
  pass(name: string): this {
    const [timer, due] = Object.entries(this.actor!.timers).find(([id]) => id.includes(name)) ?? [];
    if (timer === undefined) throw new Error(`no timer ${name} among ${Object.keys(this.actor!.timers).join(', ')}`);
    this.now = typeof due === 'number' ? due : due![0];
    this.last = step(definition, this.actor, { id: timer, to, origin: 'timer', event: { type: timer } }, this.now);
    this.#keep();
    return this;
  }

  dueIn(name: string): number | undefined {
    const due = Object.entries(this.actor!.timers).find(([id]) => id.includes(name))?.[1];
    return typeof due === 'number' ? due - this.now : due?.[0];
  }

  get status(): string {
    return taskStatus(stateOf(this.actor!));
  }

  get context(): JsonObject {
    return viewOf(this.actor!).context;
  }

  #keep(): void {
    if (this.last.outcome !== 'applied') return;
    const text = freeze(this.last.actor);
    const back = thaw(definition, to, text);
    if (!back.ok) throw new Error(back.detail);
    expect(freeze(back.actor)).toBe(text);
    this.actor = back.actor;
  }
}

const at: Record<string, () => Told> = {
  scheduled: () => new Told({ delay_ms: 500 }),
  blocked: () => new Told({ depends_on: ['t-1-p'] }),
  paused: () => new Told().tell('pause'),
  queued: () => new Told(),
  assigned: () => new Told().assign(),
  running: () => new Told().assign().tell('start'),
  retrying: () => new Told().assign().tell('fail', { error: { message: 'no' } }),
  cancelling: () => new Told().assign().tell('start').tell('cancel'),
  parked: () => new Told().assign().tell('fail', { error: { message: 'no' }, retryable: false }),
  succeeded: () => new Told().assign().tell('complete', { result: 1 }),
  cancelled: () => new Told().tell('cancel'),
  expired: () => new Told({ timeouts: { schedule_to_start_ms: 500 } }).pass('scheduleToStart'),
};

const events: Record<string, JsonObject> = {
  cancel: {},
  redrive: {},
  pause: {},
  resume: {},
  parent: { task: 't-1-p', status: 'succeeded' },
  start: {},
  progress: { progress: 0.5 },
  complete: { result: { ok: 1 } },
  fail: { error: { message: 'no' } },
  release: {},
  cancelled: {},
  revoke: { agent: 'a-0-a', reason: 'agent_lost' },
};

/** Row: state. Columns: the state after each event; `-` where it is refused. */
const table: Record<string, Record<keyof typeof events, string>> = {
  scheduled: { cancel: 'cancelled', pause: 'paused' },
  blocked: { cancel: 'cancelled', pause: 'paused', parent: 'queued' },
  paused: { cancel: 'cancelled', resume: 'queued' },
  queued: { cancel: 'cancelled', pause: 'paused' },
  assigned: {
    ...{ cancel: 'cancelling', start: 'running', progress: 'running', complete: 'succeeded', fail: 'retrying' },
    ...{ release: 'queued', revoke: 'queued' },
  },
  running: {
    ...{ cancel: 'cancelling', progress: 'running', complete: 'succeeded', fail: 'retrying', release: 'queued' },
    ...{ revoke: 'queued' },
  },
  retrying: { cancel: 'cancelled', pause: 'paused' },
  cancelling: {
    ...{ complete: 'succeeded', fail: 'cancelled', release: 'cancelled', cancelled: 'cancelled', revoke: 'cancelled' },
  },
  parked: { cancel: 'cancelled', redrive: 'queued' },
  succeeded: {},
  cancelled: {},
  expired: {},
};

describe.each(Object.keys(table))('%s', (state) => {
  test('is reached', () => {
    expect(at[state]!().status).toBe(state);
  });
  test.each(Object.keys(events))('%s', (event) => {
    const task = at[state]!();
    const before = freeze(task.actor!);
    task.tell(event, events[event]);
    const wanted = table[state]![event];
    if (wanted === undefined) {
      expect(task.last.outcome).toBe('refused');
      expect(freeze(task.actor!)).toBe(before);
    } else expect(task.status).toBe(wanted);
  });
});

test('every state of the machine can be reached by its events', () => {
  const names = new Set(Object.keys(at));
  expect(Object.keys(table).every((state) => names.has(state))).toBe(true);
  const leaves = [...definition.stateNodes.values()].filter((node) => node.type === 'atomic' || node.type === 'final');
  expect(leaves.map((node) => node.key).sort()).toEqual([...names].sort());
});

describe('the four time-outs', () => {
  test('schedule_to_start: never started in time expires; a start ends the clock', () => {
    const input = { timeouts: { schedule_to_start_ms: 5_000 } };
    expect(new Told(input).dueIn('scheduleToStart')).toBe(5_000);
    const late = new Told(input).pass('scheduleToStart');
    expect([late.status, late.context['reason']]).toEqual(['expired', 'schedule_to_start']);
    const started = new Told(input).assign().tell('start').tell('release');
    expect(started.status).toBe('queued');
    expect(started.dueIn('scheduleToStart')).toBeUndefined();
  });

  test('start_to_close: an attempt that takes too long is taken back and tried again', () => {
    const task = new Told({ timeouts: { start_to_close_ms: 7_000 } }).assign().tell('start');
    expect(task.dueIn('startToClose')).toBe(7_000);
    task.pass('startToClose');
    expect([task.status, task.context['reason'], task.context['failures']]).toEqual(['retrying', 'start_to_close', 1]);
    const posts = task.last.outcome === 'applied' ? task.last.effects.filter((effect) => effect.kind === 'post') : [];
    expect(posts).toEqual([
      expect.objectContaining({ message: expect.objectContaining({ kind: 'cancel', token }) as unknown }),
    ]);
  });

  test('schedule_to_close: the whole time, retries included, and the agent is told', () => {
    const task = new Told({ timeouts: { schedule_to_close_ms: 9_000 } }).assign().tell('start');
    expect(task.dueIn('scheduleToClose')).toBe(9_000);
    task.pass('scheduleToClose');
    expect([task.status, task.context['reason']]).toEqual(['expired', 'schedule_to_close']);
    expect(task.last.outcome === 'applied' && task.last.effects.map((effect) => effect.kind)).toContain('post');
  });

  test('heartbeat: silence ends the attempt, every beat and progress starts the clock anew', () => {
    const task = new Told({ timeouts: { heartbeat_ms: 2_000 } }).assign().tell('start');
    task.now += 1_500;
    task.tell('beat', { token });
    expect(task.dueIn('overdue')).toBe(2_000);
    task.now += 1_500;
    task.tell('progress', { progress: 0.2 });
    expect(task.dueIn('overdue')).toBe(2_000);
    task.pass('overdue');
    expect([task.status, task.context['reason']]).toEqual(['retrying', 'heartbeat']);
  });

  test('an assignment that nobody starts is taken back', () => {
    const task = new Told().assign();
    expect(task.dueIn('after.assigned')).toBe(taskDefaults.assignedMs);
    expect(task.pass('after.assigned').status).toBe('retrying');
  });

  test('without time-outs there are no such clocks', () => {
    const task = new Told().assign().tell('start');
    expect(Object.keys(task.actor!.timers).map((id) => id.split('.')[2])).toEqual(['startToClose']);
    expect(task.dueIn('startToClose')).toBe(taskDefaults.startToCloseMs);
  });
});

describe('retries', () => {
  test('1 s, 2 s, 4 s … up to 100 s, give or take a tenth', () => {
    for (const [failures, base] of [
      [1, 1_000],
      [2, 2_000],
      [5, 16_000],
      [8, 100_000],
      [50, 100_000],
    ] as const) {
      const delay = backoffMs({ failures }, 't-0-x');
      expect(delay).toBeGreaterThanOrEqual(base * 0.9);
      expect(delay).toBeLessThanOrEqual(base * 1.1);
    }
    expect(
      new Set(Array.from({ length: 50 }, (_, index) => backoffMs({ failures: 1 }, `t-0-${index}`))).size,
    ).toBeGreaterThan(30);
  });

  test('after five failed attempts the task is parked, and a redrive starts it over', () => {
    const task = new Told();
    for (let attempt = 1; attempt <= 5; attempt++) {
      task.assign().tell('fail', { error: { message: `no ${attempt}` } });
      if (attempt < 5) task.pass('backoff');
    }
    expect([task.status, task.context['failures']]).toEqual(['parked', 5]);
    task.tell('redrive', { parameters: { edited: true } });
    expect(task.context).toMatchObject({ failures: 0, parameters: { edited: true } });
    expect(task.context['error']).toBeUndefined();
    expect(task.assign().status).toBe('assigned');
    expect(task.context['attempt']).toBe(6);
  });

  test('a released attempt and a lost agent do not count as failures; too many lost agents park the task as poison', () => {
    const task = new Told().assign().tell('release');
    expect(task.context).toMatchObject({ failures: 0, attempt: 1 });
    for (let loss = 1; loss <= taskDefaults.lossesMax; loss++)
      task.assign().tell('revoke', { agent: 'a-0-a', reason: 'agent_lost' });
    expect([task.status, task.context['reason'], task.context['failures']]).toEqual(['parked', 'poison', 0]);
  });
});

test('the token is forgotten with the attempt, the agent stays known', () => {
  const task = new Told().assign().tell('complete', { result: 1 });
  expect(task.context['token']).toBeUndefined();
  expect(task.context['agent']).toBe('a-0-a');
});

test('cancel: the agent has its grace, then the task is cancelled without it', () => {
  const task = new Told({ cancel_grace_ms: 4_000 })
    .assign()
    .tell('start')
    .tell('cancel', { reason: 'no longer wanted' });
  expect(task.dueIn('cancelGrace')).toBe(4_000);
  task.pass('cancelGrace');
  expect([task.status, task.context['reason']]).toEqual(['cancelled', 'no longer wanted']);
});

test('the machine is the one that is registered', () => {
  expect(definition.machine).toBe(taskMachine);
  expect(z.safeParse(definition.input, { type: 'echo' }).success).toBe(true);
  expect(hash32('text_processing#0') % 16).toBe(11);
});
