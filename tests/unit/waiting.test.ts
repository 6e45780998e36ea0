/** Why a task does not run: every reason that holds is named, and when the remedies named are applied, it runs. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Reason } from '../../actors/dispatch/reasons.ts';
import type { StateReason } from '../../actors/task/reasons.ts';
import { address } from '../../runtime/protocol/ids.ts';
import type { JsonObject } from '../../runtime/protocol/json.ts';
import { DispatchBed } from '../support/dispatchbed.ts';

const windowMs = 10_000;
const underWay = ['assigned', 'running'];
const over = ['succeeded', 'cancelled', 'expired'];

/** How it becomes what it is: none of these waits for anything that the explanation does not name. */
const task = fc.record(
  {
    tenant: fc.constantFrom('a', 'b'),
    priority: fc.nat(2),
    concurrency: fc.record({ key: fc.constantFrom('k', 'l'), limit: fc.integer({ min: 1, max: 2 }) }),
    limits: fc.record({ tokens: fc.integer({ min: 1, max: 30 }) }),
    requires: fc.record({
      capabilities: fc.subarray(['ocr']),
      labels: fc.array(fc.record({ label: fc.constant('size'), op: fc.constantFrom('>=', '<'), value: fc.nat(3) }), {
        maxLength: 1,
      }),
    }),
    resources: fc.record({ gpu: fc.integer({ min: 1, max: 5 }) }),
    slots: fc.integer({ min: 1, max: 3 }),
    delay_ms: fc.constantFrom(100, 60_000),
    retry: fc.record({ max_attempts: fc.integer({ min: 1, max: 3 }) }),
    parents: fc.array(fc.nat(9), { maxLength: 2 }),
    on_failure: fc.constantFrom('block', 'run'),
  },
  { requiredKeys: [] },
);

const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('submit' as const), task }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('end' as const),
      pick: fc.nat(9),
      how: fc.constantFrom('completed' as const, 'failed' as const, 'failed' as const, 'released' as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('tell' as const),
      pick: fc.nat(9),
      event: fc.constantFrom('pause' as const, 'cancel' as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.constantFrom(200, 3_000, windowMs) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('queue' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('agent' as const),
      slots: fc.integer({ min: 1, max: 4 }),
      size: fc.nat(3),
      gpu: fc.nat(4),
    }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

class Play {
  readonly bed = new DispatchBed();
  readonly #ids: string[] = [];
  #agents = 0;
  #paused = false;

  apply(one: Step): void {
    const { bed } = this;
    switch (one.kind) {
      case 'submit': {
        const { parents = [], on_failure, ...input } = one.task;
        const ids = [...new Set(parents.map((at) => this.#ids[at % Math.max(1, this.#ids.length)]))];
        const depends_on = ids.filter((id) => id !== undefined);
        this.#ids.push(
          bed.submit({
            ...input,
            ...(depends_on.length > 0 && { depends_on, on_failure: on_failure ?? 'block' }),
          } as JsonObject),
        );
        return;
      }
      case 'end': {
        const held = bed.tasks(...underWay);
        const chosen = held[one.pick % Math.max(1, held.length)];
        if (chosen) bed.end(chosen.id, one.how);
        return;
      }
      case 'tell': {
        const id = this.#ids[one.pick % Math.max(1, this.#ids.length)];
        if (id !== undefined) bed.tell(address('task', id), { type: one.event });
        return;
      }
      case 'pass':
        bed.pass(one.ms);
        return;
      case 'queue':
        if (!this.#paused) bed.pause('pause');
        this.#paused = true;
        return;
      case 'agent':
        bed.agent(`x${++this.#agents}`, { slots: one.slots, labels: { size: one.size }, resources: { gpu: one.gpu } });
    }
  }

  /** What an operator does who believes the explanation. */
  remedy(reason: Reason | StateReason, id: string, depth = 0): void {
    const { bed } = this;
    switch (reason.code) {
      case 'behind':
      case 'parent':
        if (over.includes(bed.status(reason.task)) || depth > 20) return;
        if ([...underWay, 'cancelling'].includes(bed.status(reason.task))) bed.end(reason.task, 'completed');
        else for (const before of bed.waiting(reason.task)) this.remedy(before, reason.task, depth + 1);
        return;
      case 'queue_paused':
        if (this.#paused) bed.pause('resume');
        this.#paused = false;
        return;
      case 'no_agent':
      case 'no_matching_agent':
      case 'claim_too_large':
        for (const size of [-1, 0, 1, 2, 3])
          bed.agent(`new${size}`, { slots: 9, capabilities: ['ocr'], labels: { size }, resources: { gpu: 9 } });
        return;
      case 'no_free_slot':
      case 'concurrency_key':
      case 'turn':
        for (const held of bed.tasks(...underWay, 'cancelling')) if (held.id !== id) bed.end(held.id, 'completed');
        return;
      case 'limit_spent':
        bed.pass(windowMs);
        return;
      case 'limit_too_small':
      case 'limit_unknown':
        bed.setLimit('tokens', 1_000, windowMs);
        return;
      case 'start_time':
      case 'retry_delay':
        bed.pass(Math.max(1, Date.parse(reason.until ?? '') - bed.now));
        return;
      case 'task_paused':
        bed.tell(address('task', id), { type: 'resume' });
        return;
      case 'operator':
        bed.tell(address('task', id), { type: 'redrive' });
        return;
      case 'agent_start':
      case 'agent_result':
      case 'agent_stop':
        bed.end(id, 'completed');
    }
  }
}

test('the explanation is right: when the remedies that it names are applied, the task runs', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 30 }), fc.nat(20), fc.boolean(), (list, pick, staffed) => {
      const play = new Play();
      const { bed } = play;
      bed.setLimit('tokens', 20, windowMs);
      if (staffed) bed.agent('first', { slots: 3, capabilities: ['ocr'], labels: { size: 3 }, resources: { gpu: 2 } });
      for (const one of list) play.apply(one);
      const open = ['scheduled', 'blocked', 'paused', 'queued', 'retrying', 'parked'];
      const waiting = bed.tasks(...open);
      const chosen = waiting[pick % Math.max(1, waiting.length)];
      if (!chosen) return;
      const { id } = chosen;
      const seen: string[] = [];
      // Whoever goes first may come between, so remedies are applied for as long as some are named.
      for (let round = 0; round < 60 && open.includes(bed.status(id)); round++) {
        const reasons = bed.waiting(id);
        seen.push(`${bed.status(id)}: ${reasons.map(({ code }) => code).join(' ')}`);
        expect(reasons.length, seen.join('; ')).toBeGreaterThan(0);
        for (const reason of reasons) if (open.includes(bed.status(id))) play.remedy(reason, id);
      }
      expect([...underWay, 'succeeded'], seen.join('; ')).toContain(bed.status(id));
      expect(bed.drift()).toEqual([]);
    }),
    { numRuns: 200 },
  );
}, 120_000);

describe('each state names its reasons', () => {
  const codes = (bed: DispatchBed, id: string) => bed.waiting(id).map(({ code }) => code);

  test('scheduled: its time, and what it will meet then', () => {
    const bed = new DispatchBed();
    const id = bed.submit({ delay_ms: 5_000, limits: { tokens: 9 } });
    expect(bed.waiting(id)).toEqual([
      { code: 'start_time', until: new Date(bed.now + 5_000).toISOString() },
      { code: 'no_agent', type: 'echo' },
    ]);
    bed.agent('x');
    expect(codes(bed, id)).toEqual(['start_time']);
    bed.pause('pause');
    expect(codes(bed, id)).toEqual(['start_time', 'queue_paused']);
  });

  test('blocked: each parent that is not over, and its own time as well', () => {
    const bed = new DispatchBed();
    bed.agent('x', { slots: 5 });
    const [first, second] = [bed.submit(), bed.submit({ retry: { max_attempts: 1 } })];
    const id = bed.submit({ depends_on: [first, second], delay_ms: 60_000 });
    const until = new Date(bed.now + 60_000).toISOString();
    expect(bed.waiting(id)).toEqual([
      { code: 'parent', task: first, status: 'waiting' },
      { code: 'parent', task: second, status: 'waiting' },
      { code: 'start_time', until },
    ]);
    bed.complete(first);
    bed.end(second, 'failed');
    expect(bed.waiting(id)).toEqual([
      { code: 'parent', task: second, status: 'parked' },
      { code: 'start_time', until },
    ]);
  });

  test('paused: that it was, and what it waited for', () => {
    const bed = new DispatchBed();
    bed.agent('x');
    const id = bed.submit({ delay_ms: 5_000 });
    bed.tell(address('task', id), { type: 'pause' });
    expect(codes(bed, id)).toEqual(['task_paused', 'start_time']);
  });

  test('retrying, parked, assigned and running: the clock, the operator, the agent', () => {
    const bed = new DispatchBed();
    const agent = bed.agent('x');
    const id = bed.submit({ retry: { max_attempts: 2, initial_delay_ms: 1_000, jitter: 0 } });
    expect(bed.waiting(id)).toEqual([{ code: 'agent_start', agent, until: new Date(bed.now + 60_000).toISOString() }]);
    bed.end(id, 'failed');
    expect(bed.waiting(id)).toEqual([
      { code: 'retry_delay', failures: 1, until: new Date(bed.now + 1_000).toISOString() },
    ]);
    bed.pass(1_000);
    bed.end(id, 'failed');
    expect(bed.waiting(id)).toEqual([{ code: 'operator', reason: 'failed', legal: ['redrive', 'cancel'] }]);
  });
});
