/** Dispatch under random demands: what must hold after every batch, checked from the actors alone. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { meets, holds } from '../../actors/dispatch/fit.ts';
import type { JsonObject } from '../../runtime/protocol/json.ts';
import { DispatchBed } from '../support/dispatchbed.ts';

const windowMs = 10_000;
const units = 20;

const demand = fc.record(
  {
    tenant: fc.constantFrom('a', 'b'),
    priority: fc.nat(2),
    concurrency: fc.record({
      key: fc.constantFrom('k', 'l'),
      limit: fc.integer({ min: 1, max: 2 }),
      strategy: fc.constantFrom('queue', 'queue', 'cancel_newest', 'cancel_in_progress'),
    }),
    limits: fc.record({ tokens: fc.integer({ min: 1, max: 12 }) }),
    requires: fc.record({
      capabilities: fc.constant([] as string[]),
      labels: fc.array(fc.record({ label: fc.constant('size'), op: fc.constantFrom('>=', '<'), value: fc.nat(3) }), {
        maxLength: 1,
      }),
    }),
    prefers: fc.constant([{ label: 'size', op: '=', value: 1, weight: 2 }]),
    resources: fc.record({ gpu: fc.integer({ min: 1, max: 3 }) }),
    slots: fc.integer({ min: 1, max: 3 }),
  },
  { requiredKeys: [] },
);

type Step =
  | { kind: 'submit'; demands: JsonObject[] }
  | { kind: 'end'; pick: number; how: 'completed' | 'failed' | 'released'; cost: number | undefined }
  | { kind: 'pass'; ms: number }
  | { kind: 'queue'; event: 'pause' | 'resume' }
  | { kind: 'agent'; name: string; input: JsonObject };

const agent = fc.record({
  slots: fc.integer({ min: 1, max: 4 }),
  labels: fc.record({ size: fc.nat(3) }),
  resources: fc.record({ gpu: fc.nat(4) }),
});

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('submit' as const),
      demands: fc.array(demand, { minLength: 1, maxLength: 4 }) as fc.Arbitrary<JsonObject[]>,
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('end' as const),
      pick: fc.nat(9),
      how: fc.constantFrom('completed' as const, 'completed' as const, 'failed' as const, 'released' as const),
      cost: fc.option(fc.nat(15), { nil: undefined }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.constantFrom(200, 3_000, windowMs) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('queue' as const),
      event: fc.constantFrom('pause' as const, 'resume' as const, 'resume' as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('agent' as const),
      name: fc.constantFrom('x', 'y', 'z'),
      input: agent as unknown as fc.Arbitrary<JsonObject>,
    }),
  },
);

class Model {
  readonly bed = new DispatchBed();
  readonly agents = new Set<string>();
  paused = false;

  apply(one: Step): void {
    const { bed } = this;
    switch (one.kind) {
      case 'submit':
        bed.settle(one.demands.map((input) => bed.submitEntry(input)));
        return;
      case 'end': {
        const held = bed.tasks('assigned', 'running', 'cancelling');
        const task = held[one.pick % Math.max(1, held.length)];
        if (!task) return;
        const cost = one.cost === undefined ? {} : { cost: JSON.stringify({ tokens: one.cost }) };
        bed.end(task.id, one.how, one.how === 'released' ? {} : cost);
        return;
      }
      case 'pass':
        bed.pass(one.ms);
        return;
      case 'queue':
        if (this.paused === (one.event === 'pause')) return;
        this.paused = !this.paused;
        bed.pause(one.event);
        return;
      case 'agent':
        this.agents.add(bed.agent(one.name, one.input));
    }
  }

  /** From the actors, by the rules as they are written, and by nothing that the dispatcher has worked out. */
  check(): void {
    const { bed } = this;
    expect(bed.drift()).toEqual([]);
    const held = bed.tasks('assigned', 'running', 'cancelling');
    const free = new Map<string, { slots: number; gpu: number }>();
    for (const id of this.agents) {
      const { slots, resources } = bed.agentContext(id);
      free.set(id, { slots, gpu: resources['gpu'] ?? 0 });
    }
    const underKey = new Map<string, number>();
    for (const { context } of held) {
      const seat = free.get(context.agent!)!;
      seat.slots -= context.demand?.slots ?? 1;
      seat.gpu -= context.demand?.resources?.['gpu'] ?? 0;
      const { concurrency } = context.demand ?? {};
      if (!concurrency) continue;
      const key = JSON.stringify([context.tenant, concurrency.key]);
      underKey.set(key, (underKey.get(key) ?? 0) + 1);
    }
    for (const [id, seat] of free) {
      expect(seat.slots, `slots of ${id}`).toBeGreaterThanOrEqual(0);
      expect(seat.gpu, `gpu of ${id}`).toBeGreaterThanOrEqual(0);
    }
    if (this.paused) return;
    for (const { id, context } of bed.tasks('queued')) {
      const { demand: wants = {}, tenant } = context;
      if (wants.limits) continue;
      const key = wants.concurrency && JSON.stringify([tenant, wants.concurrency.key]);
      if (key !== undefined && (underKey.get(key) ?? 0) >= wants.concurrency!.limit) continue;
      // Of a key, the one that is next decides: another one may have a higher limit.
      if (key !== undefined && bed.tasks('queued').some((other) => other.id !== id && sameKey(other.context, context)))
        continue;
      for (const [name, seat] of free) {
        const fits =
          meets(wants.requires, bed.agentContext(name)) &&
          seat.slots >= (wants.slots ?? 1) &&
          seat.gpu >= (wants.resources?.['gpu'] ?? 0);
        expect(fits, `${id} waits and ${name} has room: ${JSON.stringify([wants, seat])}`).toBe(false);
      }
    }
  }
}

type Context = ReturnType<DispatchBed['task']>;
function sameKey(left: Context, right: Context): boolean {
  return left.tenant === right.tenant && left.demand?.concurrency?.key === right.demand?.concurrency?.key;
}

function play(steps: readonly Step[], each: (model: Model) => void): Model {
  const model = new Model();
  model.bed.setLimit('tokens', units, windowMs);
  for (const one of steps) {
    model.apply(one);
    each(model);
  }
  return model;
}

const steps = fc.array(step, { minLength: 5, maxLength: 40 });

test('R11: never over capacity or key, no free fitting slot while a fitting task waits, no drift', () => {
  fc.assert(
    fc.property(steps, (list) => {
      play(list, (model) => model.check());
    }),
    { numRuns: 60 },
  );
}, 120_000);

test('never past a limit: what is charged in a window is no more than it has', () => {
  fc.assert(
    fc.property(steps, (list) => {
      const charged = new Map<string, number>();
      const model = play(
        list.map((one) => (one.kind === 'end' ? { ...one, cost: undefined } : one)),
        ({ bed }) => {
          for (const { id, context } of bed.tasks('assigned', 'running')) {
            const cost = context.demand?.limits?.['tokens'];
            if (cost === undefined) continue;
            const window = Math.floor(context.chargedAt! / windowMs);
            charged.set(`${window} ${id} ${context.attempt}`, cost);
          }
        },
      );
      const sums = new Map<string, number>();
      for (const [key, cost] of charged) {
        const window = key.split(' ')[0]!;
        sums.set(window, (sums.get(window) ?? 0) + cost);
      }
      for (const sum of sums.values()) expect(sum).toBeLessThanOrEqual(units);
      expect(model.bed.drift()).toEqual([]);
    }),
    { numRuns: 60 },
  );
}, 120_000);

test('is the same for the same history', () => {
  fc.assert(
    fc.property(steps, (list) => {
      const [one, two] = [play(list, () => undefined), play(list, () => undefined)];
      expect(two.bed.assigned).toEqual(one.bed.assigned);
    }),
    { numRuns: 30 },
  );
}, 120_000);

test('labels: values of different kinds are never equal, and only numbers have an order', () => {
  const labels = { zone: 'a', memory: 8, text: '8' };
  const rows: [string, Parameters<typeof holds>[0]['op'], unknown, boolean][] = [
    ['zone', '=', 'a', true],
    ['zone', '!=', 'a', false],
    ['zone', 'in', ['b', 'a'], true],
    ['memory', '=', '8', false],
    ['memory', '>=', 8, true],
    ['memory', '>', 8, false],
    ['memory', '<', 9, true],
    ['memory', '<=', 7, false],
    ['text', '>=', 1, false],
    ['missing', '!=', 'a', true],
    ['missing', '=', 'a', false],
    ['missing', '<', 5, false],
    ['toString', '!=', 'a', true],
  ];
  for (const [label, op, value, expected] of rows)
    expect(holds({ label, op, value } as Parameters<typeof holds>[0], labels), `${label} ${op} ${String(value)}`).toBe(
      expected,
    );
});
