/** What must hold of a run, each named as in the design: while it goes on, and after everything is healed. */
import { freeze, stateTextOf, type Actor } from '../../runtime/core/actor.ts';
import type { Commit } from '../../runtime/core/decision.ts';
import { followEntry, stateHash, type Actors } from '../../runtime/core/merge/replica.ts';
import type { TakenUp } from '../../runtime/core/merge/takeup.ts';
import type { Link } from '../../runtime/protocol/chain.ts';
import type { Address } from '../../runtime/protocol/ids.ts';
import { stateText } from '../../runtime/protocol/envelope.ts';
import type { JournalRecord } from '../../runtime/protocol/journal.ts';
import { builtIn } from '../support/decisions.ts';
import { entryIn, reportsIn } from './entry.ts';
import type { Mode } from './faults.ts';
import type { Site } from './site.ts';

const ends = new Set(['succeeded', 'cancelled', 'expired', 'parked']);

/** Sees every commit of every site at the moment that it is stored. */
export class Watch {
  readonly violations: string[] = [];
  /** Records of all branches, whatever became of them: `<epoch> <sequence> <actor> <id>`. */
  readonly written = new Map<string, JournalRecord>();
  /** Task -> ends that a client was told, save those that were corrected after that, in whichever branch. */
  readonly told = new Map<Address, Set<string>>();
  readonly accepted = new Set<string>();
  readonly #mode: Mode;
  readonly #owner = new Map<number, number>();
  #highest = 0;

  constructor(mode: Mode) {
    this.#mode = mode;
  }

  stored(site: Site, link: Link, commit: Commit, lawful: boolean): void {
    const owner = this.#owner.get(link.epoch) ?? site.number;
    if (owner !== site.number) this.violations.push(`I1: both sites write under epoch ${link.epoch}`);
    this.#owner.set(link.epoch, owner);
    if (!lawful)
      this.violations.push(`I3: site ${site.number} stored ${link.epoch}.${link.sequence} through a closed gate`);
    if (this.#mode === 'witness' && link.epoch < this.#highest)
      this.violations.push(`I3: site ${site.number} writes under ${link.epoch} after ${this.#highest} has begun`);
    this.#highest = Math.max(this.#highest, link.epoch);
    for (const record of entryIn(link).records) {
      this.written.set(`${link.epoch} ${link.sequence} ${record.actor} ${record.id} ${record.origin}`, record);
      if (record.outcome !== undefined) continue;
      if (record.origin === 'command') this.accepted.add(record.id);
      const state = stateText(record.state);
      if (!ends.has(state) || !record.actor.startsWith('task/')) continue;
      const known = this.told.get(record.actor) ?? new Set();
      if (record.event?.type === 'CORRECTION') known.delete(record.event['told'] as string);
      this.told.set(record.actor, known.add(state));
    }
    if (commit.setAside.length > 0)
      this.violations.push(`R10: site ${site.number} set aside: ${JSON.stringify(commit.setAside[0])}`);
  }

  /** A standby says nothing to anybody and takes no entry (R8). */
  passive(site: Site, before: number): void {
    if (!site.active && site.journal.length > before)
      this.violations.push(`I12: site ${site.number} wrote without being active`);
  }
}

interface Current {
  links: readonly Link[];
  records: { link: Link; record: JournalRecord }[];
  reports: TakenUp[];
}

export function checkHealed(sites: readonly [Site, Site], watch: Watch): string[] {
  const [one, two] = sites;
  const active = sites.find((site) => site.active);
  if (!active) return ['I14: no site is active after everything is healed'];
  const violations: string[] = [];
  if (one.head.hash !== two.head.hash) violations.push(`I6: the sites end in ${place(one)} and ${place(two)}`);
  const links = active.journal;
  const current: Current = {
    links,
    records: links.flatMap((link) => entryIn(link).records.map((record) => ({ link, record }))),
    reports: links.flatMap(reportsIn),
  };
  violations.push(
    ...checkBranch(links),
    ...checkInputs(current, watch),
    ...checkEnds(active.actors, current.reports, watch),
  );
  violations.push(...checkUnion(current, watch));
  const replayed: Actors = new Map();
  try {
    for (const link of links) followEntry(builtIn, replayed, entryIn(link));
  } catch (error) {
    return [...violations, `I8: ${error instanceof Error ? error.message : String(error)}`];
  }
  for (const site of sites) {
    if (stateHash(site.actors) !== stateHash(replayed))
      violations.push(`I7: site ${site.number} holds ${difference(site.actors, replayed)}`);
    if (site.deferred.size > 0)
      violations.push(`I14: ${site.deferred.size} envelopes still wait at site ${site.number}`);
  }
  for (const [address, actor] of active.actors)
    if (address.startsWith('task/') && actor.snapshot.status === 'active')
      violations.push(`I14: ${address} is still in ${stateTextOf(actor)}`);
  return violations;
}

function place({ head }: Site): string {
  return `${head.epoch}.${head.sequence}`;
}

function difference(mine: ReadonlyMap<Address, Actor>, replayed: ReadonlyMap<Address, Actor>): string {
  for (const [address, actor] of replayed) {
    const other = mine.get(address);
    if (!other) return `no ${address}`;
    if (freeze(other) !== freeze(actor)) return `another ${address}: ${freeze(other)}, not ${freeze(actor)}`;
  }
  return `more than its history gives: ${[...mine.keys()].find((address) => !replayed.has(address)) ?? 'nothing'}`;
}

function checkBranch(links: readonly Link[]): string[] {
  const violations: string[] = [];
  let [epoch, sequence, previous] = [0, 0, ''];
  for (const link of links) {
    if (link.epoch < epoch || link.sequence !== sequence + 1 || link.previous !== previous)
      violations.push(`I2: ${link.epoch}.${link.sequence} follows ${epoch}.${sequence}`);
    if (link.incarnation !== 'i1') violations.push(`I17: a link of incarnation ${link.incarnation} was taken`);
    ({ epoch, sequence, hash: previous } = link);
  }
  return violations;
}

function checkInputs({ records, reports }: Current, { accepted }: Watch): string[] {
  const violations: string[] = [];
  const applied = new Map<string, number>();
  const known = new Set<string>();
  for (const { record } of records) {
    known.add(record.id);
    if (record.outcome !== undefined) continue;
    if (record.origin === 'command') {
      const command = `${record.actor} ${record.id}`;
      applied.set(command, (applied.get(command) ?? 0) + 1);
    }
    // Agents of the simulation give their token as the result: whose result it is can be seen.
    const { event } = record;
    if (event?.type === 'complete' && event['result'] !== event['token'])
      violations.push(
        `I11: ${record.actor} took the result of ${JSON.stringify(event['result'])} as that of another attempt`,
      );
  }
  for (const { inputs } of reports) for (const { command_id } of inputs) known.add(command_id);
  for (const [command, times] of applied) if (times > 1) violations.push(`I4: ${command} was applied ${times} times`);
  for (const id of accepted) if (!known.has(id)) violations.push(`I5: ${id} was accepted and is nowhere`);
  return violations;
}

/** What a client was told as an end is so, or was corrected in the open; joined fields never moved down. */
function checkEnds(actors: ReadonlyMap<Address, Actor>, reports: readonly TakenUp[], watch: Watch): string[] {
  const violations: string[] = [];
  for (const [task, states] of watch.told) {
    const now = actors.get(task);
    for (const told of states)
      // A parked task may be taken up again by whoever operates it, so this end is none for ever.
      if (told !== 'parked' && now && stateTextOf(now) !== told)
        violations.push(`I10: ${task} was told to be ${told} and is ${stateTextOf(now)}`);
  }
  for (const { actor, lost } of reports) {
    const now = actors.get(actor)?.snapshot.context as { attempt?: number } | undefined;
    for (const { record } of lost.records) {
      const attempt = record.event?.['attempt'];
      if (now?.attempt !== undefined && typeof attempt === 'number' && attempt > now.attempt)
        violations.push(`I13: ${actor} had attempt ${attempt} and counts ${now.attempt}`);
    }
  }
  return violations;
}

/** Whatever any branch wrote is in the current one, or in a report that the current one keeps. */
function checkUnion({ records, reports }: Current, { written }: Watch): string[] {
  const kept = new Set<string>();
  for (const { link, record } of records)
    kept.add(`${link.epoch} ${link.sequence} ${record.actor} ${record.id} ${record.origin}`);
  const lost = new Set<string>();
  for (const report of reports)
    for (const { sequence, record } of report.lost.records)
      lost.add(`${sequence} ${record.actor} ${record.id} ${record.origin}`);
  const violations: string[] = [];
  for (const key of written.keys()) {
    if (kept.has(key) || lost.has(key.slice(key.indexOf(' ') + 1))) continue;
    violations.push(`I18: ${key} was written and is in no history`);
    break;
  }
  return violations;
}
