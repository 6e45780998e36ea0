/** The memory adapter as a bed. */
import { createSystem } from '../../runtime/host/system.ts';
import { MemoryGates } from '../../runtime/memory/gates.ts';
import { MemoryGateway } from '../../runtime/memory/gateway.ts';
import { MemoryJournalReader } from '../../runtime/memory/journal.ts';
import { MemoryMembership } from '../../runtime/memory/membership.ts';
import { MemoryShardStore } from '../../runtime/memory/shardstore.ts';
import { MemoryWorld } from '../../runtime/memory/world.ts';
import type { System } from '../../runtime/ports.ts';
import { positionStart } from '../../runtime/protocol/journal.ts';
import { agentGroup } from '../../runtime/protocol/keys.ts';
import type { Bed } from './bed.ts';

export async function memoryBed(): Promise<Bed> {
  const system = createSystem();
  // The janitor's clock is the only one that tests move: a world asks it through this.
  let clock: System = system;
  const world = new MemoryWorld({ ...system, now: () => clock.now() });
  return {
    name: 'memory',
    space: world.space,
    system,
    store: new MemoryShardStore({ world }),
    gateway: new MemoryGateway(world),
    journals: new MemoryJournalReader(world),
    membership: new MemoryMembership(world),
    gates: new MemoryGates(world),
    sawAhead: async (shard, byMs) => {
      const { standing } = world.shard(shard);
      standing.gate = { ...standing.gate!, lastSeenMs: world.system.now() + byMs };
    },
    janitor: (journalReaders, janitorClock) => {
      clock = janitorClock;
      return new MemoryShardStore({ world, journalReaders });
    },
    append: async (key, fields) => world.append(key, fields),
    stream: async (key) => world.find(key)?.after(positionStart, Infinity) ?? [],
    remove: async (key) => world.remove(key),
    receive: async (inbox, count) => world.stream(inbox).readNew(agentGroup, 'agent', count),
    acknowledge: async (inbox, ids) => world.stream(inbox).acknowledge(agentGroup, ids),
    contents: async () => world.contents(),
    close: async () => undefined,
  };
}
