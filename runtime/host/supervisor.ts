/**
 * Which shards this process runs. Processes see one another by their memberships; each takes its fair share of the shards
 * whose lease is free or has run out, gives back what it has too many of, and renews what it has. Nobody assigns: the lease
 * in Redis decides, and its epoch refuses whoever is late (R5).
 */
import { limits } from '../../config/limits.ts';
import type { Commit, LaneStatus, Membership, Service, ShardStore } from '../ports.ts';
import { Unavailable } from '../protocol/errors.ts';
import { hash32 } from '../protocol/ids.ts';
import { Relay } from './relay.ts';
import { Shard } from './shard.ts';
import type { Runner, ShardSettings } from './shardsettings.ts';
import { Tenure } from './tenure.ts';

/** A service of a shard; `kick` tells it what became true, after each commit with news for it. */
export type Attached = Service & { kick?: (commit: Commit) => void };

export interface SupervisorSettings extends Omit<ShardSettings, 'committed'> {
  store: ShardStore;
  membership: Membership;
  /** The shards that processes spread among them. */
  shards: readonly number[];
  /** Name of this process start; never used again by another. */
  owner: string;
  /** Services that run for a shard while it is held, such as its projector. */
  attach: (shard: number) => Attached[];
  /** What runs for a shard; default: the loop of an active site, and a relay beside it. */
  runner?: (settings: ShardSettings, tenure: Tenure) => Runner;
  /** Default: the limits of the same names. */
  leaseTtlMs?: number;
  memberTtlMs?: number;
  balanceEveryMs?: number;
}

interface Held {
  tenure: Tenure;
  shard: Runner;
  relay: Relay | undefined;
  attached: Attached[];
  running: Promise<void>;
  renewing: boolean;
  tidyAtMs: number;
}

export class Supervisor implements Service {
  readonly #settings: SupervisorSettings;
  readonly #leaseTtlMs: number;
  readonly #memberTtlMs: number;
  readonly #balanceEveryMs: number;
  readonly #held = new Map<number, Held>();
  /** Shards that are being given back. */
  readonly #leaving = new Set<Promise<void>>();
  /** Shards that could not be taken, and why: said once. */
  readonly #refused = new Map<number, string>();
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #away = false;

  constructor(settings: SupervisorSettings) {
    this.#settings = settings;
    this.#leaseTtlMs = settings.leaseTtlMs ?? limits.leaseTtlMs;
    this.#memberTtlMs = settings.memberTtlMs ?? limits.memberTtlMs;
    this.#balanceEveryMs = settings.balanceEveryMs ?? limits.balanceEveryMs;
  }

  /** Resolves when the first look at the shards is over. */
  async start(): Promise<void> {
    if (this.#running) return;
    await this.#turn();
    this.#running = Promise.all([this.#every(() => this.#turn()), this.#every(() => this.#renew())]).then(
      () => undefined,
    );
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    const { membership, owner, log } = this.#settings;
    for (const shard of [...this.#held.keys()]) this.#leave(shard);
    await Promise.all(this.#leaving);
    await membership.leave(owner).catch((error: unknown) => {
      log.warn({ error: String(error) }, 'could not leave the membership; it runs out by itself');
    });
  }

  get shards(): number[] {
    return [...this.#held.keys()].sort((left, right) => left - right);
  }

  /** Shard -> why it cannot be taken. Empty when all is well. */
  get refused(): ReadonlyMap<number, string> {
    return this.#refused;
  }

  lanes(): LaneStatus[] {
    return [...this.#held.values()].flatMap(({ shard }) => shard.lanes());
  }

  /** `<definition> <state>` -> number of actors in the shards that are held here. */
  census(): Map<string, number> {
    const sum = new Map<string, number>();
    for (const { shard } of this.#held.values())
      for (const [key, number] of shard.census()) sum.set(key, (sum.get(key) ?? 0) + number);
    return sum;
  }

  /** The longest time that a held shard has not come round, in milliseconds; 0 when none is held. */
  get readAgeMs(): number {
    return Math.max(0, ...[...this.#held.values()].map(({ shard }) => shard.readAgeMs));
  }

  async #every(work: () => Promise<void> | void): Promise<void> {
    const { system } = this.#settings;
    while (!this.#stopping.signal.aborted) {
      await system.sleep(this.#balanceEveryMs, this.#stopping.signal);
      if (!this.#stopping.signal.aborted) await work();
    }
  }

  async #turn(): Promise<void> {
    const { log } = this.#settings;
    try {
      await this.#balance();
      await this.#tidy();
      if (this.#away) log.info({}, 'store is back');
      this.#away = false;
    } catch (error) {
      if (!this.#away) log.warn({ error: String(error) }, 'store away: shards cannot be taken or tidied');
      this.#away = true;
      if (!(error instanceof Unavailable)) log.error({ error: String(error) }, 'supervisor failed');
    }
  }

  async #balance(): Promise<void> {
    const { membership, owner, shards } = this.#settings;
    const members = await membership.join(owner, this.#memberTtlMs);
    const share = Math.ceil(shards.length / Math.max(1, members.length));
    for (const shard of [...this.#held.keys()].slice(share)) this.#leave(shard);
    // Everybody starts elsewhere, so that processes which start together do not ask for the same shards.
    const first = hash32(owner) % shards.length;
    const free = [...shards.slice(first), ...shards.slice(0, first)].filter((shard) => !this.#held.has(shard));
    let away: Error | undefined;
    while (free.length > 0 && this.#held.size < share && away === undefined) {
      const asked = free.splice(0, share - this.#held.size);
      const outcomes = await Promise.allSettled(asked.map((shard) => this.#tryTake(shard)));
      // Said when the others are taken: not all shards need be on the server that is away.
      away = outcomes.find((outcome) => outcome.status === 'rejected')?.reason as Error | undefined;
    }
    if (away) throw away;
  }

  /** Each lease for itself: a server that is away, or hangs, costs the shards that it has and no others. */
  #renew(): void {
    const { store, system, log } = this.#settings;
    for (const [shard, held] of this.#held) {
      if (held.renewing) continue;
      held.renewing = true;
      const { tenure } = held;
      const { lease } = tenure;
      const sentAtMs = system.monotonicMs();
      void store
        .renew(lease, this.#leaseTtlMs)
        .then(
          (renewed) => {
            if (renewed) tenure.renewed(sentAtMs);
            else if (tenure.lease === lease) tenure.end();
          },
          (error: unknown) => {
            const fields = { shard, error: String(error) };
            if (error instanceof Unavailable) log.warn(fields, 'store away: the lease cannot be renewed');
            else log.error(fields, 'renewing a lease failed');
          },
        )
        .finally(() => {
          held.renewing = false;
        });
    }
  }

  /** A shard that cannot be taken because its keys are damaged keeps nobody from the others. */
  async #tryTake(shard: number): Promise<void> {
    try {
      await this.#take(shard);
      this.#refused.delete(shard);
    } catch (error) {
      if (error instanceof Unavailable) throw error;
      const problem = error instanceof Error ? error.message : String(error);
      if (this.#refused.get(shard) !== problem)
        this.#settings.log.error({ shard, error: problem }, 'shard cannot be taken');
      this.#refused.set(shard, problem);
    }
  }

  async #take(shard: number): Promise<void> {
    const { store, system, owner, attach, log } = this.#settings;
    const sentAtMs = system.monotonicMs();
    const outcome = await store.acquire(shard, owner, this.#leaseTtlMs);
    if (outcome.outcome === 'held') return;
    const tenure = new Tenure(outcome.lease, sentAtMs, this.#leaseTtlMs, system);
    const { runner: runnerOf } = this.#settings;
    const relay = runnerOf ? undefined : new Relay(shard, store, system, log);
    const attached = attach(shard);
    const settings: ShardSettings = {
      ...this.#settings,
      committed: (_shard, commit) => {
        if (commit.outbound.length > 0) relay?.kick();
        if (commit.journal !== undefined || commit.setAside.length > 0)
          for (const service of attached) service.kick?.(commit);
      },
    };
    const runner = runnerOf ? runnerOf(settings, tenure) : new Shard(settings, tenure);
    await relay?.start();
    for (const service of attached) await service.start();
    log.debug({ shard, epoch: outcome.lease.epoch }, 'shard taken');
    const held: Held = {
      tenure,
      shard: runner,
      relay,
      attached,
      running: Promise.resolve(),
      renewing: false,
      tidyAtMs: 0,
    };
    held.running = runner
      .run()
      .catch((error: unknown) => {
        log.error({ shard, error: String(error) }, 'shard loop ended by a bug');
      })
      .then(async () => {
        if (this.#held.get(shard) === held) {
          this.#held.delete(shard);
          log.warn({ shard, epoch: tenure.lease.epoch }, 'shard lost');
        }
        tenure.end();
        await relay?.stop();
        await Promise.all(attached.map((service) => service.stop()));
      });
    this.#held.set(shard, held);
  }

  /** Not waited for where others are to be renewed: the last read of a shard may take its time. */
  #leave(shard: number): void {
    const leaving = this.#giveBack(shard).finally(() => this.#leaving.delete(leaving));
    this.#leaving.add(leaving);
  }

  async #giveBack(shard: number): Promise<void> {
    const held = this.#held.get(shard);
    if (!held) return;
    this.#held.delete(shard);
    held.shard.stop();
    await held.running;
    await this.#settings.store.release(held.tenure.lease).catch((error: unknown) => {
      this.#settings.log.warn({ shard, error: String(error) }, 'lease not released; it runs out by itself');
    });
    this.#settings.log.debug({ shard }, 'shard given back');
  }

  /** The janitor's round: one shard at a time, each every few seconds. */
  async #tidy(): Promise<void> {
    const { store, system } = this.#settings;
    const now = system.monotonicMs();
    for (const held of this.#held.values()) {
      if (now < held.tidyAtMs) continue;
      held.tidyAtMs = now + limits.janitorEveryMs;
      await store.tidy(held.tenure.lease, held.shard.mailboxes);
    }
  }
}
