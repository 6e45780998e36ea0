/**
 * Makes the world fit the role of a site, and tells its role what was found out. It looks again and again and acts on what it
 * sees: a step that was cut short is done once more. It runs in one process of the site, whoever has the control shard.
 */
import { limits } from '../../config/limits.ts';
import type { SiteEvent } from '../../actors/site/events.ts';
import type { SiteContext } from '../../actors/site/status.ts';
import type {
  GateKeeper,
  Log,
  PeerGreeting,
  PeerSite,
  Service,
  SiteStore,
  System,
  Witness,
} from '../../runtime/ports.ts';
import { checkGreeting, type Greeting, type Refusal } from '../../runtime/protocol/chain.ts';
import { Unavailable } from '../../runtime/protocol/errors.ts';
import { nextEpoch, type SiteEpoch, type SiteNumber } from '../../runtime/protocol/siteepoch.ts';
import { Tether } from './tether.ts';
import type { NoticeRole } from './notice.ts';

export interface SiteStanding {
  /** As the machine says it: `promoting.catching`. */
  state: string;
  context: SiteContext;
  paused: boolean;
}

export interface SiteControllerSettings {
  number: SiteNumber;
  greeting: Greeting;
  shards: readonly number[];
  mode: 'manual' | 'witness';
  /** How long an active site waits after a restart for a peer that does not answer. */
  resumeAfterMs: number;
  witness?: { lease: Witness; ttlMs: number };
  /** This site and the other one, as the other one sees them. */
  own: Pick<PeerSite, 'whereabouts'>;
  peer: Pick<PeerSite, 'greet' | 'whereabouts'>;
  sites: Pick<SiteStore, 'announce' | 'held'>;
  gates: GateKeeper;
  /** Undefined before the role exists. */
  standing(): Promise<SiteStanding | undefined>;
  /** Makes the actors of the site. */
  create(): Promise<void>;
  tell(event: SiteEvent): Promise<void>;
  /** The steps of a promotion, while no mirror runs and the gates are closed. */
  prepare(): Promise<void>;
  /** Whether this standby is near enough to take over by itself. */
  fit(): boolean;
  system: System;
  log: Log;
}

/** What the other site says; `away` where it does not answer. */
type Peer =
  | { known: 'greeting'; greeting: PeerGreeting }
  | { known: 'unborn' }
  | { known: 'refused'; refusal: Refusal }
  | { known: 'away' };

export class SiteController implements Service {
  readonly #settings: SiteControllerSettings;
  readonly #stopping = new AbortController();
  readonly #tether: Tether;
  #running: Promise<void> | undefined;
  /** The state that was seen last, and since when. */
  #seen = '';
  #seenAtMs = 0;
  readonly #startedAtMs: number;
  /** The active site has asked once whether it still is. */
  #confirmed = false;
  #shut = false;
  #gatesAtMs = -Infinity;
  #announced = '';
  #announcedAtMs = -Infinity;
  #offered = false;
  #away = false;

  constructor(settings: SiteControllerSettings) {
    this.#settings = settings;
    const { witness, system } = settings;
    this.#tether = new Tether(system, witness);
    this.#startedAtMs = system.monotonicMs();
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
    const { system, log } = this.#settings;
    while (!this.#stopping.signal.aborted) {
      try {
        await this.runOnce();
        if (this.#away) log.info({}, 'the role of the site is looked after again');
        this.#away = false;
      } catch (error) {
        const fields = { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
        if (!(error instanceof Unavailable)) log.error(fields, 'looking after the role of the site failed');
        else if (!this.#away) log.warn({ error: error.message }, 'the role of the site cannot be looked after');
        this.#away = true;
      }
      await system.sleep(limits.siteTurnMs, this.#stopping.signal);
    }
  }

  /** One look at the world, and at most one step. */
  async runOnce(): Promise<void> {
    const { standing, create, tell, system } = this.#settings;
    const site = await standing();
    if (!site) return create();
    const { state, context } = site;
    if (state !== this.#seen) {
      this.#seen = state;
      this.#seenAtMs = system.monotonicMs();
      this.#shut = false;
      this.#offered = state === 'draining.offered';
    }
    const peer = await this.#greet();
    if (peer.known === 'greeting' && peer.greeting.epoch > context.highest)
      return tell({ type: 'heard', epoch: peer.greeting.epoch });
    switch (state) {
      case 'standby':
        return this.#standby(site, peer);
      case 'promoting.catching':
        return this.#catching(context, peer);
      case 'promoting.preparing':
        return this.#preparing(context, peer);
      case 'active':
        return this.#active(context, peer);
      case 'draining.stopping':
        return this.#drain(context);
      case 'draining.offered':
        return this.#offer(context, peer);
      case 'fenced':
        return this.#fenced(context, peer);
      default:
        throw new Error(`there is no state "${state}" of a site`);
    }
  }

  async #standby({ context, paused }: SiteStanding, peer: Peer): Promise<void> {
    const { tell, number, fit } = this.#settings;
    await this.#close(context.highest);
    await this.#say(paused ? 'paused' : 'standby', context);
    if (context.highest === 0) {
      // A pair that was never active begins with the primary; a site with a history of its own waits for an operator.
      const alone =
        peer.known === 'unborn' || (peer.known === 'away' && this.#waitedMs() > this.#settings.resumeAfterMs);
      const young = peer.known === 'greeting' && peer.greeting.role === 'standby' && peer.greeting.epoch === 0;
      if (number === 1 && (alone || young) && (await this.#history()) === 0) await tell({ type: 'begin' });
      return;
    }
    if (paused) return;
    if (peer.known === 'greeting' && peer.greeting.role === 'offered')
      return tell({ type: 'promote', reason: 'the other site hands over' });
    const theirs = peer.known === 'greeting' ? peer.greeting.role : '';
    // Whatever the other site says of itself: the lease decides. One that is handing over is not overtaken.
    if (this.#settings.mode === 'witness' && fit() && !['draining', 'catching', 'preparing'].includes(theirs))
      if (await this.#hold(context)) await tell({ type: 'promote', reason: leaseReason });
  }

  /** A planned promotion: until nothing is missing, and only as long as the other site stands by its offer. */
  async #catching(context: SiteContext, peer: Peer): Promise<void> {
    const { tell } = this.#settings;
    await this.#say('catching', context);
    if (context.reason === leaseReason) return this.#inherit(context);
    if (peer.known !== 'greeting') {
      if (this.#waitedMs() > limits.handOverMs)
        await tell({
          type: 'abandon',
          reason: 'the other site does not answer; force-promote takes what is here, with the lag that is shown',
        });
      return;
    }
    const { role } = peer.greeting;
    if (role === 'active' || role === 'resuming' || role === 'draining')
      return tell({
        type: 'abandon',
        reason:
          role === 'draining' ? 'the offer was withdrawn' : 'the other site is active: it hands over by switchover',
      });
    const behind = await this.#behind();
    if (behind !== undefined) {
      if (this.#waitedMs() > 2 * limits.handOverMs)
        await tell({ type: 'abandon', reason: `shard ${behind} did not catch up with the other site` });
      return;
    }
    // Once more, after this site has said what it does: the other one withdraws before it looks.
    const again = await this.#greet();
    if (again.known === 'greeting' && again.greeting.role === role) await tell({ type: 'caught_up' });
  }

  /** The lease is here, so the other site decides nothing any more: what its store still gives is taken, but not waited for. */
  async #inherit(context: SiteContext): Promise<void> {
    const { tell } = this.#settings;
    if (!(await this.#hold(context)))
      return tell({ type: 'abandon', reason: `the witness gave the lease to ${this.#tether.other}` });
    if (this.#waitedMs() > limits.inheritMs || (await this.#behind()) === undefined) await tell({ type: 'caught_up' });
  }

  /** A shard whose history is not as long as at the other site; undefined when there is none. @throws Unavailable */
  async #behind(): Promise<number | undefined> {
    const { own, peer, shards } = this.#settings;
    for (const shard of shards) {
      const [mine, theirs] = await Promise.all([own.whereabouts(shard), peer.whereabouts(shard)]);
      if (mine.head.hash !== theirs.head.hash) return shard;
    }
    return undefined;
  }

  async #preparing(context: SiteContext, peer: Peer): Promise<void> {
    const { sites, shards, prepare, gates, tell, number, log } = this.#settings;
    await this.#say('preparing', context);
    if (this.#settings.mode === 'witness' && !(await this.#hold(context))) {
      if (this.#waitedMs() > limits.handOverMs)
        await tell({ type: 'abandon', reason: `the witness gave the lease to ${this.#tether.other}` });
      return;
    }
    if (await this.#anyHeld(sites)) return;
    const heard = peer.known === 'greeting' ? peer.greeting.epoch : 0;
    const epoch = nextEpoch(Math.max(context.highest, heard, await this.#history()), number);
    // A former try may have opened them.
    await gates.close(shards, epoch);
    try {
      await prepare();
    } catch (error) {
      if (error instanceof Unavailable) throw error;
      const detail = error instanceof Error ? error.message : String(error);
      log.warn({ error: detail }, 'a shard cannot be promoted yet');
      if (this.#waitedMs() > limits.handOverMs)
        await tell({ type: 'abandon', reason: detail.slice(0, limits.reasonLengthMax) });
      return;
    }
    const opened = await gates.open(shards, epoch, this.#gateForMs());
    if (opened.outcome === 'refused')
      return tell({ type: 'abandon', reason: `the gate of shard ${opened.shard} does not open: ${opened.why}` });
    this.#gatesAtMs = this.#settings.system.monotonicMs();
    this.#confirmed = true;
    await tell({ type: 'opened', epoch });
  }

  async #active(context: SiteContext, peer: Peer): Promise<void> {
    const { gates, shards, system, mode, resumeAfterMs, log } = this.#settings;
    if (this.#tether.stepped()) return this.#fence(context, 'the wall clock was set');
    if (!this.#confirmed) {
      await this.#say('resuming', context);
      const silent = system.monotonicMs() - this.#startedAtMs > resumeAfterMs;
      if (mode === 'manual' && peer.known !== 'greeting' && peer.known !== 'unborn' && !silent) return;
      if (mode === 'manual' && peer.known === 'away')
        log.warn({ epoch: context.epoch }, 'active again although the other site does not answer');
      this.#confirmed = true;
    }
    if (mode === 'witness') {
      const held = await this.#hold(context).catch((error: unknown) => {
        if (error instanceof Unavailable) return this.#tether.restMs() > 0;
        throw error;
      });
      if (!held || this.#tether.restMs() <= 0) return this.#fence(context, 'the lease of the witness is lost');
    }
    const now = system.monotonicMs();
    if (now - this.#gatesAtMs >= limits.gateEveryMs) {
      const opened = await gates.open(shards, context.epoch, this.#gateForMs());
      if (opened.outcome === 'refused')
        return this.#fence(context, `the gate of shard ${opened.shard} does not open: ${opened.why}`);
      this.#gatesAtMs = now;
    }
    await this.#say('active', context);
  }

  async #drain(context: SiteContext): Promise<void> {
    const { sites, gates, shards, tell } = this.#settings;
    await this.#say('draining', context);
    if (this.#settings.mode === 'witness') await this.#hold(context);
    if (await this.#anyHeld(sites)) return;
    await gates.close(shards, context.epoch);
    await tell({ type: 'drained' });
  }

  /** The offer stands for a while; it is withdrawn before this site looks whether the other one has begun. */
  async #offer(context: SiteContext, peer: Peer): Promise<void> {
    await this.#close(context.epoch);
    const waited = this.#waitedMs();
    if (this.#offered && waited <= limits.handOverMs) {
      await this.#say('offered', context);
      await this.#release();
      return;
    }
    this.#offered = false;
    await this.#say('draining', context);
    if (waited <= limits.handOverMs + limits.handOverGraceMs || peer.known !== 'greeting') return;
    if (peer.greeting.role === 'standby' || peer.greeting.role === 'paused')
      await this.#settings.tell({ type: 'keep', reason: 'the other site did not take over' });
  }

  async #fenced(context: SiteContext, peer: Peer): Promise<void> {
    const { tell, mode } = this.#settings;
    await this.#close(context.epoch);
    await this.#say('fenced', context);
    if (mode === 'witness' ? await this.#hold(context) : peer.known === 'greeting' && peer.greeting.role !== 'active')
      await tell({ type: 'keep', reason: 'nobody took over' });
  }

  async #fence(context: SiteContext, reason: string): Promise<void> {
    const { gates, shards, tell, log } = this.#settings;
    log.warn({ epoch: context.epoch, reason }, 'this site is not active any longer');
    await gates.close(shards, context.epoch);
    await tell({ type: 'fence', reason });
  }

  async #close(epoch: SiteEpoch): Promise<void> {
    if (this.#shut) return;
    const { gates, shards } = this.#settings;
    await gates.close(shards, epoch);
    if (this.#seen !== 'fenced') await this.#release();
    this.#shut = true;
  }

  /** Whether this site has the lease of the witness. */
  async #hold({ epoch }: SiteContext): Promise<boolean> {
    return this.#tether.hold(`site ${this.#settings.number}, epoch ${epoch}`);
  }

  async #release(): Promise<void> {
    await this.#tether.release().catch((error: unknown) => {
      this.#settings.log.warn({ error: String(error) }, 'the lease of the witness was not given back; it runs out');
    });
  }

  #gateForMs(): number {
    return this.#settings.mode === 'witness'
      ? Math.max(1, Math.min(limits.gateForMs, Math.floor(this.#tether.restMs())))
      : limits.gateForMs;
  }

  async #anyHeld(sites: SiteControllerSettings['sites']): Promise<boolean> {
    return (await sites.held(this.#settings.shards.length)).length > 0;
  }

  /** The highest epoch in the histories that are here. */
  async #history(): Promise<SiteEpoch> {
    const { own, shards } = this.#settings;
    const places = await Promise.all(shards.map((shard) => own.whereabouts(shard)));
    return Math.max(0, ...places.map(({ head }) => head.epoch));
  }

  async #greet(): Promise<Peer> {
    const { peer, greeting: mine } = this.#settings;
    try {
      const greeting = await peer.greet();
      if (!greeting) return { known: 'unborn' };
      const refusal = checkGreeting(mine, greeting);
      return refusal || greeting.site === this.#settings.number
        ? { known: 'refused', refusal: refusal ?? sameNumber }
        : { known: 'greeting', greeting };
    } catch (error) {
      if (error instanceof Unavailable) return { known: 'away' };
      throw error;
    }
  }

  async #say(role: NoticeRole, { epoch }: SiteContext): Promise<void> {
    const { sites, greeting, number, system } = this.#settings;
    const text = `${role} ${epoch}`;
    const now = system.monotonicMs();
    if (text === this.#announced && now - this.#announcedAtMs < limits.gateEveryMs) return;
    await sites.announce({ ...greeting, site: number, role, epoch });
    this.#announced = text;
    this.#announcedAtMs = now;
  }

  #waitedMs(): number {
    return this.#settings.system.monotonicMs() - this.#seenAtMs;
  }
}

const leaseReason = 'the witness gave this site the lease';

const sameNumber: Refusal = {
  refused: 'other-deployment',
  detail: 'both sites have the same number',
  remedy: 'one of them is "primary" and the other "secondary": set [orchestrator] site',
};
