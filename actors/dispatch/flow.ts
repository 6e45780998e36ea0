/**
 * The waiting tasks of one tenant (or of those without one), apart by what they need of an agent, so that a task that no
 * agent can take stands in nobody's way. Turns between tenants are counted: whoever had the fewest goes first.
 */
import type { Demand } from '../task/demand.ts';
import { ReadyQueue } from './ready.ts';

export interface Kind {
  /** Equal for tasks that fit the same agents; empty for those that fit every one. */
  readonly signature: string;
  readonly demand: Demand | undefined;
  readonly queue: ReadyQueue;
}

export class Flow {
  readonly tenant: string;
  readonly kinds = new Map<string, Kind>();
  /** Turns that it had, counted on from where the others were when it came. Not stored: a take-over begins anew. */
  turns = 0;
  /** Tasks of it that wait, those behind a key included. */
  waiting = 0;
  /** When it last had one, in milliseconds; waiting counts from there. */
  servedAt = 0;

  constructor(tenant: string) {
    this.tenant = tenant;
  }

  kind(demand: Demand | undefined): Kind {
    const signature = signatureOf(demand);
    let kind = this.kinds.get(signature);
    if (!kind) this.kinds.set(signature, (kind = { signature, demand, queue: new ReadyQueue() }));
    return kind;
  }

  /** Kinds without tasks are forgotten, except the plain one. */
  drop(kind: Kind): void {
    if (kind.queue.size === 0 && kind.signature !== '' && this.kinds.get(kind.signature) === kind)
      this.kinds.delete(kind.signature);
  }
}

const signatures = new WeakMap<Demand, string>();

function signatureOf(demand: Demand | undefined): string {
  if (!demand) return '';
  let signature = signatures.get(demand);
  if (signature === undefined) signatures.set(demand, (signature = written(demand)));
  return signature;
}

/** What matters for placing: not the key, and of limits the names only, as a task does not pass a dearer one of its kind. */
function written({ requires, prefers, resources, slots, limits }: Demand): string {
  if (!requires && !prefers && !resources && slots === undefined && !limits) return '';
  return JSON.stringify([requires, prefers, resources, slots, limits && Object.keys(limits).sort()]);
}
