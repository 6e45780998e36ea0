import { describe, expect, test } from 'vitest';
import type { AnyStateNode } from 'xstate';
import { agentStatus, agentStatuses } from '../../actors/agent/status.ts';
import { createRegistry } from '../../actors/application.ts';
import { scheduleStatuses } from '../../actors/schedule/status.ts';
import { settledStatuses, taskStatus, taskStatuses } from '../../actors/task/status.ts';
import { stateText, type StateValue } from '../../runtime/protocol/envelope.ts';

const registry = createRegistry();

/** Every value that a machine can have, by its structure. */
function valuesOf(node: AnyStateNode): StateValue[] {
  const children = Object.values(node.states);
  if (node.type === 'parallel')
    return children.reduce<{ [region: string]: StateValue }[]>(
      (whole, child) => whole.flatMap((value) => valuesOf(child).map((inner) => ({ ...value, [child.key]: inner }))),
      [{}],
    );
  return children.flatMap((child): StateValue[] =>
    Object.keys(child.states).length === 0 ? [child.key] : valuesOf(child).map((inner) => ({ [child.key]: inner })),
  );
}

describe('the status that REST shows', () => {
  test('of a task: every state of the machine has one, and every status is a state', () => {
    const statuses = valuesOf(registry.get('task')!.machine.root).map(taskStatus);
    expect([...statuses].sort()).toEqual([...taskStatuses].sort());
  });

  test('of a schedule: every state of the machine has one, and every status is a state', () => {
    const statuses = valuesOf(registry.get('schedule')!.machine.root).map(stateText);
    expect([...statuses].sort()).toEqual([...scheduleStatuses].sort());
  });

  test('of an agent: every state of the machine has one, and every status is a state', () => {
    const values = valuesOf(registry.get('agent')!.machine.root);
    expect(values).toHaveLength(4 * 3 + 5);
    const shown = new Map(values.map((value) => [stateText(value), agentStatus(value)]));
    expect(Object.fromEntries(shown)).toEqual({
      registering: 'REGISTERING',
      'present.availability.idle,health.healthy': 'IDLE',
      'present.availability.busy,health.healthy': 'BUSY',
      'present.availability.paused,health.healthy': 'PAUSED',
      'present.availability.draining,health.healthy': 'DRAINING',
      'present.availability.idle,health.suspect': 'SUSPECT',
      'present.availability.busy,health.suspect': 'SUSPECT',
      'present.availability.paused,health.suspect': 'SUSPECT',
      'present.availability.draining,health.suspect': 'SUSPECT',
      'present.availability.idle,health.sick.heard': 'SUSPECT',
      'present.availability.busy,health.sick.heard': 'SUSPECT',
      'present.availability.paused,health.sick.heard': 'SUSPECT',
      'present.availability.draining,health.sick.heard': 'SUSPECT',
      lost: 'LOST',
      quarantined: 'QUARANTINED',
      retired: 'RETIRED',
      // Its last moment: the snapshot leaves with it.
      forgotten: 'RETIRED',
    });
    expect(new Set(shown.values())).toEqual(new Set(agentStatuses));
  });

  test('of a task is settled when nothing more happens by itself', () => {
    const { machine } = registry.get('task')!;
    const finals = Object.values(machine.root.states).filter(({ type }) => type === 'final');
    expect([...settledStatuses].sort()).toEqual([...finals.map(({ key }) => key), 'parked'].sort());
  });
});

test('a state as text names regions one after the other', () => {
  expect(stateText('done')).toBe('done');
  expect(stateText({ open: { held: 'running' } })).toBe('open.held.running');
  expect(stateText({ present: { a: 'x', b: { c: 'y' } } })).toBe('present.a.x,b.c.y');
});
