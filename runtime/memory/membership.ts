/** Which processes are alive in a `MemoryWorld`. */
import type { Membership } from '../ports.ts';
import type { MemoryWorld } from './world.ts';

export class MemoryMembership implements Membership {
  readonly #world: MemoryWorld;

  constructor(world: MemoryWorld) {
    this.#world = world;
  }

  join(member: string, ttlMs: number): Promise<string[]> {
    const { members, system } = this.#world;
    const now = system.now();
    members.set(member, now + ttlMs);
    for (const [other, endMs] of members) if (endMs <= now) members.delete(other);
    return Promise.resolve([...members.keys()].sort());
  }

  leave(member: string): Promise<void> {
    this.#world.members.delete(member);
    return Promise.resolve();
  }
}
