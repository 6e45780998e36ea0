/**
 * What one process of a site does for its data shards, by what the site says of itself: it decides, it mirrors, or nothing.
 * Every process has its own; the gates refuse whoever is late.
 */
import { limits } from '../../config/limits.ts';
import type { Supervisor } from '../../runtime/host/supervisor.ts';
import type { Log, PeerGreeting, PeerSite, Service, System } from '../../runtime/ports.ts';
import { Unavailable } from '../../runtime/protocol/errors.ts';
import type { SiteEpoch } from '../../runtime/protocol/siteepoch.ts';
import type { NoticeRole } from './notice.ts';

export type Work = { kind: 'nothing' } | { kind: 'mirror' } | { kind: 'decide'; epoch: SiteEpoch };

export interface DutySettings {
  own: Pick<PeerSite, 'greet'>;
  /** Makes what runs the shards for a work; it is started and stopped here. */
  supervisor(work: Exclude<Work, { kind: 'nothing' }>): Supervisor;
  /** Told of every look at the site. */
  seen(notice: PeerGreeting): void;
  system: System;
  log: Log;
}

export function workOf({ role, epoch }: Pick<PeerGreeting, 'role' | 'epoch'>): Work {
  switch (role as NoticeRole) {
    case 'active':
      return { kind: 'decide', epoch };
    case 'standby':
    case 'catching':
      return { kind: 'mirror' };
    default:
      return { kind: 'nothing' };
  }
}

export class Duty implements Service {
  readonly #settings: DutySettings;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #work = '';
  #supervisor: Supervisor | undefined;

  constructor(settings: DutySettings) {
    this.#settings = settings;
  }

  /** Undefined while this process does nothing for the data shards. */
  get supervisor(): Supervisor | undefined {
    return this.#supervisor;
  }

  start(): Promise<void> {
    this.#running ??= this.#run();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    await this.#supervisor?.stop();
    this.#supervisor = undefined;
  }

  async #run(): Promise<void> {
    const { system, log } = this.#settings;
    while (!this.#stopping.signal.aborted) {
      try {
        await this.#turn();
      } catch (error) {
        // As long as the own store does not say otherwise, what runs goes on; it cannot commit without the store either.
        if (!(error instanceof Unavailable))
          log.error({ error: String(error) }, 'looking for what is to be done failed');
      }
      await system.sleep(limits.siteTurnMs, this.#stopping.signal);
    }
  }

  async #turn(): Promise<void> {
    const { own, supervisor, seen, log } = this.#settings;
    const notice = await own.greet();
    if (!notice) return;
    seen(notice);
    const work = workOf(notice);
    const text = JSON.stringify(work);
    if (text === this.#work) return;
    const before = this.#supervisor;
    this.#supervisor = undefined;
    this.#work = text;
    await before?.stop();
    log.info({ role: notice.role, epoch: notice.epoch, work: work.kind }, 'the role of this site');
    if (work.kind === 'nothing') return;
    this.#supervisor = supervisor(work);
    await this.#supervisor.start();
  }
}
