/**
 * One run: a pair, a witness or an operator, clients and an agent on simulated time; faults, then peace, then the verdict.
 * Nothing in it knows the time or chance of this machine, so a seed gives the same bytes each time.
 */
import type { Entry } from '../../runtime/core/decision.ts';
import type { Address } from '../../runtime/protocol/ids.ts';
import { linkAfter } from '../../runtime/protocol/chain.ts';
import { Chance } from '../support/chance.ts';
import { reportEntry } from '../support/decisions.ts';
import { checkHealed, Watch } from './checkers.ts';
import { entryIn, reportsIn } from './entry.ts';
import { drawFaults, isUnder, type Fault, type Mode } from './faults.ts';
import type { Mutant } from './mutant.ts';
import { leaseMs, Site, type Answer } from './site.ts';

const tickMs = 500;
const stormTicks = 60;
const calmTicks = 90;
/** At the end the agent is silent, so that both sites can come to the same end. */
const silentTicks = 10;
/** How long a site that was active waits for the word of the other one before it goes on. */
const resumeTicks = 8;
const agent = 'a-0-one';

export interface Verdict {
  seed: number;
  violations: string[];
  /** Packages of branches that lost, taken up. */
  takenUp: number;
  switchovers: number;
  /** Hash of the last link: equal runs have equal ones. */
  end: string;
}

export function simulate(seed: number, mutant?: Mutant): Verdict {
  return new Simulation(seed, mutant).run();
}

class Simulation {
  readonly #seed: number;
  readonly #chance: Chance;
  readonly #mode: Mode;
  readonly #faults: Fault[];
  readonly #sites: readonly [Site, Site];
  readonly #watch: Watch;
  #witness = { holder: 0, untilMs: 0, epoch: 0 };
  #answers: { to: Site; answer: Answer; at: number }[] = [];
  #packages: { to: Site; entry: Entry; at: number }[] = [];
  #work: { task: string; token: string; at: number }[] = [];
  #unanswered: { command: Record<string, unknown>; id: string; at: number }[] = [];
  #agentEpoch = 0;
  #commands = 0;
  #switchovers = 0;
  /** Of the planned switchover under way: where the one that drains stands. */
  #planned: { from: Site; hash: string } | undefined;
  readonly #quietSince = new Map<Site, number>();

  constructor(seed: number, mutant?: Mutant) {
    this.#seed = seed;
    this.#chance = new Chance(seed);
    this.#mode = this.#chance.happens(0.6) ? 'witness' : 'manual';
    this.#faults = drawFaults(this.#chance, this.#mode, stormTicks);
    this.#watch = new Watch(this.#mode);
    this.#sites = [new Site(1, mutant), new Site(2, mutant)];
    this.#sites[0].wanted = true;
  }

  run(): Verdict {
    const violations: string[] = [];
    try {
      for (let tick = 0; tick < stormTicks + calmTicks; tick++) this.#tick(tick, tick < stormTicks);
      violations.push(...this.#watch.violations, ...checkHealed(this.#sites, this.#watch));
    } catch (error) {
      violations.push(...this.#watch.violations, error instanceof Error ? error.message : String(error));
    }
    const { journal, head } = this.#sites.find(({ active }) => active) ?? this.#sites[0];
    const takenUp = journal.reduce((sum, link) => sum + reportsIn(link).length, 0);
    return { seed: this.#seed, violations, takenUp, switchovers: this.#switchovers, end: head.hash };
  }

  #tick(tick: number, storm: boolean): void {
    const nowMs = 1_000_000 + tick * tickMs;
    const faults = storm ? this.#faults.filter((fault) => isUnder(fault, tick)) : [];
    const cut = faults.some(({ kind }) => kind === 'cut');
    this.#operate(tick, storm, cut, nowMs);
    for (const [index, site] of this.#sites.entries()) {
      this.#strike(site, index, tick, nowMs, faults);
      if (faults.some((one) => 'site' in one && one.site === index && (one.kind === 'crash' || one.kind === 'pause')))
        continue;
      const other = this.#sites[1 - index]!;
      const peerDown = faults.some((one) => one.kind === 'crash' && one.site === 1 - index);
      site.lookAtClock(nowMs);
      const blind = faults.some((one) => one.kind === 'no witness' || (one.kind === 'alone' && one.site === index));
      if (this.#mode === 'witness') {
        if (!blind) this.#ask(site, other, nowMs, cut || peerDown);
      } else this.#manual(site, other, tick, nowMs, cut || peerDown);
      this.#serve(site, nowMs, tick, storm);
      this.#arrive(site, tick);
      if (!cut && !peerDown && !(storm && this.#chance.happens(0.15))) this.#pull(site, other, tick, storm);
    }
  }

  #strike(site: Site, index: number, tick: number, nowMs: number, faults: readonly Fault[]): void {
    for (const fault of this.#faults) {
      if (fault.from !== tick || !('site' in fault) || fault.site !== index) continue;
      if (fault.kind === 'crash') site.crash(nowMs);
      if (fault.kind === 'clock') site.skewMs += fault.byMs;
    }
    for (const fault of faults) if (fault.kind === 'drift' && fault.site === index) site.skewMs += fault.byMs;
    // A store of another life speaks up: nothing of it may be taken.
    if (faults.length > 0 && this.#chance.happens(0.05))
      site.follow(linkAfter({ ...site.head, incarnation: 'i0' }, site.head.epoch + 10, '{"records":[]}'));
  }

  /** What the operator does: switchovers as planned, and in manual mode promotions that may be wrong. */
  #operate(tick: number, storm: boolean, cut: boolean, nowMs: number): void {
    if (!storm && tick === stormTicks && !this.#sites.some(({ wanted }) => wanted)) this.#sites[0].wanted = true;
    for (const fault of this.#faults) {
      if (!storm || fault.from !== tick) continue;
      if (fault.kind === 'force') this.#sites[fault.site].wanted = true;
      if (fault.kind === 'switchover' && !cut && !this.#planned) {
        const from = this.#sites.find(({ active }) => active);
        if (from) this.#drain(from, nowMs);
      }
    }
  }

  #drain(from: Site, nowMs: number): void {
    from.draining = true;
    this.#planned = { from, hash: from.head.hash };
    from.step();
    if (this.#witness.holder === from.number) this.#witness = { ...this.#witness, holder: 0, untilMs: nowMs };
  }

  /** A planned switchover: the other one begins when it has all, and only then. True when it may. */
  #mayTakeOver(site: Site, other: Site): boolean {
    const planned = this.#planned;
    if (!planned || planned.from !== other || !other.draining) return true;
    return site.head.hash === planned.hash;
  }

  #began(site: Site): void {
    const planned = this.#planned;
    if (!planned) return;
    if (planned.from !== site && planned.hash === site.head.hash) {
      this.#switchovers++;
      // Nothing may stand behind what the new one goes on from.
      if (planned.from.head.hash !== planned.hash)
        this.#watch.violations.push(`I15: site ${planned.from.number} wrote on after it had drained`);
    }
    planned.from.draining = false;
    planned.from.wanted = planned.from === site;
    this.#planned = undefined;
  }

  /** The witness gives the lease when it is free, run out, or this site's. Its answer may come late. */
  #ask(site: Site, other: Site, nowMs: number, alone: boolean): void {
    const held = this.#witness.holder !== 0 && this.#witness.untilMs > nowMs;
    if (held && this.#witness.holder !== site.number) return;
    if (site.draining || (!alone && !this.#mayTakeOver(site, other))) return this.#waitForPeer(site);
    this.#witness = { ...this.#witness, holder: site.number, untilMs: nowMs + leaseMs };
    const was = site.active;
    site.allow(nowMs - this.#chance.below(leaseMs / 4) + leaseMs * 0.9, nowMs, this.#witness.epoch);
    if (site.active && !was) this.#began(site);
    this.#witness.epoch = Math.max(this.#witness.epoch, site.highest);
  }

  /** A site that drained and was not followed goes on after a while. */
  #waitForPeer(site: Site): void {
    const since = (this.#quietSince.get(site) ?? 0) + 1;
    this.#quietSince.set(site, since);
    if (!site.draining || since < resumeTicks) return;
    this.#quietSince.set(site, 0);
    site.draining = false;
    this.#planned = undefined;
  }

  /** Without a witness: whoever is wanted is active, unless it knows of a higher epoch. */
  #manual(site: Site, other: Site, tick: number, nowMs: number, alone: boolean): void {
    if (site.draining) return this.#waitForPeer(site);
    if (!alone && this.#planned?.from === other && site.head.hash === this.#planned.hash) site.wanted = true;
    if (!alone && !this.#isForced(site, tick) && site.yieldsTo(other) && other.active) {
      site.wanted = false;
      if (site.active) site.step();
    }
    if (!site.wanted) return;
    if (!alone && !this.#mayTakeOver(site, other)) return;
    const was = site.active;
    site.allow(nowMs + leaseMs, nowMs, 0);
    if (site.active && !was) this.#began(site);
  }

  #isForced(site: Site, tick: number): boolean {
    return this.#faults.some(
      (fault) => fault.kind === 'force' && this.#sites[fault.site] === site && fault.from === tick,
    );
  }

  #serve(site: Site, nowMs: number, tick: number, storm: boolean): void {
    const before = site.journal.length;
    if (!site.active) return this.#watch.passive(site, before);
    this.#ask4work(site, tick, storm);
    const lawful = site.gate.openUntilMs > nowMs + site.skewMs && site.gate.epoch === site.active.epoch;
    const done = site.commit(this.#agent(site, tick), nowMs);
    if (!done) return;
    if (done.link) this.#watch.stored(site, done.link, done.commit, lawful);
    const known = new Set(done.link ? entryIn(done.link).records.map(({ id }) => id) : []);
    this.#unanswered = this.#unanswered.filter(({ id }) => !known.has(id));
    for (const message of done.commit.posts.get(agent) ?? [])
      if (message.kind === 'assign')
        this.#work.push({ task: message['task']!, token: message['token']!, at: tick + 1 + this.#chance.below(8) });
  }

  /** Clients submit and cancel, and ask again, of whoever is active then, when they got no answer. */
  #ask4work(site: Site, tick: number, storm: boolean): void {
    const send = (command: Record<string, unknown>): void => {
      const id = command['id'] as string;
      this.#unanswered.push({ command, id, at: tick });
      site.commands.push({ source: 'commands', id: '0-0', fields: ['command', JSON.stringify(command)] });
    };
    for (const again of this.#unanswered)
      if (tick - again.at >= 6) {
        again.at = tick;
        site.commands.push({ source: 'commands', id: '0-0', fields: ['command', JSON.stringify(again.command)] });
      }
    if (!storm) return;
    if (this.#chance.happens(0.4)) {
      const id = `c${++this.#commands}`;
      send({ id, to: `task/t-0-${id}`, input: { type: 'echo' } });
    }
    if (this.#commands > 0 && this.#chance.happens(0.12)) {
      const task: Address = `task/t-0-c${1 + this.#chance.below(this.#commands)}`;
      if (site.actors.has(task)) send({ id: `x${tick}-${site.number}`, to: task, event: { type: 'cancel' } });
    }
  }

  /** It follows the active site of the highest epoch, registers there anew, and reports what it has finished. */
  #agent(site: Site, tick: number): Entry[] {
    const { epoch, bench } = site.active!;
    if (epoch < this.#agentEpoch || tick >= stormTicks + calmTicks - silentTicks) return [];
    const present = bench.world.actors.get(`agent/${agent}`);
    if (epoch > this.#agentEpoch || !present) {
      this.#agentEpoch = epoch;
      const input = { type: 'echo', slots: 4, max_agents: 9 };
      const command = { id: `r${++this.#commands}`, to: `agent/${agent}`, input };
      return [{ source: 'commands', id: '0-0', fields: ['command', JSON.stringify(command)] }];
    }
    const done = this.#work.filter(({ at }) => at <= tick);
    this.#work = this.#work.filter(({ at }) => at > tick);
    const reports = done.map(({ task, token }) =>
      reportEntry(agent, { kind: 'completed', task, token, result: JSON.stringify(token) }),
    );
    const attempts = this.#work.map(({ task, token }) => ({ task, token }));
    return [reportEntry(agent, { kind: 'heartbeat', attempts: JSON.stringify(attempts) }), ...reports];
  }

  #arrive(site: Site, tick: number): void {
    const due = <Sent extends { to: Site; at: number }>(list: Sent[]): Sent[] =>
      list.filter(({ to, at }) => to === site && at <= tick);
    const answers = due(this.#answers);
    const packages = due(this.#packages);
    this.#answers = this.#answers.filter((sent) => !answers.includes(sent));
    this.#packages = this.#packages.filter((sent) => !packages.includes(sent));
    for (const { answer } of answers) site.take(answer);
    if (site.active) for (const { entry } of packages) site.commands.push(entry);
  }

  /** What is on the wire is lost, doubled, late and out of order. */
  #pull(site: Site, other: Site, tick: number, storm: boolean): void {
    const send = (put: (at: number) => void): void => {
      const copies = storm && this.#chance.happens(0.2) ? 2 : 1;
      for (let copy = 0; copy < copies; copy++)
        if (!storm || !this.#chance.happens(0.05)) put(tick + 1 + (storm ? this.#chance.below(5) : 0));
    };
    if (!site.active) {
      const answer = other.answer(site.whereabouts);
      send((at) => this.#answers.push({ to: site, answer, at }));
      return;
    }
    for (const from of [site, other])
      for (const entry of from.lossesAfter(site.relayed.get(-from.number)))
        send((at) => this.#packages.push({ to: site, entry, at }));
  }
}
