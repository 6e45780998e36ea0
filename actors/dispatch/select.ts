/**
 * Who gets what in a lane where tenants, keys, limits or claims are in use. One pass over what waits, in order: by priority
 * with ageing, between tenants by turns, inside a tenant by rank. A task that cannot be placed closes its kind for the
 * pass, because what is free only shrinks. Changes nothing but the turns of the tenants.
 */
import { limits } from '../../config/limits.ts';
import { Heap } from '../../runtime/core/heap.ts';
import type { Address } from '../../runtime/protocol/ids.ts';
import { hasSpace, meets, type Seat } from './fit.ts';
import type { Flow, Kind } from './flow.ts';
import type { Gate } from './gate.ts';
import type { Lane } from './lane.ts';
import { ageingMsPerPriorityStep, before, type ReadyTask } from './ready.ts';
import { Seating } from './seating.ts';

export interface Selection {
  readonly picked: { task: ReadyTask; agent: string; batch: boolean }[];
  /** Tasks whose turn it is and that are not in memory. From the first one on nothing is picked: no later one passes it. */
  readonly missing: Address[];
  /** Limit -> units that the picked ones cost. */
  readonly spent: Map<string, number>;
  /** Limit -> units that are lacking: at least, and for everything that there is room for. */
  readonly lacking: Map<string, { least: number; units: number }>;
  /** The budget ended before what waits and what is free. */
  cut: boolean;
}

export interface Pass {
  readonly now: number;
  readonly budget: number;
  readonly loaded: (address: Address) => boolean;
  /** Units of a limit that may be spent now. */
  readonly spendable: (limit: string) => number;
  /** Tasks that are being cancelled in the same decision. */
  readonly leaving: ReadonlySet<Address>;
}

interface Source {
  readonly kind: Kind;
  readonly read: () => ReadyTask | undefined;
  next: ReadyTask | undefined;
  /** Further tasks of keys whose next one was picked in this pass. */
  readonly more: ReadyTask[];
  closed: boolean;
  /** Tasks that it gave in this pass. */
  given: number;
}

interface Contender {
  readonly flow: Flow;
  readonly sources: Source[];
  source: Source;
  /** As those of the flow, those of tasks that are not in memory included. */
  turns: number;
  servedAt: number;
  /** Priority, and a step more for each while that the tenant has waited. */
  level: number;
}

export function select(lane: Lane, pass: Pass): Selection {
  const selection: Selection = { picked: [], missing: [], spent: new Map(), lacking: new Map(), cut: false };
  const seating = new Seating(lane.withRoom.values(), reserved(lane, pass.now));
  const contenders = new Heap<Contender>(goesFirst);
  const taken = new Map<Gate, number>();
  for (const flow of lane.flows.values()) {
    const sources = sourcesOf(flow);
    const { turns, servedAt } = flow;
    const contender = { flow, sources, source: sources[0]!, turns, servedAt, level: 0 };
    if (stand(contender, pass.now)) contenders.push(contender);
  }
  let count = 0;
  while (count < pass.budget && seating.free > 0) {
    const contender = contenders.pop();
    if (!contender) break;
    const { source, flow } = contender;
    const task = source.next!;
    const place = pass.leaving.has(task.address) ? undefined : placeOf(source, task, seating, pass, selection);
    if (place) {
      count++;
      source.given++;
      if (!pass.loaded(task.address)) selection.missing.push(task.address);
      else if (selection.missing.length === 0) {
        selection.picked.push({ task, agent: place.agent, batch: place.batch });
        for (const name in task.demand?.limits)
          selection.spent.set(name, (selection.spent.get(name) ?? 0) + task.demand.limits[name]!);
        lane.served(flow, pass.now);
      }
      contender.turns++;
      contender.servedAt = pass.now;
      followUp(lane, task, contender.sources, taken);
    } else if (!pass.leaving.has(task.address)) source.closed = true;
    advance(source);
    if (stand(contender, pass.now)) contenders.push(contender);
  }
  selection.cut = count >= pass.budget && contenders.size > 0 && seating.free > 0;
  return selection;
}

function placeOf(
  source: Source,
  task: ReadyTask,
  seating: Seating,
  pass: Pass,
  selection: Selection,
): Seat | undefined {
  const { kind, given } = source;
  const place = seating.find(kind);
  if (!place) return undefined;
  const costs = task.demand?.limits;
  // What is asked for and not used would be missing elsewhere until the window ends.
  const usable = Math.max(1, Math.min(seating.free, kind.queue.size - given));
  if (costs && !affordable(costs, usable, pass, selection)) return undefined;
  seating.take(place, kind.demand);
  return place.seat;
}

/** Whether every limit has the units; what is lacking is noted. */
function affordable(costs: Readonly<Record<string, number>>, tasks: number, pass: Pass, { spent, lacking }: Selection) {
  let enough = true;
  for (const name in costs) {
    const cost = costs[name]!;
    const least = cost - (pass.spendable(name) - (spent.get(name) ?? 0));
    if (least <= 0) continue;
    enough = false;
    const known = lacking.get(name);
    const units = least + cost * (tasks - 1);
    lacking.set(
      name,
      known ? { least: Math.min(known.least, least), units: Math.max(known.units, units) } : { least, units },
    );
  }
  return enough;
}

function sourcesOf(flow: Flow): Source[] {
  const sources: Source[] = [];
  for (const kind of flow.kinds.values()) {
    if (kind.queue.size === 0) continue;
    const read = kind.queue.reader();
    sources.push({ kind, read, next: read(), more: [], closed: false, given: 0 });
  }
  return sources;
}

function advance(source: Source): void {
  source.next = source.read();
  const [first] = source.more;
  if (first && (!source.next || before(first, source.next))) {
    // The one that was read waits among the others.
    source.more.shift();
    if (source.next) insert(source.more, source.next);
    source.next = first;
  }
}

function insert(list: ReadyTask[], task: ReadyTask): void {
  let at = list.length;
  while (at > 0 && before(task, list[at - 1]!)) at--;
  list.splice(at, 0, task);
}

/** The key of the task that was picked may have room for one more. */
function followUp(lane: Lane, { address }: ReadyTask, sources: Source[], taken: Map<Gate, number>): void {
  const gate = lane.spot(address)?.gate;
  if (!gate) return;
  const count = (taken.get(gate) ?? 0) + 1;
  taken.set(gate, count);
  const next = gate.candidate(count);
  const kind = next && lane.spot(next.address)?.kind;
  if (!next || !kind) return;
  const source = sources.find((one) => one.kind.signature === kind.signature);
  if (source?.next) insert(source.more, next);
  else if (source) source.next = next;
  else sources.push({ kind, read: () => undefined, next, more: [], closed: false, given: 0 });
}

/** Chooses the source that is next. False when none has a task. */
function stand(contender: Contender, now: number): boolean {
  let best: Source | undefined;
  for (const source of contender.sources)
    if (!source.closed && source.next && (!best || before(source.next, best.next!))) best = source;
  if (!best) return false;
  const { queuedAt, rank } = best.next!;
  contender.source = best;
  const priority = (queuedAt - rank) / ageingMsPerPriorityStep;
  const waitedMs = now - Math.max(queuedAt, contender.servedAt);
  contender.level = priority + Math.max(0, Math.floor(waitedMs / ageingMsPerPriorityStep));
  return true;
}

function goesFirst(left: Contender, right: Contender): boolean {
  if (left.level !== right.level) return left.level > right.level;
  if (left.turns !== right.turns) return left.turns < right.turns;
  const [one, two] = [left.source.next!, right.source.next!];
  return before(one, two);
}

/**
 * A large claim would never find enough free at once where small tasks keep coming: when it has waited long, the agent that
 * comes nearest is kept free for it.
 */
function reserved(lane: Lane, now: number): string | undefined {
  let oldest: { kind: Kind; queuedAt: number } | undefined;
  for (const flow of lane.flows.values())
    for (const kind of flow.kinds.values()) {
      if (kind.demand?.slots === undefined && kind.demand?.resources === undefined) continue;
      const [head] = kind.queue.best(1);
      if (!head || now - head.queuedAt < limits.claimReserveAfterMs) continue;
      if (!oldest || head.queuedAt < oldest.queuedAt) oldest = { kind, queuedAt: head.queuedAt };
    }
  if (!oldest) return undefined;
  const { demand } = oldest.kind;
  const able = [...lane.agents.values()].filter((seat) => meets(demand?.requires, seat) && hasSpace(demand, seat));
  if (able.some((seat) => hasSpace(demand, { slots: seat.freeSlots, resources: seat.left }))) return undefined;
  able.sort((left, right) => right.freeSlots - left.freeSlots || (left.agent < right.agent ? -1 : 1));
  return able[0]?.agent;
}
