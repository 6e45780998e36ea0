/**
 * Publishes commands and waits for their outcomes: a shard appends the outcome of a command to the reply stream of the
 * process that asked, in the same commit that applies it, so a client reads its own writes.
 */
import { limits } from '../config/limits.ts';
import type { CommandGateway, Log, ReplyReader, Service, System } from '../runtime/ports.ts';
import type { Command, Outcome } from '../runtime/protocol/envelope.ts';
import { Unavailable } from '../runtime/protocol/errors.ts';
import type { JsonObject } from '../runtime/protocol/json.ts';
import { positionStart, type Position } from '../runtime/protocol/journal.ts';

interface Waiting {
  resolve: (outcomes: Outcome[]) => void;
}

export interface CommandsSettings {
  gateway: CommandGateway;
  replies: ReplyReader;
  system: System;
  log: Log;
  shards: number;
  /** Whether the shard may be told anything at this site; default: yes. */
  open?: (shard: number) => boolean;
}

export class Commands implements Service {
  readonly #settings: CommandsSettings;
  readonly #recipient: string;
  readonly #waiting = new Map<string, Waiting>();
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #next = 0;

  constructor(settings: CommandsSettings) {
    this.#settings = settings;
    this.#recipient = settings.system.ulid();
  }

  start(): Promise<void> {
    this.#running ??= this.#run();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  /**
   * @param waitMs how long to wait for the outcomes; 0 does not ask for them
   * @returns the outcomes in the order of the commands, or undefined when they did not come in time
   * @throws IngressStopped, Unavailable
   */
  async send(
    shard: number,
    commands: readonly Command[],
    waitMs: number = limits.replyWaitMs,
  ): Promise<Outcome[] | undefined> {
    this.#refuseClosed(shard);
    return this.#ask(waitMs, (reply) => this.#settings.gateway.publish(shard, commands, reply));
  }

  async redrive(shard: number, ids: readonly Position[]): Promise<Outcome[] | undefined> {
    this.#refuseClosed(shard);
    return this.#ask(limits.replyWaitMs, (reply) => this.#settings.gateway.redrive(shard, ids, reply));
  }

  /** @returns what the dispatcher of the shard says, or undefined when no owner answered in time */
  async ask(shard: number, question: JsonObject, waitMs: number = limits.replyWaitMs): Promise<JsonObject | undefined> {
    const outcomes = await this.#ask(waitMs, (reply) =>
      reply ? this.#settings.gateway.ask(shard, question, reply) : Promise.resolve(),
    );
    const [outcome] = outcomes ?? [];
    return outcome?.outcome === 'answered' ? outcome.answer : undefined;
  }

  /** What a site that is not active writes down would be decided whenever it becomes active. */
  #refuseClosed(shard: number): void {
    if (this.#settings.open?.(shard) === false) throw new Unavailable('peer', 'this site is not the active one');
  }

  async #ask(
    waitMs: number,
    publish: (reply?: { recipient: string; request: string }) => Promise<void>,
  ): Promise<Outcome[] | undefined> {
    if (waitMs <= 0) {
      await publish();
      return undefined;
    }
    const request = String(this.#next++);
    const answered = new AbortController();
    try {
      const outcomes = new Promise<Outcome[]>((resolve) => {
        this.#waiting.set(request, { resolve });
      });
      // Only what Redis has is accepted: the time to publish is bounded by its own deadline, not by the wait.
      await publish({ recipient: this.#recipient, request });
      return await Promise.race([outcomes, this.#settings.system.sleep(waitMs, answered.signal).then(() => undefined)]);
    } finally {
      answered.abort();
      this.#waiting.delete(request);
    }
  }

  async #run(): Promise<void> {
    const { replies, system, log, shards } = this.#settings;
    const after = new Map<number, Position>();
    // The recipient is new, so its streams begin now.
    for (let shard = 0; shard < shards; shard++) after.set(shard, positionStart);
    while (!this.#stopping.signal.aborted) {
      try {
        for (const { shard, position, request, outcomes } of await replies.read(
          this.#recipient,
          after,
          limits.readBlockMs,
        )) {
          after.set(shard, position);
          this.#waiting.get(request)?.resolve(outcomes);
        }
      } catch (error) {
        if (!(error instanceof Unavailable)) log.error({ error: String(error) }, 'reading replies failed');
        await system.sleep(limits.followRetryMs, this.#stopping.signal);
      }
    }
  }
}
