/**
 * A concurrency key: the attempts under way under it, and the tasks that wait. Of the waiting ones only the next stands in
 * the queue that agents are served from, and only while there is room, so a key with a long backlog slows nobody else.
 */
import type { Address } from '../../runtime/protocol/ids.ts';
import type { TaskContext } from '../task/attempt.ts';
import type { TaskStatus } from '../task/status.ts';
import { ReadyQueue, type ReadyTask } from './ready.ts';

export interface Member {
  readonly address: Address;
  openedAt: number;
  status: TaskStatus;
  limit: number;
  strategy: 'queue' | 'cancel_in_progress' | 'cancel_newest';
}

const holding: ReadonlySet<TaskStatus> = new Set<TaskStatus>(['assigned', 'running', 'cancelling']);
const open: ReadonlySet<TaskStatus> = new Set<TaskStatus>([...holding, 'queued', 'retrying']);

export class Gate {
  /** Tenant and key as one text: where the lane has it. */
  readonly name: string;
  readonly key: string;
  readonly queue = new ReadyQueue();
  readonly members = new Map<Address, Member>();
  held = 0;
  /** Members whose strategy may cancel others; mostly none, and then there is no surplus to look for. */
  #strict = 0;
  /** The one that stands in the queue for agents. */
  next: ReadyTask | undefined;

  constructor(name: string, key: string) {
    this.name = name;
    this.key = key;
  }

  /** Whether anything of it is left. */
  get empty(): boolean {
    return this.members.size === 0 && this.queue.size === 0;
  }

  observe(address: Address, status: TaskStatus | undefined, context: TaskContext | undefined): void {
    const known = this.members.get(address);
    if (known && holding.has(known.status)) this.held--;
    if (known && known.strategy !== 'queue') this.#strict--;
    const concurrency = context?.demand?.concurrency;
    if (!context || !concurrency || status === undefined || !open.has(status)) {
      if (known) this.members.delete(address);
      return;
    }
    if (holding.has(status)) this.held++;
    const { limit, strategy } = concurrency;
    if (strategy !== 'queue') this.#strict++;
    const openedAt = context.openedAt ?? context.createdAt;
    if (known) {
      known.openedAt = openedAt;
      known.status = status;
      known.limit = limit;
      known.strategy = strategy;
    } else this.members.set(address, { address, openedAt, status, limit, strategy });
  }

  /** The task that should stand in the queue for agents, after `taken` more attempts. */
  candidate(taken: number): ReadyTask | undefined {
    const task = this.queue.best(taken + 1)[taken];
    return task && this.held + taken < (task.demand?.concurrency?.limit ?? Infinity) ? task : undefined;
  }

  /** Tasks that have to go because of what the newest task says: it comes instead of the oldest, or not at all. */
  surplus(): Member[] {
    if (this.#strict === 0) return [];
    const members = [...this.members.values()]
      .filter(({ status }) => status !== 'cancelling')
      .sort((left, right) => left.openedAt - right.openedAt || (left.address < right.address ? -1 : 1));
    const newest = members.at(-1);
    if (!newest || newest.strategy === 'queue') return [];
    const excess = members.length - newest.limit;
    if (excess <= 0) return [];
    return newest.strategy === 'cancel_in_progress'
      ? members.slice(0, excess)
      : members.slice(-excess).filter(({ status }) => !holding.has(status));
  }
}
