/**
 * Works at bulk actions: finds the tasks of a page in the read model, tells each of them, and reports the counts to the
 * actor, which keeps the place. Every API process has one; the lease of the actor lets one at a time do a page. A command
 * has the same id however often it is sent, so a task that heard it in a try that was cut off answers: done.
 */
import { createHash } from 'node:crypto';
import { bulkAddress } from '../actors/bulk/address.ts';
import { cancellable, type BulkFilter } from '../actors/bulk/events.ts';
import type { BulkContext } from '../actors/bulk/context.ts';
import { limits } from '../config/limits.ts';
import type { CommandGateway, Log, Service, System } from '../runtime/ports.ts';
import type { Command, Outcome } from '../runtime/protocol/envelope.ts';
import { IngressStopped, Unavailable } from '../runtime/protocol/errors.ts';
import { address, shardOfId } from '../runtime/protocol/ids.ts';
import type { JsonObject } from '../runtime/protocol/json.ts';
import { viewOfStored } from '../runtime/protocol/snapshot.ts';
import type { ReadModel, TaskFilter } from '../runtime/readmodel.ts';
import type { Commands } from './commands.ts';

export interface BulkWorkerSettings {
  commands: Commands;
  gateway: CommandGateway;
  readModel: ReadModel;
  system: System;
  log: Log;
}

export class BulkWorker implements Service {
  readonly #settings: BulkWorkerSettings;
  readonly #name: string;
  readonly #working = new Map<string, Promise<void>>();
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;

  constructor(settings: BulkWorkerSettings) {
    this.#settings = settings;
    this.#name = settings.system.ulid();
  }

  start(): Promise<void> {
    this.#running ??= this.#run();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    await Promise.all(this.#working.values());
  }

  /** Begins with one that was just made; one that there is no room for waits until it is found. */
  begin(id: string): void {
    if (this.#working.has(id) || this.#working.size >= limits.bulksPerProcessMax || this.#stopping.signal.aborted)
      return;
    const work = this.#work(id).finally(() => this.#working.delete(id));
    this.#working.set(id, work);
  }

  /** Looks for those whose worker died, or that wait for one. */
  async #run(): Promise<void> {
    const { readModel, system } = this.#settings;
    while (!this.#stopping.signal.aborted) {
      await this.#guarded('looking for bulk actions', async () => {
        const page = await readModel.actors('bulk', 'ready', limits.bulksPerProcessMax, undefined);
        if (page !== 'bad-cursor') for (const row of page.rows) this.begin(row.address.slice('bulk/'.length));
      });
      await system.sleep(limits.bulkRetryMs, this.#stopping.signal);
    }
  }

  async #work(id: string): Promise<void> {
    await this.#guarded(id, async () => {
      while (!this.#stopping.signal.aborted) {
        const taken = await this.#take(id);
        if (taken === 'resting') {
          await this.#settings.system.sleep(limits.bulkPollMs, this.#stopping.signal);
          continue;
        }
        if (taken === undefined || !(await this.#page(id, taken))) return;
      }
    });
  }

  /** The action with the page to do; undefined where there is nothing to do for this worker. */
  async #take(id: string): Promise<BulkContext | 'resting' | undefined> {
    const before = await this.#read(id);
    if (before?.state === 'resting') return 'resting';
    if (before?.state !== 'ready') return undefined;
    const { context } = before;
    const page = context.page ? { rows: [], next: undefined } : await this.#find(context);
    if (page === 'bad-cursor') throw new Error(`${id}: its place in the list cannot be read`);
    const outcome = await this.#tell(id, {
      type: 'take',
      worker: this.#name,
      ...(context.cursor !== undefined && { from: context.cursor }),
      ids: page.rows.map((row) => row.id),
      ...(page.next !== undefined && { next: page.next }),
    });
    if (outcome?.outcome !== 'applied' || outcome.state !== 'taken') return undefined;
    return (await this.#read(id))?.context;
  }

  /** Whether there is more to do. */
  async #page(id: string, context: BulkContext): Promise<boolean> {
    const told = await this.#tellTasks(id, context).catch((error: unknown) => {
      if (error instanceof Unavailable || error instanceof IngressStopped) return error.message;
      throw error;
    });
    const worker = this.#name;
    const event =
      typeof told === 'string'
        ? { type: 'give_back', worker, note: told.slice(0, limits.reasonLengthMax) }
        : { type: 'page', worker, ...told };
    const outcome = await this.#tell(id, event);
    return outcome?.outcome === 'applied' && outcome.state === 'resting';
  }

  /** What they answered, or why that is not known of all of them. */
  async #tellTasks(
    id: string,
    { action, page, reason, parameters, subject }: BulkContext,
  ): Promise<{ applied: number; refused: Record<string, number> } | string> {
    const event = {
      ...(action === 'cancel'
        ? { ...(reason !== undefined && { reason }) }
        : { ...(parameters !== undefined && { parameters: parameters as JsonObject }) }),
      type: action,
    };
    const byShard = new Map<number, Command[]>();
    for (const task of page?.ids ?? []) {
      const to = address('task', task);
      const shard = shardOfId(task) ?? 0;
      const command: Command = { id: commandId(id, task), to, event, by: `${subject} (${id})`.slice(0, 256) };
      (byShard.get(shard) ?? byShard.set(shard, []).get(shard)!).push(command);
    }
    let applied = 0;
    const refused: Record<string, number> = {};
    const answers = await Promise.all(
      [...byShard].map(async ([shard, commands]) => ({
        shard,
        outcomes: await this.#settings.commands.send(shard, commands),
      })),
    );
    for (const { shard, outcomes } of answers) {
      if (!outcomes) return `shard ${shard} did not answer`;
      for (const outcome of outcomes) {
        const why = refusalOf(outcome);
        if (why === undefined) applied++;
        else refused[why] = (refused[why] ?? 0) + 1;
      }
    }
    return { applied, refused };
  }

  #find({ action, filter, ratePerSecond, cursor, createdAt }: BulkContext): ReturnType<ReadModel['tasks']> {
    const size = Math.min(limits.bulkPageEntriesMax, ratePerSecond);
    return this.#settings.readModel.tasks(taskFilterOf(action, filter as BulkFilter, createdAt), size, cursor);
  }

  async #read(id: string): Promise<{ state: string; context: BulkContext } | undefined> {
    const text = await this.#settings.gateway.snapshot(bulkAddress(id));
    if (text === undefined) return undefined;
    const { state, context } = viewOfStored(id, text);
    return { state: state as string, context: context as unknown as BulkContext };
  }

  async #tell(id: string, event: JsonObject & { type: string }): Promise<Outcome | undefined> {
    const command: Command = { id: this.#settings.system.ulid(), to: bulkAddress(id), event, by: 'bulk' };
    return (await this.#settings.commands.send(shardOfId(id) ?? 0, [command]))?.[0];
  }

  /** What does not work out now is found again. */
  async #guarded(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (error instanceof Unavailable || error instanceof IngressStopped) return;
      this.#settings.log.error({ what, error: String(error) }, 'a bulk action failed and is tried again');
    }
  }
}

/** @param createdAt when the action was asked for: tasks that came later are none of it */
export function taskFilterOf(action: 'cancel' | 'redrive', filter: BulkFilter, createdAt: number): TaskFilter {
  const { status, type, tenant, agent, created_after, created_before, error } = filter;
  return {
    statuses: action === 'redrive' ? ['parked'] : (status ?? cancellable),
    ...(type !== undefined && { type }),
    ...(tenant !== undefined && { tenant }),
    ...(agent !== undefined && { agent }),
    ...(error !== undefined && { error }),
    ...(created_after !== undefined && { createdAfter: Date.parse(created_after) }),
    createdBefore: Math.min(createdAt + 1, created_before === undefined ? Infinity : Date.parse(created_before)),
  };
}

function commandId(bulk: string, task: string): string {
  return createHash('sha256').update(`${bulk} ${task}`).digest('hex').slice(0, 32);
}

function refusalOf(outcome: Outcome): string | undefined {
  switch (outcome.outcome) {
    case 'refused':
      return outcome.reason;
    case 'set-aside':
      return 'set-aside';
    default:
      return undefined;
  }
}
