/**
 * Brings what sites lost to the shard of the active site: from the other one's packages, and from this site's own, which
 * stand here when it lost a branch and became active again before the other one had taken them. At least once; the shard
 * takes each number once (R1).
 */
import { limits } from '../../config/limits.ts';
import type { Log, MirrorStore, PeerSite, Service, System } from '../ports.ts';
import { Unavailable } from '../protocol/errors.ts';
import { describe } from './describe.ts';

export interface LostCollectorSettings {
  shard: number;
  /** Number of this site, and of the other one. */
  site: number;
  other: number;
  mirrors: MirrorStore;
  peer: PeerSite;
  system: System;
  log: Log;
}

export class LostCollector implements Service {
  readonly #settings: LostCollectorSettings;
  readonly #stopping = new AbortController();
  /** Site -> number up to which its packages were brought. */
  readonly #brought = new Map<number, number>();
  #running: Promise<void> | undefined;

  constructor(settings: LostCollectorSettings) {
    this.#settings = settings;
  }

  start(): Promise<void> {
    this.#running ??= this.#run();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { system, log, shard } = this.#settings;
    while (!this.#stopping.signal.aborted) {
      try {
        await this.runOnce();
      } catch (error) {
        if (!(error instanceof Unavailable))
          log.error({ shard, error: describe(error) }, 'bringing lost history failed, trying again');
        // What was brought may be gone with the link.
        this.#brought.clear();
      }
      await system.sleep(limits.lostEveryMs, this.#stopping.signal);
    }
  }

  /** @returns how many packages were brought */
  async runOnce(): Promise<number> {
    const { shard, site, other, mirrors, peer } = this.#settings;
    // Its own first: they need no link.
    const own = await this.#bring(site, (after, count) => mirrors.lost(shard, after, count));
    return own + (await this.#bring(other, (after, count) => peer.lost(shard, after, count)));
  }

  async #bring(
    site: number,
    read: (after: number, count: number) => Promise<{ number: number; text: string }[]>,
  ): Promise<number> {
    const { shard, mirrors, log } = this.#settings;
    const taken = Number(((await mirrors.taken(shard, -site)) ?? '0').split(' ')[0]);
    const packages = await read(Math.max(taken, this.#brought.get(site) ?? 0), limits.lostPackagesMax);
    if (packages.length === 0) return 0;
    await mirrors.bring(shard, site, packages);
    this.#brought.set(site, packages.at(-1)!.number);
    log.warn({ shard, site, packages: packages.length }, 'what a site lost is taken up');
    return packages.length;
  }
}
