/** Snapshots that a released version wrote can be read by this one, and go on (R9). */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createRegistry } from '../../actors/application.ts';
import { freeze, isDone, stateTextOf, thaw, type Actor } from '../../runtime/core/actor.ts';
import { legalEvents, step } from '../../runtime/core/step.ts';
import type { Address } from '../../runtime/protocol/ids.ts';
import type { StoredActor } from '../../runtime/protocol/snapshot.ts';

const folder = join(import.meta.dirname, '../golden');
const registry = createRegistry();
const addresses: Record<string, Address> = {
  task: 'task/t-3-golden',
  agent: 'agent/a-3-echo1',
  fleet: 'fleet/f-0-site',
  queue: 'queue/q-3-echo',
  limit: 'limit/l-0-tokens',
  allotment: 'allotment/m-3-tokens',
  schedule: 'schedule/s-3-golden',
  unique: 'unique/u-3-golden',
  roster: 'roster/r-3-~jf3zjj18kf4xn',
  bulk: 'bulk/b-3-golden',
  site: 'site/c-16-primary',
  sync: 'sync/c-16-primary',
};

const files = readdirSync(folder)
  .filter((file) => file.endsWith('.json'))
  .map((file) => {
    const [id = '', version = ''] = file.split('.');
    const snapshots = JSON.parse(readFileSync(join(folder, file), 'utf8')) as Record<string, StoredActor>;
    return { file, definition: registry.get(id)!, version: Number(version), snapshots: Object.entries(snapshots) };
  });

function restored({ definition }: (typeof files)[number], stored: StoredActor): Actor {
  const back = thaw(definition, addresses[definition.id]!, JSON.stringify(stored));
  if (!back.ok) throw new Error(`${back.reason}: ${back.detail}; a changed structure needs a version and a migration`);
  return back.actor;
}

test('every built-in definition has its present version here', () => {
  const present = registry.all().map(({ id, version }) => `${id}.${version}.json`);
  expect(files.map(({ file }) => file)).toEqual(expect.arrayContaining(present));
});

describe.each(files)('$file', (file) => {
  const { definition, version, snapshots } = file;

  test.each(snapshots)('%s', (_name, stored) => {
    const actor = restored(file, stored);
    // What the present version wrote it writes again, byte for byte; a former one is lifted and then stays the same.
    const text = freeze(actor);
    if (version === definition.version) expect(text).toBe(JSON.stringify(stored));
    expect(freeze(restored(file, JSON.parse(text) as StoredActor))).toBe(text);
  });

  test.each(snapshots)('%s: each clock rings, each legal command is known', (_name, stored) => {
    const actor = restored(file, stored);
    for (const [timer, value] of Object.entries(actor.timers)) {
      const due = typeof value === 'number' ? value : value[0];
      const envelope = { id: timer, to: actor.address, origin: 'timer', event: { type: timer } } as const;
      expect(step(definition, actor, envelope, due).outcome).toBe(isDone(actor) ? 'retired' : 'applied');
    }
    for (const type of legalEvents(actor)) expect(definition.events[type]).toBeDefined();
  });

  // A former version has no snapshot of a state that came later.
  if (version < definition.version) return;

  test('every state that is ever stored for a while is here', () => {
    const states = new Set(
      snapshots.map(([, stored]) => stateTextOf(restored(file, stored))).flatMap((text) => text.split(/[.,]/)),
    );
    const leaves = [...definition.stateNodes.values()].filter(({ type }) => type === 'atomic' || type === 'final');
    // A forgotten agent leaves the store at once.
    const kept = leaves.map(({ key }) => key).filter((key) => key !== 'forgotten');
    expect(kept.filter((key) => !states.has(key))).toEqual([]);
  });
});
