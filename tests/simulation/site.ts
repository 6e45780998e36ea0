/** One site of a simulated pair: what survives a crash, what does not, and the real gate, chain, tree and reconciling. */
import { close, closedGate, open, pass, type Gate } from '../../runtime/core/merge/gate.ts';
import { BranchTree } from '../../runtime/core/merge/tree.ts';
import type { Commit, Entry } from '../../runtime/core/decision.ts';
import { origin, receive, type Cursor, type Link } from '../../runtime/protocol/chain.ts';
import { nextEpoch, type SiteNumber } from '../../runtime/protocol/siteepoch.ts';
import type { JournalRecord } from '../../runtime/protocol/journal.ts';
import { Branch, derivedEntry, reconciled } from '../support/branch.ts';
import type { Mutant } from './mutant.ts';

export const leaseMs = 3_000;

export class Site {
  readonly number: SiteNumber;
  readonly mutant: Mutant | undefined;
  // On disk:
  readonly tree = new BranchTree();
  /** What this site wrote itself, in order: the log that the other one follows. */
  readonly log: Link[] = [];
  cursor: Cursor = origin('i1');
  gate: Gate = closedGate;
  highest = 0;
  // In memory:
  branch: Branch | undefined;
  epoch = 0;
  holdUntilMs = 0;
  #unsettled = true;
  /** Wall clock minus the monotonic one. */
  skewMs = 0;
  #seenSkewMs = 0;

  constructor(number: SiteNumber, mutant?: Mutant) {
    this.number = number;
    this.mutant = mutant;
  }

  crash(): void {
    this.branch = undefined;
    this.holdUntilMs = 0;
    this.#seenSkewMs = this.skewMs;
    this.gate = close(this.gate);
  }

  /** A clock that was set ends the lease: nobody knows how much of it is left. */
  lookAtClock(nowMs: number): void {
    if (this.mutant === 'gate ignores backward time') {
      if (this.branch) this.gate = { ...this.gate, lastSeenMs: 0 };
      return;
    }
    if (this.skewMs !== this.#seenSkewMs) this.step();
    this.#seenSkewMs = this.skewMs;
    if (this.branch && nowMs >= this.holdUntilMs) this.step();
  }

  step(): void {
    this.branch = undefined;
    this.holdUntilMs = 0;
    this.gate = close(this.gate);
  }

  /** The witness granted or prolonged the lease that was asked for at `sentMs`. */
  granted(sentMs: number, nowMs: number, witnessed: number): void {
    const untilMs = sentMs + leaseMs * 0.9;
    if (untilMs <= nowMs) return;
    if (!this.branch) {
      this.highest = Math.max(this.highest, witnessed, this.tree.tip?.epoch ?? 0);
      this.epoch = nextEpoch(this.highest, this.number);
    }
    const opened = open(this.gate, this.epoch, untilMs - nowMs, nowMs + this.skewMs);
    if (!opened.passed && this.mutant !== 'gate ignores backward time') return this.step();
    if (opened.passed) this.gate = opened.gate;
    this.holdUntilMs = untilMs;
    this.highest = this.epoch;
    this.branch ??= this.#promoted();
  }

  #promoted(): Branch {
    this.#unsettled = true;
    return new Branch(this.epoch, this.tree.current());
  }

  /** Undefined where the gate lets nothing through; otherwise what was decided, and is stored. */
  commit(entries: readonly Entry[], nowMs: number): { records: readonly JournalRecord[]; commit: Commit } | undefined {
    const { branch } = this;
    if (!branch) return undefined;
    const passage = pass(this.gate, this.epoch, nowMs + this.skewMs);
    this.gate = passage.gate;
    if (!passage.passed && this.mutant !== 'gate ignores backward time') {
      this.step();
      return undefined;
    }
    const due = branch.bench.world.alarms.due(nowMs, 100).map(({ actor, timer }) => `${actor} ${timer}`);
    const before = branch.links.length;
    const records = branch.run(entries, nowMs, due);
    for (const link of branch.links.slice(before)) {
      this.tree.add(link);
      this.log.push(link);
    }
    return { records, commit: branch.commit! };
  }

  /** Inputs of branches that lost, and what is to be joined of them, while there is anything. */
  recovery(): Entry[] {
    if (!this.branch || !this.#unsettled) return [];
    if (this.mutant === 'superseded dropped') return [];
    const { reinjections, merges } = reconciled(this.tree);
    const next = reinjections.length > 0 ? reinjections : merges;
    this.#unsettled = next.length > 0;
    return next.length > 0 ? [derivedEntry(next)] : [];
  }

  /** Links of the other site, as they arrive. */
  take(links: readonly Link[]): void {
    for (const link of links) {
      const reception = receive(this.cursor, link, (hash) => this.tree.has(hash));
      if (!('taken' in reception)) return;
      if (reception.taken === 'repeat') continue;
      this.tree.add(link);
      this.#unsettled = true;
      this.cursor = link;
      this.highest = Math.max(this.highest, link.epoch);
    }
  }

  /** What the other site asks for: everything after its cursor. */
  after(cursor: Cursor): Link[] {
    const at = this.log.findIndex(({ hash }) => hash === cursor.hash);
    return this.log.slice(at + 1, at + 1 + 20);
  }
}
