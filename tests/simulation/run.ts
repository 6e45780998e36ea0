/** One run: a pair, a witness, a client and an agent on simulated time; faults, then peace, then the verdict. */
import type { Entry } from '../../runtime/core/decision.ts';
import type { Link } from '../../runtime/protocol/chain.ts';
import type { Address } from '../../runtime/protocol/ids.ts';
import { derivedEntry } from '../support/branch.ts';
import { Chance } from '../support/chance.ts';
import { commandEntry, reportEntry } from '../support/decisions.ts';
import { checkHealed, Watch } from './checkers.ts';
import { drawFaults, isUnder, type Fault } from './faults.ts';
import type { Mutant } from './mutant.ts';
import { leaseMs, Site } from './site.ts';

const tickMs = 500;
const stormTicks = 120;
const calmTicks = 200;
/** At the end the agent is silent, so that both sites can come to the same end. */
const silentTicks = 12;
const agent = 'a-0-one';

interface Sent {
  to: Site;
  links: readonly Link[];
  at: number;
}

export interface Verdict {
  seed: number;
  violations: string[];
  /** Histories that had forked. */
  forked: boolean;
  /** Hash of the last link of the current branch: equal runs have equal ones. */
  end: string;
}

export function simulate(seed: number, mutant?: Mutant): Verdict {
  const run = new Simulation(seed, mutant);
  try {
    return run.run();
  } catch (error) {
    return { seed, violations: [error instanceof Error ? error.message : String(error)], forked: false, end: '' };
  }
}

class Simulation {
  readonly #seed: number;
  readonly #chance: Chance;
  readonly #faults: Fault[];
  readonly #sites: readonly [Site, Site];
  readonly #watch = new Watch();
  readonly #accepted = new Set<string>();
  #witness = { holder: 0, untilMs: 0, epoch: 0 };
  #wire: Sent[] = [];
  #work: { task: string; token: string; at: number }[] = [];
  #agentEpoch = 0;
  #registered = 0;
  #submitted = 0;
  #read = 0;
  readonly #left = new Map<Site, Entry[]>();

  constructor(seed: number, mutant?: Mutant) {
    this.#seed = seed;
    this.#chance = new Chance(seed);
    this.#faults = drawFaults(this.#chance, stormTicks);
    this.#sites = [new Site(1, mutant), new Site(2, mutant)];
  }

  run(): Verdict {
    for (let tick = 0; tick < stormTicks + calmTicks; tick++) this.#tick(tick, tick < stormTicks);
    const violations = [...this.#watch.violations, ...checkHealed({ sites: this.#sites, accepted: this.#accepted })];
    const { tree } = this.#sites[0];
    return { seed: this.#seed, violations, forked: tree.losing().length > 0, end: tree.tip?.hash ?? '' };
  }

  #tick(tick: number, storm: boolean): void {
    const nowMs = 1_000_000 + tick * tickMs;
    const faults = this.#faults.filter((fault) => isUnder(fault, tick));
    for (const [index, site] of this.#sites.entries()) {
      for (const fault of this.#faults) {
        if (fault.from !== tick || !('site' in fault) || fault.site !== index) continue;
        if (fault.kind === 'crash') this.#crash(site);
        if (fault.kind === 'clock') site.skewMs += fault.byMs;
      }
      const down = faults.some(
        (one) => 'site' in one && one.site === index && (one.kind === 'crash' || one.kind === 'pause'),
      );
      if (down) continue;
      site.lookAtClock(nowMs);
      if (!faults.some((one) => one.kind === 'alone' && one.site === index)) this.#ask(site, nowMs);
      this.#serve(site, nowMs, tick, storm);
      this.#mirror(
        site,
        this.#sites[1 - index]!,
        tick,
        storm,
        faults.some(({ kind }) => kind === 'cut'),
      );
    }
  }

  #crash(site: Site): void {
    site.crash();
    this.#left.delete(site);
  }

  /** The witness gives the lease when it is free, run out, or this site's. Its answer may come late. */
  #ask(site: Site, nowMs: number): void {
    const held = this.#witness.holder !== 0 && this.#witness.untilMs > nowMs;
    if (held && this.#witness.holder !== site.number) return;
    this.#witness = { ...this.#witness, holder: site.number, untilMs: nowMs + leaseMs };
    site.granted(nowMs - this.#chance.below(leaseMs / 4), nowMs, this.#witness.epoch);
    this.#witness.epoch = Math.max(this.#witness.epoch, site.highest);
  }

  #serve(site: Site, nowMs: number, tick: number, storm: boolean): void {
    if (!site.branch) return;
    const entries: Entry[] = [...(this.#left.get(site) ?? []), ...site.recovery()];
    this.#left.delete(site);
    const submits: string[] = [];
    if (storm && this.#chance.happens(0.4)) {
      const id = `c${++this.#submitted}`;
      submits.push(id);
      entries.push(commandEntry({ id, to: `task/t-0-${id}`, input: { type: 'echo' } }));
    }
    if (storm && this.#submitted > 0 && this.#chance.happens(0.1)) {
      const task: Address = `task/t-0-c${1 + this.#chance.below(this.#submitted)}`;
      entries.push(commandEntry({ id: `x${tick}-${site.number}`, to: task, event: { type: 'cancel' } }));
    }
    entries.push(...this.#agent(site, tick));
    const numbered = entries.map((entry) => ({ ...entry, id: `${++this.#read}-0` }));
    const done = site.commit(numbered, nowMs);
    if (!done) return;
    this.#watch.stored(site, done.records);
    const known = new Set(done.records.map(({ id }) => id));
    for (const id of submits) if (known.has(id)) this.#accepted.add(id);
    if (done.commit.deferred.length > 0) this.#left.set(site, [derivedEntry(done.commit.deferred)]);
    for (const message of done.commit.posts.get(agent) ?? [])
      if (message.kind === 'assign')
        this.#work.push({ task: message['task']!, token: message['token']!, at: tick + 1 + this.#chance.below(8) });
  }

  /** It follows the active site of the highest epoch, registers there anew, and reports what it has finished. */
  #agent(site: Site, tick: number): Entry[] {
    if (site.epoch < this.#agentEpoch || tick >= stormTicks + calmTicks - silentTicks) return [];
    const present = site.branch?.bench.world.actors.get(`agent/${agent}`);
    if (site.epoch > this.#agentEpoch || !present) {
      this.#agentEpoch = site.epoch;
      const input = { type: 'echo', slots: 4, max_agents: 9 };
      return [commandEntry({ id: `r${++this.#registered}`, to: `agent/${agent}`, input })];
    }
    const done = this.#work.filter(({ at }) => at <= tick);
    this.#work = this.#work.filter(({ at }) => at > tick);
    const reports = done.map(({ task, token }) =>
      reportEntry(agent, { kind: 'completed', task, token, result: JSON.stringify(token) }),
    );
    const attempts = this.#work.map(({ task, token }) => ({ task, token }));
    return [reportEntry(agent, { kind: 'heartbeat', attempts: JSON.stringify(attempts) }), ...reports];
  }

  /** The site asks the other one for what it has not; what is on the wire is lost, doubled, late and out of order. */
  #mirror(site: Site, other: Site, tick: number, storm: boolean, cut: boolean): void {
    const arrived = this.#wire.filter(({ to, at }) => to === site && at <= tick);
    this.#wire = this.#wire.filter((sent) => !arrived.includes(sent));
    for (const { links } of arrived) site.take(links);
    if (cut || (storm && this.#chance.happens(0.2))) return;
    const links = other.after(site.cursor);
    if (links.length === 0) return;
    const copies = storm && this.#chance.happens(0.2) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++)
      this.#wire.push({ to: site, links, at: tick + 1 + (storm ? this.#chance.below(5) : 0) });
  }
}
