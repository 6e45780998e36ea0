/** What must hold of a run, each named as in the design: while it goes on, and after everything is healed. */
import { freeze } from '../../runtime/core/actor.ts';
import { entryOf, follow, stateHash, type Actors } from '../../runtime/core/merge/replica.ts';
import type { JournalRecord } from '../../runtime/protocol/journal.ts';
import { reconciled, registry } from '../support/branch.ts';
import type { Site } from './site.ts';

export interface Run {
  sites: readonly [Site, Site];
  /** Command ids of submits that a client was told were taken. */
  accepted: ReadonlySet<string>;
}

export class Watch {
  readonly violations: string[] = [];
  readonly #owner = new Map<number, number>();
  #highest = 0;

  /** Seen at the moment that a site stored something. */
  stored(site: Site, records: readonly JournalRecord[]): void {
    if (records.length === 0) return;
    const owner = this.#owner.get(site.epoch) ?? site.number;
    if (owner !== site.number) this.violations.push(`I1: sites 1 and 2 both write under epoch ${site.epoch}`);
    this.#owner.set(site.epoch, owner);
    if (site.epoch < this.#highest)
      this.violations.push(`I3: site ${site.number} writes under ${site.epoch} after ${this.#highest} has begun`);
    this.#highest = Math.max(this.#highest, site.epoch);
  }
}

export function checkHealed({ sites: [one, two], accepted }: Run): string[] {
  const violations: string[] = [];
  if (one.tree.tip?.hash !== two.tree.tip?.hash) violations.push('I6: the sites end in different links');
  const current = one.tree.current();
  const applied = new Map<string, number>();
  const results = new Map<string, number>();
  let [epoch, sequence] = [0, 0];
  for (const link of current) {
    if (link.epoch < epoch || link.sequence !== sequence + 1)
      violations.push(`I2: ${link.epoch}.${link.sequence} follows ${epoch}.${sequence}`);
    ({ epoch, sequence } = link);
    for (const { outcome, origin, id, actor, event } of entryOf(link).records) {
      if (outcome !== undefined) continue;
      if (origin === 'command') applied.set(`${actor} ${id}`, (applied.get(`${actor} ${id}`) ?? 0) + 1);
      if (event?.type === 'complete') {
        const attempt = `${actor} ${JSON.stringify(event['token'])}`;
        results.set(attempt, (results.get(attempt) ?? 0) + 1);
      }
    }
  }
  for (const [command, times] of applied) if (times > 1) violations.push(`I4: ${command} was applied ${times} times`);
  for (const [attempt, times] of results) if (times > 1) violations.push(`I11: ${attempt} has ${times} results`);
  const known = new Set(current.flatMap((link) => entryOf(link).records.map(({ id }) => id)));
  for (const id of accepted) if (!known.has(id)) violations.push(`I5: ${id} was accepted and is nowhere`);
  const { reinjections, merges } = reconciled(one.tree);
  if (reinjections.length + merges.length > 0)
    violations.push(`I14: ${reinjections.length} inputs and ${merges.length} merges still wait`);
  if (JSON.stringify(reconciled(two.tree)) !== JSON.stringify(reconciled(one.tree)))
    violations.push('I9: the sites see different conflicts');
  violations.push(...checkReplay(one, two));
  return violations;
}

function checkReplay(one: Site, two: Site): string[] {
  const hashes = [one, two].map((site) => {
    const actors: Actors = new Map();
    follow(registry, actors, site.tree.current());
    return { actors, hash: stateHash(actors) };
  });
  const violations = hashes[0]!.hash === hashes[1]!.hash ? [] : ['I6: the sites hold different states'];
  const active = one.branch ?? two.branch;
  if (!active) return [...violations, 'I14: no site is active after everything is healed'];
  for (const [address, actor] of active.bench.world.actors)
    if (actor && freeze(actor) !== freeze(hashes[0]!.actors.get(address) ?? actor))
      violations.push(`I7: ${address} is not what its history says`);
  for (const [address, actor] of hashes[0]!.actors)
    if (address.startsWith('task/') && actor.snapshot.status === 'active')
      violations.push(`I14: ${address} is still at ${JSON.stringify(actor.snapshot.value)}`);
  return violations;
}
