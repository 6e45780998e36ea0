/** The life of an agent, and how the fleet counts. */
import { describe, expect, test } from 'vitest';
import { agentDefaults } from '../../actors/agent/machine.ts';
import { agentStatus } from '../../actors/agent/status.ts';
import { createRegistry } from '../../actors/application.ts';
import { freeze, stateOf, thaw, viewOf, type Actor } from '../../runtime/core/actor.ts';
import type { Effect } from '../../runtime/core/effect.ts';
import { legalEvents, step, type Decision } from '../../runtime/core/step.ts';
import type { MachineEvent, Origin } from '../../runtime/protocol/envelope.ts';
import type { JsonObject } from '../../runtime/protocol/json.ts';

const registry = createRegistry();
const definition = registry.get('agent')!;
const to = 'agent/a-0-x' as const;
const external = ['drain', 'pause', 'resume', 'retire'];
const reports = ['heartbeat', 'seen', 'goodbye'];

class Told {
  actor!: Actor;
  now = 10_000;
  last!: Decision;
  #id = 0;

  constructor(slots = 2) {
    const input = { type: 'echo', slots, max_agents: 3 };
    this.last = step(definition, undefined, { id: 'c', to, origin: 'command', input }, this.now);
    this.#keep();
  }

  tell(type: string, fields: JsonObject = {}): this {
    const origin: Origin = external.includes(type) ? 'command' : reports.includes(type) ? 'report' : 'actor';
    const event = { type, ...fields } as MachineEvent;
    this.last = step(definition, this.actor, { id: `e${this.#id++}`, to, origin, event }, this.now);
    this.#keep();
    return this;
  }

  register(): this {
    const input = { type: 'echo', slots: 1, max_agents: 3 };
    this.last = step(definition, this.actor, { id: `r${this.#id++}`, to, origin: 'command', input }, this.now);
    this.#keep();
    return this;
  }

  pass(name: string): this {
    const [timer, due] = Object.entries(this.actor.timers).find(([id]) => id.includes(`.${name}.`)) ?? [];
    this.now = Number(due);
    this.last = step(definition, this.actor, { id: timer!, to, origin: 'timer', event: { type: timer! } }, this.now);
    this.#keep();
    return this;
  }

  get status(): string {
    return agentStatus(stateOf(this.actor));
  }

  get context(): JsonObject {
    return viewOf(this.actor).context;
  }

  get effects(): Effect[] {
    return this.last.outcome === 'applied' ? this.last.effects : [];
  }

  /** Addresses that the last step sent to, with the event. */
  get sent(): string[] {
    return this.effects.flatMap((effect) => (effect.kind === 'send' ? [`${effect.to} ${effect.event.type}`] : []));
  }

  get posted(): string[] {
    return this.effects.flatMap((effect) => (effect.kind === 'post' ? [effect.message.kind] : []));
  }

  #keep(): void {
    if (this.last.outcome !== 'applied') return;
    const back = thaw(definition, to, freeze(this.last.actor));
    if (!back.ok) throw new Error(back.detail);
    expect(freeze(back.actor)).toBe(freeze(this.last.actor));
    this.actor = back.actor;
  }
}

const present = (slots?: number): Told => new Told(slots).tell('admitted');

describe('registration', () => {
  test('opens a mailbox, asks the fleet, and is idle when admitted', () => {
    const agent = new Told();
    expect(agent.status).toBe('REGISTERING');
    expect(agent.effects.map((effect) => effect.kind)).toEqual(expect.arrayContaining(['openMailbox', 'send']));
    expect(agent.sent).toEqual(['fleet/f-0-site admit']);
    expect(agent.tell('admitted').status).toBe('IDLE');
  });

  test('asks again when the answer does not come', () => {
    expect(new Told().pass('registering').sent).toEqual(['fleet/f-0-site admit']);
  });

  test('is retired with the reason when the site is full', () => {
    const agent = new Told().tell('rejected', { reason: 'full' });
    expect([agent.status, agent.context['reason']]).toEqual(['RETIRED', 'full']);
  });

  test('a second registration is a new generation: the old attempts are taken back, old reports refused', () => {
    const agent = present()
      .tell('occupy', { tasks: [['t-0-1', 0]] })
      .register();
    expect(agent.sent).toEqual(['task/t-0-1 revoke', 'fleet/f-0-site admit']);
    expect(agent.context).toMatchObject({ generation: 2, holding: {}, slots: 1 });
    agent.tell('admitted').tell('heartbeat', { generation: 1 });
    expect(agent.last).toMatchObject({ outcome: 'refused', reason: 'old-generation' });
    expect(agent.tell('heartbeat', { generation: 2 }).last.outcome).toBe('applied');
  });

  test('a lost and a retired agent come back by registering', () => {
    expect(present().pass('suspect').pass('lost').register().tell('admitted').status).toBe('IDLE');
    expect(present().tell('goodbye').register().tell('admitted').status).toBe('IDLE');
  });
});

describe('health', () => {
  test(`suspect after ${agentDefaults.suspectMs} ms, lost after ${agentDefaults.lostMs} ms, counted from the last sign of life`, () => {
    const agent = present().tell('occupy', {
      tasks: [
        ['t-0-1', 0],
        ['t-0-2', 0],
      ],
    });
    agent.now += 4_000;
    agent.tell('seen');
    const seen = agent.now;
    agent.pass('suspect');
    expect([agent.status, agent.now - seen]).toEqual(['SUSPECT', agentDefaults.suspectMs]);
    agent.pass('lost');
    expect([agent.status, agent.now - seen]).toEqual(['LOST', agentDefaults.lostMs]);
    expect(agent.sent).toEqual(['task/t-0-1 revoke', 'task/t-0-2 revoke', 'fleet/f-0-site leave']);
    expect(agent.context['holding']).toEqual({});
  });

  test('a heartbeat makes it well again, and keeps watched attempts alive', () => {
    const agent = present()
      .tell('occupy', {
        tasks: [
          ['t-0-1', 1],
          ['t-0-2', 0],
        ],
      })
      .pass('suspect');
    const attempts = ['t-0-1', 't-0-2', 't-0-gone'].map((task) => ({ task, token: 'tok' }));
    agent.tell('heartbeat', { attempts });
    expect(agent.status).toBe('BUSY');
    expect(agent.sent).toEqual(['task/t-0-1 beat']);
    expect(agent.posted).toEqual(['cancel']);
  });

  test('signs of life closer together than a second are one', () => {
    const skip = definition.passOver!;
    expect(skip({ seenAt: 1_000, generation: 1 }, { type: 'seen' }, 1_000 + agentDefaults.seenEveryMs - 1)).toBe(true);
    expect(skip({ seenAt: 1_000, generation: 1 }, { type: 'seen' }, 1_000 + agentDefaults.seenEveryMs)).toBe(false);
    expect(skip({ seenAt: 1_000, generation: 2 }, { type: 'seen', generation: 1 }, 1_001)).toBe(false);
  });
});

describe('availability', () => {
  test('busy when all slots are taken, idle when one is free', () => {
    const agent = present(2).tell('occupy', { tasks: [['t-0-1', 0]] });
    expect(agent.status).toBe('IDLE');
    expect(agent.tell('occupy', { tasks: [['t-0-2', 0]] }).status).toBe('BUSY');
    expect(agent.tell('release', { tasks: ['t-0-1'] }).status).toBe('IDLE');
  });

  test('pause and resume; what is not legal is refused with what is', () => {
    const agent = present().tell('pause');
    expect(agent.status).toBe('PAUSED');
    expect(agent.tell('pause').last).toMatchObject({ outcome: 'refused', legal: ['drain', 'resume', 'retire'] });
    expect(agent.tell('resume').status).toBe('IDLE');
    expect(legalEvents(agent.actor)).toEqual(['drain', 'pause', 'retire']);
  });

  test('drain: finishes what it holds, then it is told to go', () => {
    const agent = present()
      .tell('occupy', { tasks: [['t-0-1', 0]] })
      .tell('drain');
    expect([agent.status, agent.posted]).toEqual(['DRAINING', ['drain']]);
    agent.tell('release', { tasks: ['t-0-1'] });
    expect([agent.status, agent.posted]).toEqual(['RETIRED', ['shutdown']]);
  });

  test('drain without work retires at once', () => {
    expect(present().tell('drain').status).toBe('RETIRED');
  });

  test('retire and goodbye take back what it holds', () => {
    for (const event of ['retire', 'goodbye']) {
      const agent = present()
        .tell('occupy', { tasks: [['t-0-1', 0]] })
        .tell(event);
      expect(agent.status).toBe('RETIRED');
      expect(agent.sent).toEqual(['task/t-0-1 revoke', 'fleet/f-0-site leave']);
    }
  });

  test('a retired agent is forgotten after a while, with its mailbox', () => {
    const agent = present().tell('goodbye').pass('retiredForgotten');
    expect(agent.actor.snapshot.status).toBe('done');
    expect(agent.effects.map((effect) => effect.kind)).toContain('closeMailbox');
  });
});

test('the fleet admits up to max_agents, knows its members, and has room again when one leaves', () => {
  const fleet = registry.get('fleet')!;
  let actor: Actor | undefined;
  const tell = (event: MachineEvent): Decision => {
    const decision = step(fleet, actor, { id: 'x', to: 'fleet/f-0-site', origin: 'actor', event }, 1_000);
    if (decision.outcome === 'applied') actor = decision.actor;
    return decision;
  };
  const answer = (agent: string): string => {
    const decision = tell({ type: 'admit', agent, max: 2 });
    const [effect] = decision.outcome === 'applied' ? decision.effects : [];
    return effect?.kind === 'send' ? `${effect.to} ${effect.event.type}` : '';
  };
  expect(answer('a-0-1')).toBe('agent/a-0-1 admitted');
  expect(answer('a-3-2')).toBe('agent/a-3-2 admitted');
  expect(answer('a-3-2')).toBe('agent/a-3-2 admitted');
  expect(answer('a-5-3')).toBe('agent/a-5-3 rejected');
  expect(tell({ type: 'leave', agent: 'a-9-nobody' }).outcome).toBe('refused');
  expect(tell({ type: 'leave', agent: 'a-0-1' }).outcome).toBe('applied');
  expect(answer('a-5-3')).toBe('agent/a-5-3 admitted');
});
