/** The machine of a bulk action: one worker at a time, a page once, the pause between pages follows the rate. */
import { describe, expect, test } from 'vitest';
import { createRegistry } from '../../actors/application.ts';
import { bulkAddress } from '../../actors/bulk/address.ts';
import type { BulkContext } from '../../actors/bulk/context.ts';
import { limits } from '../../config/limits.ts';
import { stateOf, type Actor } from '../../runtime/core/actor.ts';
import { step, type Decision } from '../../runtime/core/step.ts';
import type { MachineEvent } from '../../runtime/protocol/envelope.ts';

const definition = createRegistry().get('bulk')!;
const to = bulkAddress('b-0-x');
let number = 0;

class Action {
  actor: Actor;
  now = 1_000;

  constructor(rate = 10) {
    const input = { action: 'cancel', filter: { type: 'x' }, rate_per_second: rate, subject: 'op', matched: 4 };
    const born = step(definition, undefined, { id: 'c', to, origin: 'command', input }, this.now);
    if (born.outcome !== 'applied') throw new Error(JSON.stringify(born));
    this.actor = born.actor;
  }

  tell(event: MachineEvent, origin: 'command' | 'timer' = 'command'): Decision['outcome'] {
    const id = origin === 'timer' ? event.type : `e${++number}`;
    const decision = step(definition, this.actor, { id, to, origin, event }, this.now);
    if (decision.outcome === 'applied') this.actor = decision.actor;
    return decision.outcome;
  }

  take(worker: string, ids: string[], from?: string, next?: string): Decision['outcome'] {
    return this.tell({ type: 'take', worker, ids, ...(from && { from }), ...(next && { next }) });
  }

  page(worker: string, applied: number, refused = {}): Decision['outcome'] {
    return this.tell({ type: 'page', worker, applied, refused });
  }

  /** The clock of the state rings. */
  wait(): void {
    const [timer, due] = Object.entries(this.actor.timers)[0]!;
    this.now = due as number;
    expect(this.tell({ type: timer }, 'timer')).toBe('applied');
  }

  get state(): string {
    return stateOf(this.actor) as string;
  }

  get context(): BulkContext {
    return this.actor.snapshot.context as BulkContext;
  }
}

test('page by page to the end, with the counts of all', () => {
  const action = new Action(10);
  expect(action.take('w', ['t-0-1', 't-0-2'], undefined, 'second')).toBe('applied');
  expect(action.page('w', 1, { finished: 1 })).toBe('applied');
  expect([action.state, Object.values(action.actor.timers)]).toEqual(['resting', [1_200]]);
  expect(action.take('w', [], 'second')).toBe('refused');
  action.wait();
  expect(action.take('w', ['t-0-3'], 'second')).toBe('applied');
  expect(action.page('w', 0, { finished: 1 })).toBe('applied');
  expect(action.state).toBe('finished');
  expect(action.context).toMatchObject({ applied: 1, refused: { finished: 2 }, finishedAt: 1_200 });
});

test('one that finds nothing more is finished', () => {
  const action = new Action();
  action.take('w', []);
  expect(action.state).toBe('finished');
});

describe('of several workers', () => {
  test('one has the page, and only it may report', () => {
    const action = new Action();
    action.take('one', ['t-0-1'], undefined, 'second');
    expect(action.take('two', ['t-0-1'])).toBe('refused');
    expect(action.page('two', 1)).toBe('refused');
    expect(action.page('one', 1)).toBe('applied');
    expect(action.page('one', 1)).toBe('refused');
    expect(action.context.applied).toBe(1);
  });

  test('a page that another one read from an older place is refused', () => {
    const action = new Action();
    action.take('one', ['t-0-1'], undefined, 'second');
    action.page('one', 1);
    action.wait();
    expect(action.take('two', ['t-0-1'], undefined, 'second')).toBe('refused');
  });

  test('when one dies the next does the same page, whatever it has found meanwhile', () => {
    const action = new Action();
    action.take('one', ['t-0-1', 't-0-2'], undefined, 'second');
    action.wait();
    expect([action.now, action.state]).toEqual([1_000 + limits.bulkLeaseMs, 'ready']);
    expect(action.take('two', [])).toBe('applied');
    expect(action.context.page).toEqual({ ids: ['t-0-1', 't-0-2'], next: 'second' });
    expect(action.page('one', 2)).toBe('refused');
    action.page('two', 2);
    expect(action.context).toMatchObject({ applied: 2, cursor: 'second' });
  });
});

test('a page that could not be done begins anew after a pause, with its note', () => {
  const action = new Action();
  action.take('w', ['t-0-1']);
  action.tell({ type: 'give_back', worker: 'w', note: 'shard 3 did not answer' });
  expect([action.state, action.context.note]).toEqual(['resting', 'shard 3 did not answer']);
  expect(Object.values(action.actor.timers)).toEqual([1_000 + limits.bulkRetryMs]);
  action.wait();
  action.take('w', []);
  action.page('w', 1);
  expect([action.state, action.context.note, action.context.applied]).toEqual(['finished', undefined, 1]);
});

test('paused in the middle of a page, the page still counts; resumed it goes on behind it', () => {
  const action = new Action();
  action.take('w', ['t-0-1'], undefined, 'second');
  action.tell({ type: 'pause' });
  action.page('w', 1);
  expect([action.state, action.context.applied]).toEqual(['paused', 1]);
  action.tell({ type: 'resume' });
  expect(action.take('w', ['t-0-2'], 'second')).toBe('applied');
});

test('stopped in the middle of a page, it waits for the worker, or for its lease', () => {
  for (const dies of [false, true]) {
    const action = new Action();
    action.take('w', ['t-0-1'], undefined, 'second');
    action.tell({ type: 'stop' });
    expect(action.state).toBe('stopping');
    if (dies) action.wait();
    else action.page('w', 1);
    expect([action.state, action.context.applied]).toEqual(['stopped', dies ? 0 : 1]);
  }
});
