/** The role of a site: two sites and whatever order of wishes and facts, never two active ones under one epoch. */
import { describe, expect, test } from 'vitest';
import { createRegistry } from '../../actors/application.ts';
import { siteAddress, type SiteName } from '../../actors/site/address.ts';
import { siteEvents } from '../../actors/site/events.ts';
import type { SiteContext } from '../../actors/site/status.ts';
import { siteRole, siteRoles } from '../../actors/site/status.ts';
import { stateTextOf, type Actor } from '../../runtime/core/actor.ts';
import { step } from '../../runtime/core/step.ts';
import { nextEpoch, type SiteNumber } from '../../runtime/protocol/siteepoch.ts';
import { Chance } from '../support/chance.ts';

const definition = createRegistry().get('site')!;

class Site {
  readonly number: SiteNumber;
  actor: Actor;
  #told = 0;

  constructor(name: SiteName, mode: 'manual' | 'witness' = 'manual') {
    this.number = name === 'primary' ? 1 : 2;
    const to = siteAddress(name, 4);
    const made = step(
      definition,
      undefined,
      { id: 'c', to, origin: 'command', input: { number: this.number, mode } },
      1,
    );
    if (made.outcome !== 'applied') throw new Error(made.outcome);
    this.actor = made.actor;
  }

  get state(): string {
    return stateTextOf(this.actor);
  }

  get context(): SiteContext {
    return this.actor.snapshot.context as SiteContext;
  }

  tell(event: { type: string; [field: string]: string | number }): string {
    const id = `e${this.#told++}`;
    const { address: to } = this.actor;
    const outcome = step(definition, this.actor, { id, to, origin: 'command', event }, 10 + this.#told);
    if (outcome.outcome === 'applied') this.actor = outcome.actor;
    return outcome.outcome;
  }

  open(): string {
    return this.tell({ type: 'opened', epoch: nextEpoch(this.context.highest, this.number) });
  }
}

function begun(): { one: Site; two: Site } {
  const one = new Site('primary');
  one.tell({ type: 'begin' });
  one.open();
  return { one, two: new Site('secondary') };
}

describe('a switchover', () => {
  test('goes through every state of both sites, and ends with one active site under a higher epoch', () => {
    const { one, two } = begun();
    expect([one.state, one.context.epoch]).toEqual(['active', 11]);
    two.tell({ type: 'heard', epoch: 11 });
    one.tell({ type: 'switchover', reason: 'planned' });
    expect(one.state).toBe('draining.stopping');
    one.tell({ type: 'drained' });
    expect(one.state).toBe('draining.offered');
    two.tell({ type: 'promote', reason: 'the other site hands over' });
    expect(two.state).toBe('promoting.catching');
    two.tell({ type: 'caught_up' });
    expect(two.open()).toBe('applied');
    expect([two.state, two.context.epoch]).toEqual(['active', 22]);
    one.tell({ type: 'heard', epoch: 22 });
    expect([one.state, one.context.reason]).toEqual(['standby', 'the other site took over under epoch 22']);
  });

  test('that nobody takes goes back under an epoch of its own', () => {
    const { one } = begun();
    one.tell({ type: 'switchover', reason: 'planned' });
    one.tell({ type: 'drained' });
    one.tell({ type: 'keep', reason: 'not taken' });
    expect(one.open()).toBe('applied');
    expect([one.state, one.context.epoch]).toEqual(['active', 21]);
  });
});

test('an epoch that is not above all that were heard, or is the other site’s, is not taken', () => {
  const one = new Site('primary');
  one.tell({ type: 'heard', epoch: 32 });
  expect(one.tell({ type: 'begin' })).not.toBe('applied');
  one.tell({ type: 'force_promote', reason: 'test' });
  for (const epoch of [11, 31, 42]) expect(one.tell({ type: 'opened', epoch })).not.toBe('applied');
  expect(one.tell({ type: 'opened', epoch: 41 })).toBe('applied');
});

test('an active site cannot be promoted once more', () => {
  const { one } = begun();
  for (const type of ['promote', 'force_promote']) expect(one.tell({ type, reason: 'test' })).not.toBe('applied');
});

test('a fenced site becomes standby when it hears of its successor', () => {
  const { one } = begun();
  one.tell({ type: 'fence', reason: 'the lease is lost' });
  expect(one.state).toBe('fenced');
  one.tell({ type: 'heard', epoch: 11 });
  expect(one.state).toBe('fenced');
  one.tell({ type: 'heard', epoch: 22 });
  expect(one.state).toBe('standby');
});

test('every state has a role', () => {
  const states = [...definition.stateNodes.values()].filter(({ type }) => type === 'atomic');
  expect(new Set(states.map(({ id }) => siteRole(id.slice('site.'.length))))).toEqual(new Set(siteRoles));
});

test.each(Array.from({ length: 200 }, (_, seed) => seed))('any order of events, seed %i', (seed) => {
  const dice = new Chance(seed + 1);
  const sites = [new Site('primary', 'witness'), new Site('secondary', 'witness')] as const;
  const owners = new Map<number, SiteNumber>();
  const types = Object.keys(siteEvents).filter((type) => type !== 'opened' && type !== 'heard');
  for (let turn = 0; turn < 60; turn++) {
    const site = sites[dice.below(2)]!;
    const before = site.context.epoch;
    const pick = dice.below(10);
    if (pick < 2) site.open();
    // What arrives may be old: any epoch that was ever taken.
    else if (pick < 5 && owners.size > 0)
      site.tell({ type: 'heard', epoch: [...owners.keys()][dice.below(owners.size)]! });
    else site.tell({ type: types[dice.below(types.length)]!, reason: 'by chance' });
    const { epoch, highest } = site.context;
    expect(epoch).toBeGreaterThanOrEqual(before);
    expect(highest).toBeGreaterThanOrEqual(epoch);
    if (epoch > before) {
      expect(site.state).toBe('active');
      expect(owners.get(epoch)).toBeUndefined();
      owners.set(epoch, site.number);
    }
    const active = sites.filter(({ state }) => state === 'active').map(({ context }) => context.epoch);
    expect(new Set(active).size).toBe(active.length);
  }
  // Whoever hears of the highest epoch and is not its owner steps down.
  const top = Math.max(0, ...owners.keys());
  if (top > 0) for (const site of sites) site.tell({ type: 'heard', epoch: top });
  expect(sites.filter(({ state }) => state === 'active').length).toBeLessThanOrEqual(1);
});
