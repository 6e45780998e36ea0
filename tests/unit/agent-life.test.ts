/** The life of an agent, and how the fleet counts. */
import { describe, expect, test } from 'vitest';
import { agentDefaults } from '../../actors/agent/enrolment.ts';
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

  /** A timer that the machine named itself. */
  ring(timer: string): this {
    this.last = step(definition, this.actor, { id: timer, to, origin: 'timer', event: { type: timer } }, this.now);
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
  const answer = (agent: string, generation = 1): string => {
    const decision = tell({ type: 'admit', agent, generation, max: 2 });
    const [effect] = decision.outcome === 'applied' ? decision.effects : [];
    return effect?.kind === 'send' ? `${effect.to} ${effect.event.type}` : '';
  };
  expect(answer('a-0-1')).toBe('agent/a-0-1 admitted');
  expect(answer('a-3-2')).toBe('agent/a-3-2 admitted');
  expect(answer('a-3-2')).toBe('agent/a-3-2 admitted');
  expect(answer('a-5-3')).toBe('agent/a-5-3 rejected');
  expect(tell({ type: 'leave', agent: 'a-9-nobody', generation: 1 }).outcome).toBe('refused');
  expect(tell({ type: 'leave', agent: 'a-0-1', generation: 1 }).outcome).toBe('applied');
  expect(answer('a-5-3')).toBe('agent/a-5-3 admitted');
  // A word about a former generation that comes late does not put its successor out, and asks for nobody.
  expect(answer('a-5-3', 2)).toBe('agent/a-5-3 admitted');
  expect(tell({ type: 'leave', agent: 'a-5-3', generation: 1 }).outcome).toBe('refused');
  expect(tell({ type: 'admit', agent: 'a-5-3', generation: 1, max: 2 }).outcome).toBe('refused');
  expect(tell({ type: 'leave', agent: 'a-5-3', generation: 2 }).outcome).toBe('applied');
});

describe('alive, but nothing comes of what it is given', () => {
  const stalled = (agent: Told, times: number): Told => {
    for (let index = 0; index < times; index++)
      agent.tell('occupy', { tasks: [['t-0-1', 0]] }).tell('release', { tasks: ['t-0-1'], stalled: 1 });
    return agent;
  };

  test(`${agentDefaults.stallsMax} stalled attempts in a row make it sick; it is tried again after a while with one`, () => {
    const agent = stalled(present(), agentDefaults.stallsMax - 1);
    expect(agent.status).toBe('IDLE');
    stalled(agent, 1);
    expect([agent.status, agent.context['reason']]).toEqual(['SUSPECT', 'consumes_nothing']);
    const since = agent.now;
    // It lives on: heartbeats keep it from being lost, and do not make it well.
    for (let beats = 0; beats < 3; beats++) {
      agent.now += 10_000;
      expect(agent.tell('heartbeat').status).toBe('SUSPECT');
    }
    const [, due] = Object.entries(agent.actor.timers).find(([timer]) => timer === 'probation')!;
    expect(Number(due) - since).toBe(agentDefaults.probationMs);
    agent.now = Number(due);
    agent.ring('probation');
    expect([agent.status, agent.context['reason']]).toEqual(['IDLE', undefined]);
    expect(stalled(agent, 1).status).toBe('SUSPECT');
  });

  test('an attempt that ends otherwise proves that it does something', () => {
    const agent = present(2);
    agent.tell('occupy', {
      tasks: [
        ['t-0-7', 0],
        ['t-0-8', 0],
      ],
    });
    agent.tell('release', { tasks: ['t-0-8', 't-0-9', 't-0-10'], stalled: 3 });
    expect(agent.status).toBe('SUSPECT');
    expect(agent.tell('release', { tasks: ['t-0-7'] }).status).toBe('IDLE');
    expect('probation' in agent.actor.timers).toBe(false);
  });

  test('silence still loses it, and a new process starts without blame', () => {
    const agent = stalled(present(), agentDefaults.stallsMax).pass('silence');
    expect(agent.status).toBe('LOST');
    expect(agent.register().tell('admitted').status).toBe('IDLE');
    expect(agent.context).toMatchObject({ stalls: 0 });
  });
});

describe('quarantine', () => {
  test('gives its work back, closes its mailbox, and lets nobody register before an operator says so', () => {
    const agent = present().tell('occupy', { tasks: [['t-0-1', 0]] });
    agent.tell('quarantine', { reason: 'flood' });
    expect([agent.status, agent.context['reason'], agent.context['holding']]).toEqual(['QUARANTINED', 'flood', {}]);
    expect(agent.sent).toEqual(['task/t-0-1 revoke', 'fleet/f-0-site leave']);
    expect(agent.effects.map(({ kind }) => kind)).toContain('closeMailbox');
    expect(agent.register().last).toMatchObject({ outcome: 'refused', reason: 'quarantined', legal: ['resume'] });
    expect(agent.tell('resume').status).toBe('RETIRED');
    expect(agent.register().effects.map(({ kind }) => kind)).toContain('openMailbox');
    expect(agent.tell('admitted').status).toBe('IDLE');
  });
});

test('one heartbeat calls off a bounded number of attempts that it does not hold', () => {
  const most = agentDefaults.strangersPerHeartbeatMax;
  const named = (count: number) => Array.from({ length: count }, (_, index) => ({ task: `t-0-${index}`, token: 'x' }));
  expect(present().tell('heartbeat', { attempts: named(most) }).posted).toHaveLength(most);
  expect(present().tell('heartbeat', { attempts: named(most + 1) }).posted).toHaveLength(most);
});
