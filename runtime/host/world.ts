/** The memory of a shard: opened from what the store holds, filled as batches need it, and kept within bounds. */
import { limits } from '../../config/limits.ts';
import { thaw, viewOf } from '../core/actor.ts';
import { Alarms } from '../core/alarms.ts';
import { count, type World } from '../core/batch.ts';
import type { Lease } from '../ports.ts';
import { stateText } from '../protocol/envelope.ts';
import { parseAddress, type Address } from '../protocol/ids.ts';
import { readStored } from '../protocol/snapshot.ts';
import { describe } from './describe.ts';
import type { Read } from './reading.ts';
import type { ShardSettings } from './shardsettings.ts';

/** Takes over what stands in the store: mailboxes, what the relay counted, the index of every actor, the residents. */
export async function openWorld(settings: ShardSettings, lease: Lease): Promise<{ world: World; mailboxes: string[] }> {
  const { store, registry, application, system, telemetry, siteEpoch } = settings;
  const { mailboxes, relayed, sent, head, begins } = await store.open(lease);
  const world: World = {
    shard: lease.shard,
    registry,
    application,
    dispatcher: application.dispatcher(lease.shard),
    actors: new Map(),
    unreadable: new Map(),
    relayed,
    sent,
    census: new Map(),
    alarms: new Alarms(),
    siteEpoch,
    head,
    begins,
    paired: settings.passage !== undefined && settings.passage !== '',
    mint: () => system.token(),
    telemetry,
  };
  // A scan may give an actor twice.
  const seen = new Set<Address>();
  let cursor = '0';
  for (let done = false; !done;) {
    const page = await store.scan(lease.shard, cursor);
    ({ cursor, done } = page);
    for (const [address, text] of page.snapshots) {
      if (seen.has(address)) continue;
      seen.add(address);
      admit(settings, world, address, text);
    }
  }
  settings.log.debug({ shard: lease.shard, epoch: lease.epoch, actors: seen.size }, 'shard opened');
  return { world, mailboxes };
}

function admit(settings: ShardSettings, world: World, address: Address, text: string): void {
  const parts = parseAddress(address);
  const definition = parts && settings.registry.get(parts.definition);
  if (!parts || !definition) return;
  try {
    const { view, timers } = readStored(parts.id, text);
    world.alarms.watch(address, timers);
    count(world.census, definition.id, stateText(view.state), 1);
    if (!definition.resident) world.dispatcher.observe(address, view);
  } catch (error) {
    unreadable(settings, world, address, 'unreadable', describe(error));
    return;
  }
  if (!definition.resident) return;
  const thawed = thaw(definition, address, text);
  if (!thawed.ok) {
    unreadable(settings, world, address, thawed.reason, thawed.detail);
    return;
  }
  world.actors.set(address, thawed.actor);
  world.dispatcher.observe(address, viewOf(thawed.actor));
}

/** Snapshots of everything that the batch will touch; after this, no await until it is decided (R2). */
export async function loadFor(settings: ShardSettings, world: World, { intakes, timers }: Read): Promise<void> {
  const { actors, dispatcher } = world;
  const wanted = new Set<Address>();
  let envelopes = 0;
  for (const { envelopes: list } of intakes) {
    envelopes += list.length;
    for (const { to } of list) if (!actors.has(to)) wanted.add(to);
  }
  for (const { actor } of timers) if (!actors.has(actor)) wanted.add(actor);
  for (const address of dispatcher.candidates(envelopes)) if (!actors.has(address)) wanted.add(address);
  if (wanted.size === 0) return;
  const list = [...wanted].filter((address) => parseAddress(address)?.shard === world.shard);
  for (let from = 0; from < list.length; from += limits.scanCount)
    await load(settings, world, list.slice(from, from + limits.scanCount));
}

async function load(settings: ShardSettings, world: World, addresses: readonly Address[]): Promise<void> {
  const texts = await settings.store.load(world.shard, addresses);
  for (const address of addresses) {
    const text = texts.get(address);
    if (text === undefined) {
      world.actors.set(address, null);
      world.dispatcher.observe(address, undefined);
      continue;
    }
    const definition = settings.registry.get(parseAddress(address)?.definition ?? '');
    if (!definition) continue;
    const thawed = thaw(definition, address, text);
    if (thawed.ok) world.actors.set(address, thawed.actor);
    else unreadable(settings, world, address, thawed.reason, thawed.detail);
  }
}

/** What a newer or a foreign release wrote is kept as it is, and what is sent to it is set aside. */
function unreadable(settings: ShardSettings, world: World, address: Address, reason: string, detail: string): void {
  if (!world.unreadable.has(address))
    settings.log.error({ shard: world.shard, actor: address, reason, detail }, 'snapshot not readable');
  world.unreadable.set(address, detail);
  // Its timers stay in the snapshot, for whoever can read it.
  world.alarms.forget(address);
  world.dispatcher.observe(address, undefined);
}

/** Lets go of finished actors, except those that the store does not have yet as they are here. */
export function forget(world: World, finished: readonly Address[], unstored: (address: Address) => boolean): void {
  const { actors } = world;
  for (const address of finished) {
    const actor = actors.get(address);
    if (unstored(address)) continue;
    if (actor === null || (actor && actor.snapshot.status !== 'active')) actors.delete(address);
  }
}

/** Keeps memory bounded; what the store does not have yet must stay, and so do the residents. */
export function evict(world: World, unstored: (address: Address) => boolean): void {
  const { actors } = world;
  if (actors.size <= limits.actorsCachedMax) return;
  for (const [address, actor] of actors) {
    if (actors.size <= limits.actorsCachedMax * 0.9) return;
    if (actor?.definition.resident || unstored(address)) continue;
    actors.delete(address);
  }
}
