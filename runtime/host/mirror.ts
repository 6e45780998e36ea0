/**
 * The loop of one shard at a standby. It takes what the other site has decided link by link, through the same `step`, and
 * commits it as it stands: the same journal text, the same snapshots. It decides nothing and says nothing to anybody (R8).
 */
import { limits } from '../../config/limits.ts';
import { emptyCommit } from '../core/decision.ts';
import { InvariantBroken } from '../core/invariant.ts';
import { courseOf } from '../core/merge/course.ts';
import type { Commit, LaneStatus, MirrorPlace, MirrorStore, PeerSite, ShardOpening } from '../ports.ts';
import { barrierOf, checkGreeting, type Greeting, type Refusal } from '../protocol/chain.ts';
import { Unavailable } from '../protocol/errors.ts';
import { positionStart } from '../protocol/journal.ts';
import { describe } from './describe.ts';
import { copyShard } from './copy.ts';
import type { Repairs } from './comparison.ts';
import { Follower, Refused } from './follower.ts';
import { handOver, handOverWaiting } from './handover.ts';
import { prune } from './promotion.ts';
import type { Runner, ShardSettings } from './shardsettings.ts';
import { LeaseLost, type Tenure } from './tenure.ts';

export interface MirrorSettings {
  mirrors: MirrorStore;
  peer: PeerSite;
  /** What this site says of itself; its number tells whose packages are whose. */
  greeting: Greeting;
  site: number;
  /** Actors to be taken from the other site as they stand there. */
  repairs?: Repairs;
  told: (status: MirrorStatus) => void;
}

/** How a shard's mirror stands. */
export interface MirrorStatus {
  shard: number;
  state: 'connecting' | 'copying' | 'following' | 'waiting' | 'refused';
  /** Sequence of the last link here, and at the other site when it was last asked. */
  sequence: number;
  peerSequence: number;
  epoch: number;
  /** How long after its decision the last link was stored here, in milliseconds of both clocks. */
  lagMs: number;
  refusal?: Refusal;
  /** Snapshots of a copy that are here. */
  copied?: number;
}

interface State {
  follower: Follower;
  /** Number of the last commit under the lease's epoch. */
  sequence: number;
  mailboxes: Set<string>;
}

export class MirrorShard implements Runner {
  readonly #settings: ShardSettings;
  readonly #mirror: MirrorSettings;
  readonly #tenure: Tenure;
  #state: State | undefined;
  #status: MirrorStatus;
  #stopping = false;
  readonly #wake = new AbortController();
  #lastTurnMs: number;
  #tidyAtMs = -Infinity;

  constructor(settings: ShardSettings, mirror: MirrorSettings, tenure: Tenure) {
    this.#settings = settings;
    this.#mirror = mirror;
    this.#tenure = tenure;
    this.#lastTurnMs = settings.system.monotonicMs();
    const { shard } = tenure.lease;
    this.#status = { shard, state: 'connecting', sequence: 0, peerSequence: 0, epoch: 0, lagMs: 0 };
  }

  get id(): number {
    return this.#tenure.lease.shard;
  }

  get readAgeMs(): number {
    return this.#settings.system.monotonicMs() - this.#lastTurnMs;
  }

  readonly mailboxes: readonly string[] = [];

  lanes(): LaneStatus[] {
    return [];
  }

  census(): ReadonlyMap<string, number> {
    return new Map();
  }

  get status(): MirrorStatus {
    return this.#status;
  }

  stop(): void {
    this.#stopping = true;
    this.#wake.abort();
  }

  async run(): Promise<'stopped' | 'lost'> {
    const { log, system } = this.#settings;
    while (!this.#stopping && this.#tenure.holds) {
      this.#lastTurnMs = system.monotonicMs();
      try {
        await this.#turn();
      } catch (error) {
        await this.#state?.follower.settled().catch(() => undefined);
        this.#state = undefined;
        if (error instanceof LeaseLost) return 'lost';
        if (error instanceof Refused) this.#refuse(error.refusal);
        else if (error instanceof InvariantBroken)
          this.#refuse({
            refused: 'diverged',
            detail: error.message,
            remedy: 'the same release must run at both sites; then copy this shard anew',
          });
        else if (error instanceof Error && barrierOf(error.message)) this.#refuse(barrierOf(error.message)!);
        else if (error instanceof Unavailable) {
          this.#say({ state: 'connecting' });
          log.debug({ shard: this.id, error: error.message }, 'mirror: the other site or the own store is away');
        } else log.error({ shard: this.id, error: describe(error) }, 'mirror failed, trying again');
        await system.sleep(limits.mirrorRetryMs, this.#wake.signal);
      }
    }
    return this.#stopping && this.#tenure.holds ? 'stopped' : 'lost';
  }

  async #turn(): Promise<void> {
    const { peer } = this.#mirror;
    const state = (this.#state ??= await this.#open());
    const { follower } = state;
    await this.#repair(state);
    await this.#tidy(state);
    const found = await peer.links(this.id, follower.cursor, limits.mirrorLinksMax, limits.mirrorBlockMs);
    for (const { position, link } of found) {
      if (this.#stopping || !this.#tenure.holds) break;
      await follower.take(position, link);
    }
    await follower.settled();
    if (found.length > 0) return peer.acknowledge(this.id, follower.cursor);
    // Nothing came: is there nothing, or was the journal trimmed or written by another branch?
    const { head } = follower;
    const there = await peer.whereabouts(this.id);
    this.#say({ state: 'following', peerSequence: there.head.sequence });
    if (there.head.hash !== head.hash && there.head.sequence <= head.sequence) this.#state = undefined;
    else if (there.oldest > head.sequence + 1) this.#state = undefined;
  }

  /** Where this shard stands, and what that asks for: only a shard on the history of the other site is followed. */
  async #open(): Promise<State> {
    const { store, registry, application, system } = this.#settings;
    const { mirrors, peer, greeting, site } = this.#mirror;
    const theirs = await peer.greet();
    if (!theirs) throw new Unavailable('peer', 'the other site has not been started yet');
    const refusal = checkGreeting(greeting, theirs) ?? (theirs.site === site ? sameNumber(site) : undefined);
    if (refusal) throw new Refused(refusal);
    // First of all: what is still on its way to the store would make what is read here old.
    const sequence = await this.#retake();
    const opening = await store.open(this.#tenure.lease);
    await mirrors.unfollowed(this.id);
    const place = await mirrors.place(this.id);
    const there = await peer.whereabouts(this.id);
    const oldest = (await mirrors.oldest(this.id)) ?? opening.head.sequence + 1;
    const course = place.copying
      ? ({ course: 'copy', why: 'the last copy was not finished' } as const)
      : courseOf({ head: opening.head, begins: opening.begins, oldest }, there);
    const { head } = opening;
    const state: State = { follower: this.#follower(opening, place), sequence, mailboxes: new Set(opening.mailboxes) };
    this.#say({ sequence: head.sequence, epoch: head.epoch, peerSequence: there.head.sequence });
    switch (course.course) {
      case 'follow':
        return state;
      case 'wait':
        this.#say({ state: 'waiting' });
        throw new Unavailable('peer', 'the other site is behind this one, or on a branch that lost');
      case 'yield': {
        const number = await handOver(
          {
            ...{ shard: this.id, mirrors, peer, site, fork: course.fork, snapshots: store },
            ...{ application, mailboxes: opening.mailboxes },
          },
          (commit) => this.#commit(state, commit),
        );
        this.#settings.log.warn(
          {
            shard: this.id,
            fork: course.fork.sequence,
            head: head.sequence,
            gone: course.gone,
            packages: number,
          },
          'this shard had a history of its own: it is handed over and copied anew',
        );
        break;
      }
      case 'refuse':
        throw new Refused(otherHistory(opening.head.incarnation, there.head.incarnation));
      case 'copy':
        this.#settings.log.warn({ shard: this.id, why: course.why }, 'mirror: the shard is copied');
        break;
    }
    await copyShard(
      {
        shard: this.id,
        peer,
        registry,
        mailboxes: opening.mailboxes,
        from: course.course === 'yield' ? course.fork.sequence + 1 : 1,
        nowMs: () => system.now(),
        progress: (copied) => this.#say({ state: 'copying', copied }),
        stopped: () => this.#stopping || !this.#tenure.holds,
      },
      (commit) => this.#commit(state, commit),
    );
    return this.#open();
  }

  /** A fresh epoch: what a turn that failed may have sent is refused from here on. */
  async #retake(): Promise<number> {
    const { store, system } = this.#settings;
    const sentAtMs = system.monotonicMs();
    const outcome = await store.acquire(this.id, this.#tenure.lease.owner, this.#tenure.ttlMs);
    if (outcome.outcome === 'held') throw new LeaseLost(this.id, `${outcome.owner} has it`);
    this.#tenure.retaken(outcome.lease, sentAtMs);
    return 0;
  }

  #follower({ head, begins }: ShardOpening, { cursor = positionStart, putOff }: MirrorPlace): Follower {
    const { store, registry, system } = this.#settings;
    return new Follower(
      {
        ...{ shard: this.id, registry, store },
        commit: (commit) => this.#commit(this.#state!, commit),
        stored: ({ sequence, epoch }, { at }) =>
          this.#say({ state: 'following', sequence, epoch, lagMs: Math.max(0, system.now() - at) }),
      },
      { head, begins, cursor, putOff: putOff.keys() },
    );
  }

  async #commit(state: State, commit: Commit): Promise<void> {
    const { store, committed } = this.#settings;
    const outcome = await store.commit(this.#tenure.lease, ++state.sequence, commit, 'mirror');
    switch (outcome.outcome) {
      case 'committed':
        for (const mailbox of commit.mailboxesOpened) state.mailboxes.add(mailbox);
        for (const mailbox of commit.mailboxesClosed) state.mailboxes.delete(mailbox);
        committed(this.id, commit);
        return;
      case 'stale':
        throw new LeaseLost(this.id, `epoch ${outcome.epoch} has it`);
      case 'gated':
        throw new LeaseLost(this.id, `the gate does not let a mirror through: ${outcome.why}`);
      case 'gap':
        throw new Error(`commit ${state.sequence} came where ${outcome.expected} was expected`);
      case 'damaged':
        throw new Error(`the store is damaged: ${outcome.detail}`);
    }
  }

  async #repair(state: State): Promise<void> {
    const wanted = this.#mirror.repairs?.take(this.id) ?? [];
    if (wanted.length === 0) return;
    const texts = await this.#mirror.peer.load(this.id, wanted);
    const snapshots = new Map(wanted.map((address) => [address, texts.get(address) ?? null]));
    await this.#commit(state, { ...emptyCommit(this.#settings.system.now()), snapshots });
    state.follower.replaced(wanted);
    this.#settings.log.warn({ shard: this.id, actors: wanted }, 'mirror: these actors differed and were copied');
  }

  /** What is kept for other shards and they have, and what agents and clients still bring here. */
  async #tidy(state: State): Promise<void> {
    const { store, application, system, log } = this.#settings;
    const { mirrors, peer, site } = this.#mirror;
    if (system.monotonicMs() < this.#tidyAtMs) return;
    this.#tidyAtMs = system.monotonicMs() + limits.mirrorTidyEveryMs;
    await prune(store, mirrors, this.id, limits.relayEntriesMax);
    const { follower, mailboxes } = state;
    const packages = await handOverWaiting(
      {
        shard: this.id,
        site,
        head: follower.head,
        mirrors,
        peer,
        application,
        mailboxes: [...mailboxes],
        snapshots: store,
      },
      (commit) => this.#commit(state, commit),
    );
    if (packages > 0) log.warn({ shard: this.id, actors: packages }, 'what was waiting here is handed over');
  }

  #refuse(refusal: Refusal): void {
    if (this.#status.refusal?.detail !== refusal.detail)
      this.#settings.log.error({ shard: this.id, ...refusal }, 'mirror: what the other site says is not taken');
    this.#say({ state: 'refused', refusal });
  }

  #say(changes: Partial<MirrorStatus>): void {
    const { refusal: _, ...rest } = this.#status;
    this.#status = { ...(changes.state === 'following' ? rest : this.#status), ...changes };
    this.#mirror.told(this.#status);
  }
}

function sameNumber(site: number): Refusal {
  return {
    refused: 'other-deployment',
    detail: `both sites say that they are number ${site}`,
    remedy: 'one of them is "primary" and the other "secondary": set [orchestrator] site',
  };
}

function otherHistory(mine: string, theirs: string): Refusal {
  return {
    refused: 'other-incarnation',
    detail: `this shard belongs to the history ${mine}, the other site's to ${theirs}: one of them was rebuilt or restored`,
    remedy:
      'if the other site is right, empty this one (its Redis and PostgreSQL) and start it as its standby; if this one has more, promote it',
  };
}
