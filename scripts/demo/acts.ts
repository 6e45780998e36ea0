/** What `--pair` shows while work goes on: places change, then the active site is killed, and comes back. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Feed } from './feed.ts';
import type { Site, SiteView } from './sites.ts';

export interface Act {
  /** Seconds since the play began. */
  at: number;
  what: string;
  /** Tasks that had been accepted by then. */
  accepted: number;
}

export interface PairReport {
  acts: Act[];
  tasks: { accepted: number; succeeded: number; lost: number };
  switchover: { seconds: number; longest_pause_s: number };
  takeover: { seconds: number; longest_pause_s: number };
  conflicts: number;
  /** A comparison of both sites, shard by shard, after everything. */
  identical: boolean;
}

const deadlineMs = 90_000;
const actMs = 5_000;
const settled = new Set(['succeeded', 'cancelled', 'expired', 'parked']);

export async function play(primary: Site, secondary: Site, feed: Feed, tell: (act: Act) => void): Promise<PairReport> {
  const acts: Act[] = [];
  const began = performance.now();
  const told = (what: string): void => {
    const act = { at: tenths((performance.now() - began) / 1000), what, accepted: feed.accepted.length };
    acts.push(act);
    tell(act);
  };
  feed.start();
  told('the primary is active, the secondary follows');
  await pause(actMs);

  feed.longestPause();
  const switchover = await timed(async () => {
    await primary.order('switchover');
    await until('the secondary is active', secondary, ({ role }) => role === 'active');
  });
  await until('the primary follows', primary, follows);
  const switched = { seconds: switchover, longest_pause_s: tenths(feed.longestPause()) };
  told(`places changed in ${switchover} s; writes paused ${switched.longest_pause_s} s`);
  await pause(actMs);

  feed.longestPause();
  await secondary.kill();
  told('the secondary is killed, with its Redis and its PostgreSQL');
  const takeover = await timed(async () => {
    await primary.order('force-promote', { confirm: true });
    await until('the primary is active', primary, ({ role }) => role === 'active');
  });
  await pause(actMs);
  const taken = { seconds: takeover, longest_pause_s: tenths(feed.longestPause()) };
  told(`the primary was promoted in ${takeover} s; writes paused ${taken.longest_pause_s} s`);
  await secondary.start();
  await until('the secondary follows', secondary, follows);
  told('the secondary is back and follows');
  await pause(actMs);

  await feed.stop();
  const tasks = await outcomes(primary, feed.accepted);
  told(`all work is done: ${tasks.succeeded} of ${tasks.accepted} tasks succeeded`);
  const identical = await compared(secondary);
  const { body } = await primary.call('/conflicts');
  return {
    acts,
    tasks,
    switchover: switched,
    takeover: taken,
    conflicts: (body['conflicts'] as unknown[]).length,
    identical,
  };
}

const follows = ({ role, link }: SiteView): boolean => role === 'standby' && link === 'streaming';

/** Asks until a site is as it should be; one that does not answer is not. */
export async function until(what: string, site: Site, holds: (self: SiteView) => boolean): Promise<SiteView> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const self = await site.self().catch((error: unknown) => String(error));
    if (typeof self !== 'string' && holds(self)) return self;
    if (performance.now() > end)
      throw new Error(`${what}: not within ${deadlineMs / 1000} s; it is ${JSON.stringify(self)}`);
    await pause(50);
  }
}

/** What became of every task that was accepted; one that the site does not know is lost. */
async function outcomes(site: Site, ids: readonly string[]): Promise<PairReport['tasks']> {
  const found = { accepted: ids.length, succeeded: 0, lost: 0 };
  const finish = async (id: string): Promise<void> => {
    const end = performance.now() + deadlineMs;
    for (;;) {
      const { status, body } = await site.call(`/tasks/${id}`);
      if (status === 200 && settled.has(String(body['status']))) {
        if (body['status'] === 'succeeded') found.succeeded += 1;
        return;
      }
      // What only the killed site had accepted is taken up a moment after it is back.
      if (performance.now() > end) {
        if (status === 404) found.lost += 1;
        return;
      }
      await pause(100);
    }
  };
  for (let from = 0; from < ids.length; from += 16) await Promise.all(ids.slice(from, from + 16).map(finish));
  return found;
}

async function compared(standby: Site): Promise<boolean> {
  const before = (await standby.self()).last_check?.at;
  await standby.order('check', { full: true });
  const { last_check } = await until('both sites are compared', standby, (self) => self.last_check?.at !== before);
  return last_check?.equal === true;
}

async function timed(work: () => Promise<void>): Promise<number> {
  const began = performance.now();
  await work();
  return tenths((performance.now() - began) / 1000);
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10;
}
