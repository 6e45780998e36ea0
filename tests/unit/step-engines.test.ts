/** The laws of `step` hold alike for a machine whose transitions are planned and for one that XState interprets. */
import { describe, expect, test } from 'vitest';
import { limits } from '../../config/limits.ts';
import { freeze, stateOf, thaw, viewOf, type Actor } from '../../runtime/core/actor.ts';
import type { Definition, LoadedDefinition } from '../../runtime/core/definition.ts';
import { legalEvents, retireTimer, step, type Decision } from '../../runtime/core/step.ts';
import type { Envelope, MachineEvent, Origin } from '../../runtime/protocol/envelope.ts';
import type { JsonObject } from '../../runtime/protocol/json.ts';
import { lampDefinition } from '../support/lamp.ts';

const to = 'lamp/l-0-x' as const;
const dim = 'xstate.after.dim.lamp.on';
const commands = [
  ...['arm', 'disarm', 'emit', 'guard', 'halt', 'keep', 'label', 'loop', 'press', 'queue', 'rearm', 'shout', 'throw'],
];

class Lamp {
  readonly definition: LoadedDefinition;
  actor: Actor | undefined;
  now = 1_000;
  #id = 0;

  constructor(interpreted: boolean, more: Partial<Definition> = {}) {
    this.definition = lampDefinition(interpreted, more);
    expect(this.definition.plan === undefined).toBe(interpreted);
  }

  envelope(envelope: Partial<Envelope>): Decision {
    const whole: Envelope = { id: `e${this.#id++}`, to, origin: 'command', ...envelope };
    const decision = step(this.definition, this.actor, whole, this.now);
    if (decision.outcome === 'applied') this.actor = decision.actor;
    return decision;
  }

  create(input: JsonObject = {}): this {
    expect(this.envelope({ input }).outcome).toBe('applied');
    return this;
  }

  tell(type: string, fields: JsonObject = {}, more: Partial<Envelope> = {}): Decision {
    return this.envelope({ event: { type, ...fields } as MachineEvent, ...more });
  }

  fire(timer: string): Decision {
    return this.envelope({ id: timer, origin: 'timer', event: { type: timer } });
  }

  get timers(): Actor['timers'] {
    return this.actor!.timers;
  }

  get presses(): unknown {
    return viewOf(this.actor!).context['presses'];
  }
}

describe.each([
  ['planned', false],
  ['interpreted', true],
] as const)('%s', (_name, interpreted) => {
  const lamp = (more: Partial<Definition> = {}) => new Lamp(interpreted, more);

  describe('creation', () => {
    test('an input is checked and filled up, wherever it comes from', () => {
      expect(viewOf(lamp().create().actor!)).toMatchObject({ revision: 1, state: 'off', context: { presses: 0 } });
      for (const origin of ['command', 'relay'] as const)
        expect(lamp().envelope({ input: { presses: 'many' }, origin })).toMatchObject({
          reason: 'invalid-input',
          detail: expect.stringContaining('presses') as string,
        });
    });

    test('R10: a context that cannot be made is a fault, not a refusal', () => {
      const decision = lamp().envelope({ input: { fragile: true } });
      expect(decision).toMatchObject({ outcome: 'faulted', reason: 'machine-threw', detail: 'no such lamp' });
    });

    test('R6: what exists is created again: a duplicate, a conflict or an event, as the definition says', () => {
      const told = lamp({
        recreate: (actor, input) =>
          input['presses'] === 1
            ? { kind: 'conflict', detail: 'another lamp' }
            : { kind: 'event', event: { type: actor.state === 'off' ? 'press' : 'nothing' } },
      }).create();
      expect(told.envelope({ input: { presses: 1 } })).toMatchObject({ outcome: 'refused', reason: 'conflict' });
      expect(told.envelope({ input: { presses: 2 } }).outcome).toBe('applied');
      expect(stateOf(told.actor!)).toBe('on');
      expect(told.envelope({ input: { presses: 2 } })).toMatchObject({ outcome: 'refused', reason: 'not-legal-now' });
      expect(lamp().create().envelope({ input: {} })).toMatchObject({ outcome: 'duplicate' });
      expect(
        lamp()
          .create()
          .envelope({ input: { presses: 'many' } }),
      ).toMatchObject({ reason: 'invalid-input' });
    });

    test('R6: a creation that means an event counts once, however often it is sent', () => {
      const told = lamp({ recreate: () => ({ kind: 'event', event: { type: 'press' } }) });
      told.envelope({ input: {}, id: 'first' });
      expect(told.envelope({ input: {}, id: 'first' }).outcome).toBe('duplicate');
      expect(told.envelope({ input: {}, id: 'second' }).outcome).toBe('applied');
      expect(told.envelope({ input: {}, id: 'second' }).outcome).toBe('duplicate');
      expect(told.presses).toBe(1);
    });

    test('the first event makes an actor where the definition says of what', () => {
      const told = lamp({ genesis: (id) => ({ presses: id.length }) });
      expect(told.tell('nosuch')).toMatchObject({ outcome: 'refused' });
      expect(told.tell('guard')).toMatchObject({ outcome: 'faulted' });
      expect(told.actor).toBeUndefined();
      expect(told.tell('press', {}, { id: 'same' }).outcome).toBe('applied');
      expect([told.presses, told.actor!.revision]).toEqual([6, 1]);
      expect(told.tell('press', {}, { id: 'same' }).outcome).toBe('duplicate');
    });
  });

  describe('R6: refusals say why, and what is legal', () => {
    test.each(['nosuch', 'constructor', '__proto__', 'toString', 'xstate.init', 'xstate.stop', '*', dim, 'seen'])(
      'the command %s is none',
      (type) => {
        const told = lamp().create();
        expect(told.tell(type)).toMatchObject({ outcome: 'refused', reason: 'unknown-event', legal: commands });
        expect(told.actor!.revision).toBe(1);
      },
    );

    test('a report is what the definition lists, and nothing else', () => {
      const told = lamp().create();
      expect(told.tell('press', {}, { origin: 'report' })).toMatchObject({ reason: 'unknown-event' });
      expect(told.tell('seen', {}, { origin: 'report' }).outcome).toBe('applied');
    });

    test('what the state does not take, or nothing any more', () => {
      const told = lamp().create();
      told.tell('press');
      expect(told.tell('halt')).toMatchObject({ reason: 'not-legal-now', legal: ['press'] });
      expect(legalEvents(told.actor!)).toEqual(['press']);
      told.tell('press');
      told.tell('halt');
      expect(told.tell('press')).toMatchObject({ reason: 'finished', legal: [] });
    });

    test('the definition may know better', () => {
      const told = lamp({ refusal: (actor, event) => `${JSON.stringify(actor.state)}-and-${event.type}` }).create();
      told.tell('press');
      expect(told.tell('halt')).toMatchObject({ reason: '"on"-and-halt' });
    });

    test('R12: a detail is cut at its limit', () => {
      const decision = lamp()
        .create()
        .tell('n'.repeat(2 * limits.reasonLengthMax));
      expect(decision.outcome === 'refused' && decision.detail.length).toBe(limits.reasonLengthMax);
    });
  });

  describe('R6: a command is applied once', () => {
    test.each(['command', 'relay'] as Origin[])('%s', (origin) => {
      const told = lamp().create();
      expect(told.tell('label', {}, { id: 'same', origin }).outcome).toBe('applied');
      expect(told.tell('label', {}, { id: 'same', origin }).outcome).toBe('duplicate');
    });

    test('one that was refused may be legal later', () => {
      const told = lamp().create();
      told.tell('press');
      expect(told.tell('label', {}, { id: 'same' }).outcome).toBe('refused');
      told.tell('press');
      expect(told.tell('label', {}, { id: 'same' }).outcome).toBe('applied');
    });

    test(`R12: the last ${limits.recentCommandsMax} are known, the one before them is not`, () => {
      const told = lamp().create();
      for (let n = 0; n <= limits.recentCommandsMax; n++) told.tell('label', {}, { id: `c${n}` });
      expect(told.actor!.recent).toHaveLength(limits.recentCommandsMax);
      expect(told.tell('label', {}, { id: 'c1' }).outcome).toBe('duplicate');
      expect(told.tell('label', {}, { id: 'c0' }).outcome).toBe('applied');
    });

    test('reports and events of other actors leave nothing to remember', () => {
      const told = lamp().create();
      told.tell('seen', {}, { origin: 'report' });
      told.tell('press', {}, { origin: 'actor' });
      expect(told.actor!.recent).toEqual([]);
    });
  });

  describe('timers', () => {
    test('a delay becomes a timer when its state is entered, Infinity none, and leaving takes it back', () => {
      const told = lamp().create();
      expect(told.tell('press')).toMatchObject({ effects: [] });
      expect(told.timers).toEqual({ [dim]: 2_000 });
      expect(told.tell('press')).toMatchObject({ effects: [] });
      expect(told.timers).toEqual({});
    });

    test('R1: one fires when it is due, once; before and after it is nothing that happened', () => {
      const told = lamp().create();
      told.tell('press');
      told.now = 1_999;
      expect(told.fire(dim).outcome).toBe('duplicate');
      told.now = 2_000;
      expect(told.fire(dim)).toMatchObject({ outcome: 'applied', effects: [] });
      expect(told.timers).toEqual({});
      expect(stateOf(told.actor!)).toBe('off');
      expect(told.fire(dim).outcome).toBe('duplicate');
      told.tell('press');
      // Read when it was due, decided after it was set anew.
      expect(told.fire(dim).outcome).toBe('duplicate');
    });

    test('a raise with a name of its own is kept with its event, set again and cancelled', () => {
      const told = lamp().create();
      told.tell('arm');
      expect(told.timers).toEqual({ bell: [1_700, { type: 'chime', volume: 3 }] });
      told.now = 1_500;
      told.tell('rearm');
      expect(told.timers).toEqual({ bell: [2_200, { type: 'chime', volume: 3 }] });
      told.now = 2_200;
      expect(told.fire('bell').outcome).toBe('applied');
      expect(told.presses).toBe(2);
      told.tell('arm');
      told.tell('disarm');
      expect(told.timers).toEqual({});
      expect(told.tell('disarm')).toMatchObject({ outcome: 'applied', effects: [] });
    });

    test('one for an actor that is gone is nothing that happened, also where a first event makes an actor', () => {
      expect(lamp().fire(dim).outcome).toBe('duplicate');
      const born = lamp({ genesis: () => ({ presses: 0 }) });
      expect(born.fire(dim).outcome).toBe('duplicate');
      expect(born.fire(retireTimer).outcome).toBe('duplicate');
      expect(born.actor).toBeUndefined();
    });
  });

  describe('the end', () => {
    test('takes back every timer and begins the retention, if it ever ends', () => {
      const told = lamp().create();
      told.tell('arm');
      expect(told.tell('halt').outcome).toBe('applied');
      expect(told.timers).toEqual({ [retireTimer]: 6_000 });
      const kept = lamp({ retentionMs: Infinity }).create();
      kept.tell('halt');
      expect(kept.timers).toEqual({});
    });

    test('the snapshot goes when the retention is over, not before, and not while the actor lives', () => {
      const told = lamp().create();
      expect(told.fire(retireTimer).outcome).toBe('duplicate');
      told.tell('halt');
      told.now = 5_999;
      expect(told.fire(retireTimer).outcome).toBe('duplicate');
      told.now = 6_000;
      expect(told.fire(retireTimer)).toEqual({ outcome: 'retired' });
    });
  });

  describe('R10: faults', () => {
    const faults: [event: string, fields: JsonObject, reason: string, detail: RegExp][] = [
      ['guard', {}, 'machine-threw', /a guard failed/],
      ['throw', {}, 'machine-threw', /an action failed/],
      ['loop', {}, 'machine-threw', /Infinite loop|took more than/],
      ['emit', {}, 'unknown-effect', /xstate\.emit/],
      ['shout', { times: limits.effectsPerStepMax + 1 }, 'too-many-effects', /10001 effects/],
      ['keep', { nothing: true }, 'context-not-json', /a Date at kept/],
    ];
    test.each(faults)('%s', (event, fields, reason, detail) => {
      const told = lamp().create();
      const before = freeze(told.actor!);
      const decision = told.tell(event, fields);
      expect(decision).toMatchObject({ outcome: 'faulted', reason });
      expect(decision.outcome === 'faulted' && decision.detail).toMatch(detail);
      expect(freeze(told.actor!)).toBe(before);
      // Nothing of it is left for the next one.
      expect(told.tell('label')).toMatchObject({ outcome: 'applied', effects: [] });
    });

    test(`R12: ${limits.effectsPerStepMax} effects are taken`, () => {
      const decision = lamp().create().tell('shout', { times: limits.effectsPerStepMax });
      expect(decision.outcome === 'applied' && decision.effects.length).toBe(limits.effectsPerStepMax);
    });
  });

  test('actions that are queued by an action are taken', () => {
    const told = lamp().create();
    const post = { kind: 'post', mailbox: 'a-0-x', message: { kind: 'queued' } };
    expect(told.tell('queue')).toMatchObject({ effects: [post] });
    expect(told.presses).toBe(1);
  });

  test('R9: undefined members are gone, at any depth', () => {
    const told = lamp().create();
    told.tell('label', { text: 'a' });
    told.tell('label');
    told.tell('keep');
    expect(viewOf(told.actor!).context).toStrictEqual({ presses: 0, kept: { even: 2 } });
  });

  test('R2: nothing that is given is changed', () => {
    const told = lamp().create();
    told.tell('arm');
    const actor = Object.freeze(told.actor!);
    for (const part of [actor.snapshot.context, actor.timers, actor.recent]) Object.freeze(part);
    const before = freeze(actor);
    const event = Object.freeze({ type: 'label', text: 'frozen' });
    const envelope = Object.freeze({ id: 'x', to, origin: 'command' as const, event });
    const decide = () => {
      const decision = step(told.definition, actor, envelope, 2_000);
      return decision.outcome === 'applied' ? freeze(decision.actor) : decision;
    };
    expect(decide()).toEqual(decide());
    expect(freeze(actor)).toBe(before);
  });

  test('what is stored is lifted by the migrations, one version after the other', () => {
    const text = freeze(lamp().create({ presses: 1 }).actor!);
    const lifted: LoadedDefinition = lampDefinition(interpreted, {
      version: 3,
      migrations: {
        1: (stored) => ({ ...stored, version: '2-x', context: { presses: Number(stored.context['presses']) * 10 } }),
        2: (stored) => ({ ...stored, version: lifted.versionTag }),
      },
    });
    const thawed = thaw(lifted, to, text);
    expect(thawed.ok && viewOf(thawed.actor).context).toEqual({ presses: 10 });
    expect(thaw(lampDefinition(interpreted, { version: 2 }), to, text)).toMatchObject({ reason: 'unknown-version' });
  });
});
