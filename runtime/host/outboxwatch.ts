/**
 * Looks at the mailboxes of a shard every few seconds. An outbox is written by a program that is not ours, which can brick
 * it with an entry id of the far future, empty it before it was read, or flood it; no permission of Redis prevents that.
 * Whoever does so is reported to its actor, which goes into quarantine; the others are not held up by it.
 */
import { limits } from '../../config/limits.ts';
import type { Commit, Log, MailboxState, MailboxStore, Service, System } from '../ports.ts';
import type { Envelope } from '../protocol/envelope.ts';
import { Unavailable } from '../protocol/errors.ts';

export interface OutboxWatchSettings {
  shard: number;
  store: MailboxStore;
  system: System;
  log: Log;
  /** What the owner of the mailbox is told. */
  quarantine: (mailbox: string, reason: string) => Envelope;
  /** Default: the limit. */
  everyMs?: number;
}

interface Seen {
  added: number;
  /** It looked wrong the last time; once may be between two steps of an honest change. */
  doubt: string | undefined;
}

const minuteMs = 60_000;

export class OutboxWatch implements Service {
  readonly #settings: OutboxWatchSettings;
  readonly #seen = new Map<string, Seen>();
  /** Mailbox -> entries set aside in this minute. */
  #bad = new Map<string, number>();
  #minuteEndsMs = 0;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;

  constructor(settings: OutboxWatchSettings) {
    this.#settings = settings;
  }

  start(): Promise<void> {
    this.#running ??= this.#run();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  kick({ setAside }: Commit): void {
    if (setAside.length === 0) return;
    const now = this.#settings.system.monotonicMs();
    if (now >= this.#minuteEndsMs) {
      this.#bad = new Map();
      this.#minuteEndsMs = now + minuteMs;
    }
    for (const { source } of setAside) {
      if (!source.startsWith('outbox:')) continue;
      const mailbox = source.slice('outbox:'.length);
      this.#bad.set(mailbox, (this.#bad.get(mailbox) ?? 0) + 1);
    }
  }

  /** @returns the mailboxes that were reported, with the reason */
  async look(): Promise<Map<string, string>> {
    const { shard, store, log, quarantine } = this.#settings;
    const mailboxes = await store.mailboxes(shard);
    const states = await store.inspect(shard, mailboxes);
    const reported = new Map<string, string>();
    for (const mailbox of this.#seen.keys()) if (!mailboxes.includes(mailbox)) this.#seen.delete(mailbox);
    for (const [index, mailbox] of mailboxes.entries()) {
      const reason = this.#judge(mailbox, states[index]);
      if (reason === undefined) continue;
      log.warn({ shard, mailbox, reason }, 'an outbox cannot be trusted: its agent goes into quarantine');
      await store.tell(shard, quarantine(mailbox, reason));
      reported.set(mailbox, reason);
      this.#seen.delete(mailbox);
      this.#bad.delete(mailbox);
    }
    return reported;
  }

  #judge(mailbox: string, state: MailboxState | undefined): string | undefined {
    const last = this.#seen.get(mailbox);
    const certain = state && certainly(state, last?.added ?? 0, this.#bad.get(mailbox) ?? 0);
    if (certain !== undefined) return certain;
    const doubt = !state ? 'outbox-missing' : (state.vanished ?? 0) > 0 ? 'outbox-shrunk' : undefined;
    if (doubt !== undefined && last?.doubt === doubt) return doubt;
    this.#seen.set(mailbox, { added: state?.added ?? last?.added ?? 0, doubt });
    return undefined;
  }

  async #run(): Promise<void> {
    const { shard, system, log, everyMs = limits.mailboxWatchEveryMs } = this.#settings;
    while (!this.#stopping.signal.aborted) {
      try {
        await this.look();
      } catch (error) {
        if (!(error instanceof Unavailable))
          log.error({ shard, error: String(error) }, 'the mailboxes cannot be looked at');
      }
      await system.sleep(everyMs, this.#stopping.signal);
    }
  }
}

function certainly(state: MailboxState, addedBefore: number, bad: number): string | undefined {
  if (state.lastMs > state.nowMs + limits.outboxFutureMs) return 'entry-from-the-future';
  if (state.added < addedBefore) return 'outbox-deleted';
  if (state.unread > limits.outboxEntriesMax) return 'outbox-flooded';
  if (bad > limits.badEntriesPerMinuteMax) return 'bad-reports';
  if (state.inbox > limits.inboxEntriesMax) return 'inbox-unread';
  return undefined;
}
