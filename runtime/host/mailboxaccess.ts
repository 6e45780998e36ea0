/**
 * Keeps the users of a shard's mailboxes as its actors say: each one that may be connected has a user of its own, the
 * others have none. It compares what is stored with what stands, at take-over, every few seconds, and when a mailbox opens;
 * so a user is made or taken away after the commit that wants it (R3), at least once, and made anew when Redis forgot it.
 */
import { limits } from '../../config/limits.ts';
import type { Commit, Log, MailboxStore, MailboxUsers, Service, System } from '../ports.ts';
import { Unavailable } from '../protocol/errors.ts';
import { parseAddress, type Address } from '../protocol/ids.ts';
import { viewOfStored, type ActorView } from '../protocol/snapshot.ts';

export interface MailboxAccessSettings {
  shard: number;
  store: MailboxStore;
  users: MailboxUsers;
  system: System;
  log: Log;
  ownerOf: (mailbox: string) => Address;
  /** What names the present registration of the owner; undefined where nobody may connect. */
  grantOf: (owner: ActorView | undefined, nowMs: number) => string | undefined;
  /** Default: the limit. */
  everyMs?: number;
}

export class MailboxAccess implements Service {
  readonly #settings: MailboxAccessSettings;
  /** Mailbox -> the grant that its user was found or made with. */
  readonly #standing = new Map<string, string>();
  readonly #opened = new Set<string>();
  readonly #stopping = new AbortController();
  #wake = new AbortController();
  #running: Promise<void> | undefined;

  constructor(settings: MailboxAccessSettings) {
    this.#settings = settings;
  }

  start(): Promise<void> {
    this.#running ??= this.#run();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake.abort();
    await this.#running;
  }

  kick({ mailboxesOpened, mailboxesClosed }: Commit): void {
    if (mailboxesOpened.length + mailboxesClosed.length === 0) return;
    for (const mailbox of [...mailboxesOpened, ...mailboxesClosed]) this.#opened.add(mailbox);
    this.#wake.abort();
  }

  /** Makes everything as it should be. */
  async reconcile(): Promise<void> {
    const { shard, store, users } = this.#settings;
    const [mailboxes, standing] = await Promise.all([store.mailboxes(shard), users.list(shard)]);
    // A user that is gone was forgotten by Redis.
    for (const mailbox of this.#standing.keys()) if (standing.get(mailbox) !== true) this.#standing.delete(mailbox);
    await this.#apply([...new Set([...mailboxes, ...standing.keys()])]);
  }

  async #apply(mailboxes: readonly string[]): Promise<void> {
    const { shard, store, users, system, ownerOf, grantOf } = this.#settings;
    for (let from = 0; from < mailboxes.length; from += limits.scanCount) {
      const page = mailboxes.slice(from, from + limits.scanCount);
      const texts = await store.snapshots(shard, page.map(ownerOf));
      for (const mailbox of page) {
        const grant = grantOf(viewOf(ownerOf(mailbox), texts.get(ownerOf(mailbox))), system.now());
        if (grant === undefined) {
          await users.revoke(shard, mailbox);
          this.#standing.delete(mailbox);
        } else if (this.#standing.get(mailbox) !== grant) {
          await users.grant(shard, mailbox, grant);
          this.#standing.set(mailbox, grant);
        }
      }
    }
  }

  async #run(): Promise<void> {
    const { shard, system, log, everyMs = limits.mailboxWatchEveryMs } = this.#settings;
    let reconcileAtMs = 0;
    let failed = false;
    while (!this.#stopping.signal.aborted) {
      this.#wake = new AbortController();
      const opened = [...this.#opened];
      this.#opened.clear();
      try {
        await this.#apply(opened);
        if (system.monotonicMs() >= reconcileAtMs) {
          await this.reconcile();
          reconcileAtMs = system.monotonicMs() + everyMs;
        }
        failed = false;
      } catch (error) {
        for (const mailbox of opened) this.#opened.add(mailbox);
        if (!(error instanceof Unavailable) && !failed)
          log.error({ shard, error: String(error) }, 'users of agents cannot be kept; trying again');
        failed = true;
      }
      if (this.#opened.size > 0 && !failed) continue;
      await system.sleep(failed ? limits.relayRetryMs : reconcileAtMs - system.monotonicMs(), this.#wake.signal);
    }
  }
}

/** A snapshot that this release cannot read lets nobody in. */
function viewOf(owner: Address, text: string | undefined): ActorView | undefined {
  const id = parseAddress(owner)?.id;
  return id === undefined || text === undefined ? undefined : viewOfStored(id, text);
}
