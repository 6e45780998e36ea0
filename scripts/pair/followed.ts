/** Waits until the other site has stored what this one has decided up to now. */
import { limits } from '../../config/limits.ts';
import type { MirrorStore, System } from '../../runtime/ports.ts';
import { comparePositions } from '../../runtime/protocol/journal.ts';

export interface FollowedSettings {
  mirrors: Pick<MirrorStore, 'tip' | 'followed'>;
  system: System;
}

/** @returns whether it has, before the deadline. @throws Unavailable */
export async function untilFollowed(
  { mirrors, system }: FollowedSettings,
  shards: readonly number[],
  deadlineMs: number,
): Promise<boolean> {
  const endMs = system.monotonicMs() + deadlineMs;
  const stored = await Promise.all(
    shards.map(async (shard) => {
      const tip = await mirrors.tip(shard);
      while (comparePositions(await mirrors.followed(shard), tip) < 0) {
        if (system.monotonicMs() >= endMs) return false;
        await system.sleep(limits.peerAckPollMs);
      }
      return true;
    }),
  );
  return stored.every(Boolean);
}
