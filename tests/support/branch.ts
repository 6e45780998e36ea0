/** One shard of one site of a pair, on the real core: it decides batches into links, and can fork from any link. */
import { createRegistry } from '../../actors/application.ts';
import { freeze, viewOf } from '../../runtime/core/actor.ts';
import { lossesOf, type Lost } from '../../runtime/core/merge/lost.ts';
import { follow } from '../../runtime/core/merge/replica.ts';
import type { Commit, Entry } from '../../runtime/core/decision.ts';
import { linkAfter, origin, type Cursor, type Link } from '../../runtime/protocol/chain.ts';
import type { Envelope } from '../../runtime/protocol/envelope.ts';
import type { Address } from '../../runtime/protocol/ids.ts';
import type { JournalRecord } from '../../runtime/protocol/journal.ts';
import { createBench, type Bench } from './decisions.ts';

export const registry = createRegistry();
/** What the branch wrote after the fork, as the site that lost hands it over; the fork is the last link before. */
export function lossesOfBranch(branch: Branch, fork: Cursor): Lost[] {
  return lossesOf(fork, branch.links, [], (address) => {
    const actor = branch.bench.world.actors.get(address);
    return actor ? freeze(actor) : null;
  });
}

let handed = 0;

/** @param number stands for itself where it is given twice */
export function lostEntry(lost: Lost, site = 1, number = ++handed): Entry {
  const fields = ['lost', JSON.stringify(lost), 'source', `-${site}`, 'number', String(number)];
  return { source: 'commands', id: `${number}-2`, fields };
}

let derived = 0;

export function derivedEntry(envelopes: readonly Envelope[]): Entry {
  return { source: 'commands', id: `${++derived}-1`, fields: ['derived', JSON.stringify(envelopes)] };
}

export class Branch {
  readonly bench: Bench;
  readonly epoch: number;
  readonly links: Link[] = [];
  /** The last one. */
  commit: Commit | undefined;
  #head: Cursor;

  /** Goes on after the links, which must be a whole history. */
  constructor(epoch: number, past: readonly Link[] = [], shard = 0) {
    this.epoch = epoch;
    this.#head = past.at(-1) ?? origin('i1');
    this.bench = createBench([], shard);
    const { world } = this.bench;
    world.siteEpoch = epoch;
    let minted = 0;
    world.mint = () => `token-${epoch}-${++minted}`;
    const actors = new Map();
    follow(world.registry, actors, past);
    for (const [address, actor] of actors as Map<Address, Parameters<typeof viewOf>[0]>) {
      world.actors.set(address, actor);
      world.dispatcher.observe(address, viewOf(actor));
      world.alarms.watch(address, actor.timers);
    }
  }

  run(entries: readonly Entry[], nowMs = 1_000, timers: readonly string[] = []): readonly JournalRecord[] {
    const decided = this.bench.run(entries, nowMs, timers);
    this.commit = decided.commit;
    if (decided.commit.journal !== undefined) {
      const link = linkAfter(this.#head, this.epoch, decided.commit.journal);
      this.#head = link;
      this.links.push(link);
    }
    return this.bench.records(decided);
  }
}
