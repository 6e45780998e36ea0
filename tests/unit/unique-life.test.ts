import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRegistry } from '../../actors/application.ts';
import { uniqueSchema } from '../../actors/unique/schema.ts';
import { keyOf } from '../../api/claims.ts';
import { limits } from '../../config/limits.ts';
import { stateTextOf, type Actor } from '../../runtime/core/actor.ts';
import type { Effect } from '../../runtime/core/effect.ts';
import { step, type Decision } from '../../runtime/core/step.ts';
import type { MachineEvent } from '../../runtime/protocol/envelope.ts';

const definition = createRegistry().get('unique')!;
const to = 'unique/u-1-k';

class KeyLife {
  actor: Actor | undefined;
  readonly effects: Effect[] = [];
  #number = 0;

  tell(event: object, at: number, origin: 'command' | 'actor' | 'timer' = 'actor'): Decision {
    const typed = event as MachineEvent;
    const id = origin === 'timer' ? typed.type : `e${++this.#number}`;
    const decision = step(definition, this.actor, { id, to, origin, event: typed }, at);
    if (decision.outcome === 'applied') {
      this.actor = decision.actor;
      this.effects.push(...decision.effects);
    }
    return decision;
  }

  claim(task: string, at: number, more: object = {}): Decision {
    const claim = { type: 'claim', task, input: { type: 'echo' }, until: 'terminal', on_conflict: 'reject', ...more };
    return this.tell(claim, at, 'command');
  }

  ring(name: string, at: number): Decision {
    const timer = Object.keys(this.actor?.timers ?? {}).find((id) => id.includes(`.${name}.`));
    return this.tell({ type: timer ?? 'none' }, at, 'timer');
  }

  get state(): string {
    return this.actor ? stateTextOf(this.actor) : 'none';
  }
}

const over = (task: string, status = 'succeeded') => ({ type: 'parent', task, status });

describe('a uniqueness key', () => {
  test('makes the task of the first claim, and refuses the second until that task is over', () => {
    const life = new KeyLife();
    expect(life.claim('t-1-a', 0).outcome).toBe('applied');
    expect(life.effects).toEqual([
      { kind: 'spawn', to: 'task/t-1-a', input: { type: 'echo', parameters: {}, priority: 0 } },
      { kind: 'send', to: 'task/t-1-a', event: { type: 'await', child: to } },
    ]);
    expect(life.claim('t-1-b', 1)).toMatchObject({ outcome: 'refused', reason: 'taken' });
    expect(life.claim('t-1-a', 1)).toMatchObject({ outcome: 'refused', reason: 'claimed' });
    // Parked may still be redriven.
    life.tell(over('t-1-a', 'parked'), 2);
    expect(life.claim('t-1-b', 3).outcome).toBe('refused');
    life.tell(over('t-1-a', 'cancelled'), 4);
    expect(life.claim('t-1-b', 5).outcome).toBe('applied');
  });

  test('replace cancels the holder, and the new task waits for it; a late word of the old one frees nothing', () => {
    const life = new KeyLife();
    life.claim('t-1-a', 0);
    expect(life.claim('t-1-b', 1, { on_conflict: 'replace' }).outcome).toBe('applied');
    expect(life.effects.slice(2)).toEqual([
      { kind: 'send', to: 'task/t-1-a', event: { type: 'cancel', reason: 'replaced by t-1-b' } },
      {
        kind: 'spawn',
        to: 'task/t-1-b',
        input: { type: 'echo', parameters: {}, priority: 0, depends_on: ['t-1-a'], on_failure: 'run' },
      },
      { kind: 'send', to: 'task/t-1-b', event: { type: 'await', child: to } },
    ]);
    expect(life.tell(over('t-1-a', 'cancelled'), 2).outcome).toBe('refused');
    expect(life.state).toBe('held');
    expect(life.claim('t-1-b', 3, { on_conflict: 'replace' })).toMatchObject({ reason: 'claimed' });
  });

  test('until started: an agent that has the task frees it; until ttl: nothing but the time does', () => {
    const started = new KeyLife();
    started.claim('t-1-a', 0, { until: 'started' });
    started.tell({ type: 'started', task: 't-1-a' }, 1);
    expect(started.state).toBe('free');
    const ttl = new KeyLife();
    ttl.claim('t-1-a', 0, { until: 'ttl', for_ms: 1_000 });
    ttl.tell(over('t-1-a'), 1);
    expect(ttl.claim('t-1-b', 999)).toMatchObject({ reason: 'taken' });
    expect(ttl.ring('ttl', 999).outcome).toBe('duplicate');
    ttl.ring('ttl', 1_000);
    expect(ttl.claim('t-1-b', 1_000).outcome).toBe('applied');
    const capped = new KeyLife();
    capped.claim('t-1-a', 0, { for_ms: 50 });
    capped.ring('ttl', 50);
    expect(capped.state).toBe('free');
  });

  test('goes when nobody wants it, and a claim before keeps it', () => {
    const life = new KeyLife();
    life.claim('t-1-a', 0);
    life.tell(over('t-1-a'), 10);
    life.claim('t-1-b', 20);
    expect(life.ring('idle', limits.uniqueKeyIdleMs).outcome).toBe('duplicate');
    life.tell(over('t-1-b'), 30);
    life.ring('idle', 30 + limits.uniqueKeyIdleMs);
    expect(life.state).toBe('gone');
    expect(life.claim('t-1-c', 40 + limits.uniqueKeyIdleMs)).toMatchObject({ outcome: 'refused', reason: 'finished' });
  });

  test('property: of any claims and ends, a task is made only when the one before is over, replaced or out of time', () => {
    const deed = fc.record({
      what: fc.constantFrom('claim', 'end', 'park', 'started', 'ttl'),
      task: fc.nat(6),
      until: fc.constantFrom('terminal', 'started', 'ttl'),
      on_conflict: fc.constantFrom('reject', 'return_existing', 'replace'),
    });
    fc.assert(
      fc.property(fc.array(deed, { maxLength: 60 }), (deeds) => {
        const life = new KeyLife();
        let holder: { task: string; until: string } | undefined;
        for (const [at, { what, task: number, until, on_conflict }] of deeds.entries()) {
          const task = `t-1-${what === 'claim' ? `${number}x${at}` : (holder?.task.slice(4) ?? 'none')}`;
          const before = life.effects.filter(({ kind }) => kind === 'spawn').length;
          if (what === 'claim') life.claim(task, at, { until, on_conflict, ...(until === 'ttl' && { for_ms: 1_000 }) });
          else if (what === 'ttl') life.ring('ttl', at + 2_000);
          else if (life.actor)
            life.tell(
              what === 'started' ? { type: what, task } : over(task, what === 'park' ? 'parked' : 'expired'),
              at,
            );
          const made = life.effects.filter(({ kind }) => kind === 'spawn').length - before;
          const mayTake = !holder || on_conflict === 'replace';
          expect(made).toBe(what === 'claim' && mayTake ? 1 : 0);
          if (made === 1) holder = { task, until };
          else if (what === 'end' && holder && holder.until !== 'ttl') holder = undefined;
          else if (what === 'started' && holder?.until === 'started') holder = undefined;
          else if (what === 'ttl' && holder?.until === 'ttl') holder = undefined;
          expect(life.state === 'held').toBe(holder !== undefined);
        }
      }),
    );
  });
});

describe('what is one key', () => {
  const of = (unique: object, task: { type?: string; parameters?: string; tenant?: string } = {}) =>
    keyOf(uniqueSchema.parse(unique), { type: 'a', parameters: '{}', tenant: undefined, ...task }, 16);

  test.each([
    ['a key is of its type', { key: 'k' }, { type: 'b' }, false],
    ['and not of the parameters', { key: 'k' }, { parameters: '1' }, true],
    ['unless they are named', { key: 'k', by: ['parameters'] }, { parameters: '1' }, false],
    ['by nothing, it spans types', { key: 'k', by: [] }, { type: 'b' }, true],
    ['without a key it is the parameters', {}, { parameters: '1' }, false],
    ['of the type', {}, { type: 'b' }, false],
    ['a tenant always counts', { key: 'k', by: [] }, { tenant: 't' }, false],
  ])('%s', (_rule, unique, other, same) => {
    expect(of(unique) === of(unique, other)).toBe(same);
  });

  test('a key of a type lives with the tasks of the type', () => {
    expect(of({ key: 'k' }).split('-')[1]).toBe(of({ key: 'other' }).split('-')[1]);
  });

  test('what makes no sense is refused', () => {
    const issue = (body: object) => uniqueSchema.safeParse(body).error?.issues[0]?.message;
    expect(issue({ by: [] })).toContain('nothing would be unique');
    expect(issue({ until: 'ttl' })).toContain('is missing');
    expect(issue({ key: 'x'.repeat(limits.nameLengthMax) })).toBeUndefined();
    expect(issue({ key: 'x'.repeat(10_000) })).toBeDefined();
    expect(issue({ key: 'a\u0000' })).toContain('control');
  });
});
