/** A site of a pair put together: its role, whoever looks after it, and what this process does for its shards. */
import { siteAddress, siteNumber, syncAddress, controlShard, type SiteName } from '../../actors/site/address.ts';
import { createRegistry, application } from '../../actors/application.ts';
import type { SiteContext } from '../../actors/site/status.ts';
import type { LinkState } from '../../actors/sync/events.ts';
import type { PairContext } from '../../api/context.ts';
import { limits } from '../../config/limits.ts';
import { compareSites, Repairs } from '../../runtime/host/comparison.ts';
import { LostCollector } from '../../runtime/host/lostcollector.ts';
import { MirrorShard, type MirrorStatus } from '../../runtime/host/mirror.ts';
import { prepare } from '../../runtime/host/promotion.ts';
import { Supervisor, type Attached, type SupervisorSettings } from '../../runtime/host/supervisor.ts';
import type {
  CommandGateway,
  GateKeeper,
  MirrorStore,
  PeerGreeting,
  PeerSite,
  Service,
  SiteStore,
  Witness,
} from '../../runtime/ports.ts';
import { mirrorVersion, type Greeting } from '../../runtime/protocol/chain.ts';
import { stateText } from '../../runtime/protocol/envelope.ts';
import { Unavailable } from '../../runtime/protocol/errors.ts';
import { dataShards, parseAddress, type Address } from '../../runtime/protocol/ids.ts';
import type { JsonObject } from '../../runtime/protocol/json.ts';
import { viewOfStored } from '../../runtime/protocol/snapshot.ts';
import { SiteController, type SiteStanding } from './controller.ts';
import { Duty, type Work } from './duty.ts';
import { untilFollowed } from './followed.ts';
import { LagMeter, type Lag } from './lag.ts';
import { roleOfNotice } from './notice.ts';

export interface PairSettings extends Pick<
  SupervisorSettings,
  'store' | 'membership' | 'system' | 'telemetry' | 'log' | 'owner'
> {
  name: SiteName;
  shards: number;
  incarnation: string;
  deployment: string;
  mode: 'manual' | 'witness';
  resumeAfterMs: number;
  syncIntervalMs: number;
  witness?: { lease: Witness; ttlMs: number };
  own: PeerSite;
  peer: PeerSite;
  sites: SiteStore & { admitControl(shard: number, incarnation: string): Promise<void> };
  mirrors: MirrorStore;
  gates: GateKeeper;
  gateway: CommandGateway;
  /** Services of every shard that is held here, whatever is done for it. */
  always(shard: number): Attached[];
  /** Services of shards that this site decides. */
  deciding(shard: number): Attached[];
  /** The supervisor of the data shards, whenever there is another one. */
  runs(supervisor: Supervisor | undefined): void;
}

const toldDeadlineMs = limits.replyWaitMs;

export class Pair implements Service, PairContext {
  readonly name: SiteName;
  readonly #settings: PairSettings;
  readonly #greeting: Greeting;
  readonly #registry = createRegistry();
  readonly #control: Supervisor;
  readonly #duty: Duty;
  readonly #lagMeter: LagMeter;
  readonly #mirrors = new Map<number, MirrorStatus>();
  readonly #repairs = new Repairs();
  readonly #stopping = new AbortController();
  #notice: PeerGreeting | undefined;
  #lag: Lag | undefined;
  #link: Exclude<LinkState, 'paused'> = 'connecting';
  #watching: Promise<unknown> | undefined;
  #lastCheck: { atMs: number; compared: number; differing: number } | undefined;
  #told = '';
  #toldAtMs = -Infinity;

  constructor(settings: PairSettings) {
    const { name, shards, incarnation, deployment, own, peer, system } = settings;
    this.#settings = settings;
    this.name = name;
    this.#greeting = { deployment, version: mirrorVersion, shards, incarnation };
    this.#lagMeter = new LagMeter({ own, peer }, dataShards(shards), () => system.monotonicMs());
    this.#control = new Supervisor({
      ...this.#common(),
      siteEpoch: siteNumber(name),
      shards: [controlShard(shards)],
      attach: (shard) => [...settings.always(shard), this.#controller()],
    });
    this.#duty = new Duty({
      own,
      supervisor: (work) => this.#supervisor(work),
      seen: (notice) => {
        this.#notice = notice;
      },
      system,
      log: settings.log,
    });
  }

  async start(): Promise<void> {
    const { sites, gates, own, shards, incarnation } = this.#settings;
    const control = controlShard(shards);
    await sites.admitControl(control, incarnation);
    const notice = await own.greet();
    // The first process of a site finds its gates closed, whatever they were; others find what the first has made of them.
    if ((await sites.held(control + 1)).length === 0) {
      await gates.shut(dataShards(shards));
      const role = notice?.role === 'active' ? 'resuming' : 'standby';
      await sites.announce({ ...this.#greeting, site: siteNumber(this.name), role, epoch: notice?.epoch ?? 0 });
    }
    await this.#control.start();
    await this.#duty.start();
    // A comparison in full takes its time, and how the mirrors stand is to be known meanwhile.
    this.#watching = Promise.all([
      this.#repeat('looking at the other site', async () => {
        await this.#look();
        await this.#note();
      }),
      this.#repeat('comparing both sites', () => this.#compare()),
    ]);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#watching;
    await this.#duty.stop();
    await this.#control.stop();
  }

  get role(): PairContext['role'] {
    return roleOfNotice(this.#notice?.role ?? '') ?? 'standby';
  }

  get epoch(): number {
    return this.#notice?.epoch ?? 0;
  }

  get link(): LinkState {
    return this.#notice?.role === 'paused' ? 'paused' : this.#link;
  }

  get lag(): Lag | undefined {
    return this.role === 'active' ? undefined : this.#lag;
  }

  /** The last comparison of both sites, where this process made it. */
  get lastCheck(): { atMs: number; compared: number; differing: number } | undefined {
    return this.#lastCheck;
  }

  /** @throws Unavailable */
  async snapshot(actor: 'site' | 'sync'): Promise<JsonObject | undefined> {
    const { gateway, shards } = this.#settings;
    const address = (actor === 'site' ? siteAddress : syncAddress)(this.name, shards);
    const text = await gateway.snapshot(address);
    return text === undefined ? undefined : viewOfStored(parseAddress(address)!.id, text).context;
  }

  async other(): Promise<{ role: string | undefined; epoch: number } | undefined> {
    try {
      const greeting = await this.#settings.peer.greet();
      return greeting && { role: roleOfNotice(greeting.role), epoch: greeting.epoch };
    } catch (error) {
      if (error instanceof Unavailable) return undefined;
      throw error;
    }
  }

  untilFollowed(shards: readonly number[], deadlineMs: number): Promise<boolean> {
    return untilFollowed(this.#settings, shards, deadlineMs);
  }

  #common(): Pick<
    SupervisorSettings,
    'store' | 'membership' | 'registry' | 'application' | 'system' | 'telemetry' | 'log' | 'owner'
  > {
    const { store, membership, system, telemetry, log, owner } = this.#settings;
    return { store, membership, registry: this.#registry, application, system, telemetry, log, owner };
  }

  #supervisor(work: Exclude<Work, { kind: 'nothing' }>): Supervisor {
    const { shards, always, deciding, mirrors, peer, system, log, runs } = this.#settings;
    const site = siteNumber(this.name);
    const common = { ...this.#common(), shards: dataShards(shards) };
    this.#mirrors.clear();
    const supervisor =
      work.kind === 'decide'
        ? new Supervisor({
            ...common,
            siteEpoch: work.epoch,
            passage: `${work.epoch}`,
            attach: (shard) => [
              ...always(shard),
              ...deciding(shard),
              new LostCollector({ shard, site, other: 3 - site, mirrors, peer, system, log }),
            ],
          })
        : new Supervisor({
            ...common,
            siteEpoch: 0,
            attach: always,
            runner: (settings, tenure) =>
              new MirrorShard(
                settings,
                {
                  ...{ mirrors, peer, greeting: this.#greeting, site, repairs: this.#repairs },
                  told: (status) => void this.#mirrors.set(status.shard, status),
                },
                tenure,
              ),
          });
    runs(supervisor);
    return supervisor;
  }

  #controller(): SiteController {
    const { shards, mode, resumeAfterMs, witness, own, peer, sites, gates, store, mirrors, system, log } =
      this.#settings;
    const all = dataShards(shards);
    return new SiteController({
      ...{ number: siteNumber(this.name), greeting: this.#greeting, shards: all, mode, resumeAfterMs },
      ...(witness && { witness }),
      ...{ own, peer, sites, gates, system, log },
      standing: () => this.#standing(),
      create: () => this.#create(),
      tell: (event) => this.#tell(siteAddress(this.name, shards), { event }),
      prepare: () => prepare({ store, mirrors, shards: all, owner: `promoter-${system.ulid()}` }),
      fit: () => this.#link === 'streaming' || (this.#link === 'disconnected' && this.#wasNear),
    });
  }

  async #standing(): Promise<SiteStanding | undefined> {
    const { gateway, shards } = this.#settings;
    const [site, sync] = [siteAddress(this.name, shards), syncAddress(this.name, shards)];
    const [siteText, syncText] = await Promise.all([gateway.snapshot(site), gateway.snapshot(sync)]);
    if (siteText === undefined || syncText === undefined) return undefined;
    const view = viewOfStored(parseAddress(site)!.id, siteText);
    return {
      state: stateText(view.state),
      context: view.context as unknown as SiteContext,
      paused: stateText(viewOfStored(parseAddress(sync)!.id, syncText).state).includes('paused'),
    };
  }

  async #create(): Promise<void> {
    const { shards, mode, syncIntervalMs } = this.#settings;
    await this.#tell(syncAddress(this.name, shards), { input: { interval_ms: syncIntervalMs } });
    await this.#tell(siteAddress(this.name, shards), { input: { number: siteNumber(this.name), mode } });
  }

  /** Until it is decided, as far as that can be seen: nothing is told twice because it was not seen yet. */
  async #tell(to: Address, word: { event: JsonObject & { type: string } } | { input: JsonObject }): Promise<void> {
    const { gateway, shards, system } = this.#settings;
    const before = await gateway.snapshot(to);
    await gateway.publish(controlShard(shards), [{ id: system.ulid(), to, ...word, by: 'site-controller' }]);
    const endMs = system.monotonicMs() + toldDeadlineMs;
    while (system.monotonicMs() < endMs && !this.#stopping.signal.aborted) {
      if ((await gateway.snapshot(to)) !== before) return;
      await system.sleep(limits.accountPollMs, this.#stopping.signal);
    }
  }

  /** Whether the standby was near the active site when it was seen last. */
  #wasNear = false;

  /** Again and again until it is stopped. */
  async #repeat(what: string, work: () => Promise<void>): Promise<void> {
    const { system, log } = this.#settings;
    while (!this.#stopping.signal.aborted) {
      try {
        await work();
      } catch (error) {
        if (!(error instanceof Unavailable)) log.error({ error: String(error) }, `${what} failed`);
      }
      await system.sleep(limits.siteTurnMs * 2, this.#stopping.signal);
    }
  }

  async #look(): Promise<void> {
    const role = this.#notice?.role;
    if (role !== 'standby' && role !== 'catching') {
      this.#link = 'idle';
      return;
    }
    const states = new Set([...this.#mirrors.values()].map(({ state }) => state));
    try {
      this.#lag = await this.#lagMeter.look();
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      // A certificate or a password that is not taken keeps the lag away as well; waiting does not mend it.
      this.#link = states.has('refused') ? 'refused' : 'disconnected';
      return;
    }
    const near = this.#lag.ms <= limits.siteLagMs;
    const caught = this.#link === 'streaming' || this.#link === 'lagging' || this.#lag.entries === 0;
    if (states.has('refused')) this.#link = 'refused';
    else if (states.has('copying')) this.#link = 'copying';
    else if (states.has('waiting')) this.#link = 'reconciling';
    else if (states.size === 0) this.#link = 'connecting';
    else if (!caught) this.#link = 'catching_up';
    else this.#link = near ? 'streaming' : 'lagging';
    this.#wasNear = this.#link === 'streaming';
  }

  /** The process that looks after the role writes down how the mirrors stand, when that changes or has not been for long. */
  async #note(): Promise<void> {
    const { shards, system, gateway } = this.#settings;
    if (this.#control.shards.length === 0) return;
    const now = system.monotonicMs();
    const refusal = [...this.#mirrors.values()].find(({ refusal: why }) => why)?.refusal;
    const text = `${this.#link} ${refusal?.detail ?? ''}`;
    const lag = this.#lag ?? { entries: 0, ms: 0 };
    const due = lag.entries > 0 && now - this.#toldAtMs > limits.syncNoteEveryMs;
    if (text === this.#told && !due) return;
    const copied = [...this.#mirrors.values()].reduce((sum, status) => sum + (status.copied ?? 0), 0);
    const event = {
      ...{ type: 'observed', link: this.#link, lag_entries: lag.entries, lag_ms: lag.ms },
      ...(copied > 0 && { copied }),
      ...(refusal && { refusal: { name: refusal.refused, detail: refusal.detail, remedy: refusal.remedy } }),
    };
    const to = syncAddress(this.name, shards);
    if ((await gateway.snapshot(to)) === undefined) return;
    await gateway.publish(controlShard(shards), [{ id: system.ulid(), to, event, by: 'site-controller' }]);
    this.#told = text;
    this.#toldAtMs = now;
  }

  /** When a check is due, a standby that follows compares what both sites hold; what differs is taken from the other one. */
  async #compare(): Promise<void> {
    const { shards, store, mirrors, peer, system, log } = this.#settings;
    if (this.#control.shards.length === 0 || this.#notice?.role !== 'standby') return;
    if (this.#link !== 'streaming' && this.#link !== 'lagging') return;
    const due = await this.#checkDue();
    if (!due) return;
    const { full } = due;
    const { equal, drift, compared, unjudged } = await compareSites(
      { shards: dataShards(shards), store, mirrors, peer, system, signal: this.#stopping.signal },
      full,
    );
    if (this.#stopping.signal.aborted) return;
    this.#lastCheck = { atMs: system.now(), compared, differing: drift.length };
    if (!equal) {
      log.error(
        { drift: drift.slice(0, 3), actors: drift.length },
        'the sites differ; what differs is taken from the other one',
      );
      this.#repairs.ask(drift);
    }
    log.debug({ compared, unjudged }, 'the sites were compared');
    await this.#tell(syncAddress(this.name, shards), {
      event: {
        ...{ type: 'checked', equal, full, compared },
        drift: drift.slice(0, limits.driftReportMax) as unknown as JsonObject[],
      },
    });
  }

  async #checkDue(): Promise<{ full: boolean } | undefined> {
    const { gateway, shards } = this.#settings;
    const address = syncAddress(this.name, shards);
    const text = await gateway.snapshot(address);
    if (text === undefined) return undefined;
    const state = stateText(viewOfStored(parseAddress(address)!.id, text).state);
    return state.includes('check.due') ? { full: state.includes('check.due_in_full') } : undefined;
  }
}
