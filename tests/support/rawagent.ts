/**
 * An agent on bare streams, as an agent in any language would be: reads its inbox, appends to its outbox, and takes every
 * fault as it comes. What it does with an assignment is a matter of (seeded) chance.
 */
import type { Keyspace } from '../../runtime/protocol/keys.ts';
import { agentGroup } from '../../runtime/protocol/keys.ts';
import { openClient, type Client } from '../../runtime/redis/client.ts';
import type { Chance } from './chance.ts';

export interface RawAgentOptions {
  url: string;
  cluster?: readonly string[];
  space: Keyspace;
  shard: number;
  id: string;
  type: string;
  slots: number;
  chance: Chance;
  /** Shares of what it answers; what is left over completes. */
  failing: { retryable: number; final: number; released: number; stale: number };
  workMs: number;
}

type Message = Record<string, string>;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export class RawAgent {
  readonly #options: RawAgentOptions;
  readonly #inbox: string;
  readonly #outbox: string;
  readonly #reading: Client;
  readonly #writing: Client;
  readonly #running = new Map<string, Message>();
  readonly #working = new Set<Promise<void>>();
  #stopped = false;
  #loops: Promise<unknown> = Promise.resolve();
  #registrations = 0;
  completions = 0;

  constructor(options: RawAgentOptions) {
    this.#options = options;
    this.#inbox = options.space.inbox(options.shard, options.id);
    this.#outbox = options.space.outbox(options.shard, options.id);
    this.#reading = this.#connect();
    this.#writing = this.#connect();
  }

  get registrations(): number {
    return this.#registrations;
  }

  async start(): Promise<void> {
    await this.#register();
    this.#loops = Promise.all([this.#read(), this.#beat()]);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#reading.disconnect();
    await this.#loops;
    await Promise.all(this.#working);
    this.#writing.disconnect();
  }

  /** A command is retried when its connection ends: the second one is recognised by its id. */
  #connect(): Client {
    const { url, cluster, id } = this.#options;
    const redis = openClient({ url, name: id, ...(cluster && { cluster }) }, { offlineQueue: true, sendOnce: true });
    // Away for a while: every call sees it by its own error.
    redis.on('error', () => undefined);
    return redis;
  }

  async #register(): Promise<void> {
    const { space, shard, id, type, slots } = this.#options;
    const command = {
      id: `register-${id}-${++this.#registrations}`,
      to: `agent/${id}`,
      input: { type, slots, max_agents: 1_000 },
    };
    await this.#insist(() => this.#writing.xadd(space.shard(shard).commands, '*', 'command', JSON.stringify(command)));
  }

  async #insist<T>(call: () => Promise<T>): Promise<T | undefined> {
    while (!this.#stopped) {
      try {
        return await call();
      } catch {
        await pause(100);
      }
    }
    return undefined;
  }

  /** First what was delivered before and not acknowledged, then what is new; and again after every fault. */
  async #read(): Promise<void> {
    let pending = true;
    let sweepAt = performance.now() + 2_000;
    while (!this.#stopped) {
      try {
        const answer = (await this.#reading.xreadgroup(
          'GROUP',
          agentGroup,
          'raw',
          'COUNT',
          50,
          'BLOCK',
          500,
          'STREAMS',
          this.#inbox,
          pending ? '0' : '>',
        )) as [string, [string, string[] | null][]][] | null;
        const entries = answer?.[0]?.[1] ?? [];
        for (const [id, fields] of entries) await this.#take(id, fields ?? []);
        if (performance.now() > sweepAt) {
          pending = true;
          sweepAt = performance.now() + 2_000;
        } else if (entries.length === 0) pending = false;
      } catch {
        // The inbox is not there yet, or Redis is away.
        pending = true;
        await pause(100);
      }
    }
  }

  async #take(entry: string, fields: readonly string[]): Promise<void> {
    const message: Message = {};
    for (let index = 0; index + 1 < fields.length; index += 2) message[fields[index]!] = fields[index + 1]!;
    const { task = '', token = '', kind, report } = message;
    if (kind === 'assign' && !this.#running.has(token)) {
      this.#running.set(token, message);
      const work = this.#work(message).finally(() => {
        this.#running.delete(token);
        this.#working.delete(work);
      });
      this.#working.add(work);
    } else if (kind === 'cancel') {
      await this.#report(['kind', 'cancelled', 'task', task, 'token', token]);
    } else if (kind === 'refused' && report === 'heartbeat') {
      // It was given up for lost: a new registration is a new generation.
      await this.#register();
    }
    await this.#insist(() => this.#reading.xack(this.#inbox, agentGroup, entry));
  }

  async #work({ task = '', token = '', parameters = 'null' }: Message): Promise<void> {
    const { chance, failing, workMs } = this.#options;
    const about = ['task', task, 'token', token];
    const started = chance.happens(0.9);
    if (started) await this.#report(['kind', 'started', ...about]);
    await pause(chance.below(2 * workMs));
    if (chance.happens(0.2)) await this.#report(['kind', 'progress', ...about, 'progress', String(chance.next())]);
    if (chance.happens(failing.stale))
      await this.#report(['kind', 'completed', 'task', task, 'token', 'stale', 'result', '0']);
    const fate = chance.next();
    const error = JSON.stringify({ message: 'by chance' });
    if (fate < failing.retryable) await this.#report(['kind', 'failed', ...about, 'error', error, 'retryable', 'true']);
    else if (fate < failing.retryable + failing.final)
      await this.#report(['kind', 'failed', ...about, 'error', error, 'retryable', 'false']);
    else if (fate < failing.retryable + failing.final + failing.released)
      await this.#report(['kind', 'released', ...about]);
    else {
      await this.#report(['kind', 'completed', ...about, 'result', parameters]);
      this.completions++;
    }
  }

  async #report(fields: readonly string[]): Promise<void> {
    await this.#insist(() => this.#writing.xadd(this.#outbox, '*', ...fields, 'agent', this.#options.id));
  }

  async #beat(): Promise<void> {
    while (!this.#stopped) {
      const attempts = [...this.#running.values()].map(({ task, token }) => ({ task, token }));
      await this.#report(['kind', 'heartbeat', 'attempts', JSON.stringify(attempts)]);
      for (let slept = 0; slept < 2_000 && !this.#stopped; slept += 100) await pause(100);
    }
  }
}
