/** The role `runtime`: the shards of this process, of a site that runs alone or of one of a pair. */
import { grantOf, ownerOf, quarantineOf } from '../../actors/agent/access.ts';
import { application } from '../../actors/application.ts';
import { siteNumber } from '../../actors/site/address.ts';
import { EtcdWitness } from '../../runtime/etcd/witness.ts';
import { MailboxAccess } from '../../runtime/host/mailboxaccess.ts';
import { OutboxWatch } from '../../runtime/host/outboxwatch.ts';
import { Projector, projectorReader } from '../../runtime/host/projector.ts';
import { Supervisor, type Attached, type SupervisorSettings } from '../../runtime/host/supervisor.ts';
import { dataShards } from '../../runtime/protocol/ids.ts';
import { firstEpoch } from '../../runtime/protocol/siteepoch.ts';
import { Connection } from '../../runtime/redis/connection.ts';
import { RedisGates } from '../../runtime/redis/gates.ts';
import { RedisGateway } from '../../runtime/redis/gateway.ts';
import { RedisMembership } from '../../runtime/redis/membership.ts';
import { RedisMirrorStore } from '../../runtime/redis/mirrorstore.ts';
import { RedisShardStore } from '../../runtime/redis/shardstore.ts';
import { Pair } from '../pair/pair.ts';
import type { Foundation } from './foundation.ts';
import type { Lifecycle } from './lifecycle.ts';

type Common = Pick<SupervisorSettings, 'store' | 'membership' | 'system' | 'telemetry' | 'log' | 'owner'>;

/** What runs in this process at present; everything is absent where it has no such role. */
export class RuntimeRole {
  supervisor: Supervisor | undefined;
  pair: Pair | undefined;
  readonly #projectors = new Map<number, Projector>();

  async start(foundation: Foundation, telemetry: SupervisorSettings['telemetry'], lifecycle: Lifecycle): Promise<void> {
    const { adapters, incarnation, system, log, owner, peer, registry, config } = foundation;
    const store = new RedisShardStore({ ...adapters, journalReaders: [projectorReader], incarnation });
    const membership = new RedisMembership(adapters);
    lifecycle.onStop(
      () => store.close(),
      () => membership.close(),
    );
    const common = { store, membership, system, telemetry, log, owner };
    if (peer) this.pair = await this.#pairOf(foundation, peer, common, lifecycle);
    else
      this.supervisor = new Supervisor({
        ...common,
        ...{ registry, application, shards: dataShards(config.orchestrator.shards) },
        siteEpoch: firstEpoch(siteNumber(config.orchestrator.site)),
        attach: (shard) => [...this.#always(foundation, shard), ...deciding(foundation, shard)],
      });
    await lifecycle.run((this.pair ?? this.supervisor)!);
  }

  get projection(): { shard: number; lagSeconds: number }[] {
    return [...this.#projectors.values()].map(({ shard, lagSeconds }) => ({ shard, lagSeconds }));
  }

  async #pairOf(
    foundation: Foundation,
    peer: NonNullable<Foundation['peer']>,
    common: Common,
    lifecycle: Lifecycle,
  ): Promise<Pair> {
    const { config, adapters, system, log, incarnation, siteStore } = foundation;
    const { redis, space } = adapters;
    const connection = new Connection({ ...redis, name: `${redis.name}-pair` }, system, log);
    const gateway = new RedisGateway(adapters);
    lifecycle.onStop(
      () => connection.close(),
      () => gateway.close(),
    );
    await gateway.ready();
    const { deployment, mode, resume_after } = peer.config;
    const { site: name, shards, sync_interval } = config.orchestrator;
    const witness = witnessOf(foundation, deployment);
    return new Pair({
      ...common,
      ...{ name, shards, incarnation, deployment, mode, own: peer.own, peer: peer.other, sites: siteStore, gateway },
      resumeAfterMs: resume_after * 1000,
      syncIntervalMs: sync_interval * 1000,
      mirrors: new RedisMirrorStore(space, connection),
      gates: new RedisGates(space, connection),
      ...(witness && { witness }),
      always: (shard) => this.#always(foundation, shard),
      deciding: (shard) => deciding(foundation, shard),
      runs: (next) => {
        this.supervisor = next;
      },
    });
  }

  #always({ journals, projection: store, system, log }: Foundation, shard: number): Attached[] {
    return [this.#attached(new Projector({ shard, journals, store, system, log }))];
  }

  #attached(projector: Projector): Attached {
    const projectors = this.#projectors;
    return {
      start: async () => {
        projectors.set(projector.shard, projector);
        await projector.start();
      },
      stop: async () => {
        if (projectors.get(projector.shard) === projector) projectors.delete(projector.shard);
        await projector.stop();
      },
      kick: () => projector.kick(),
    };
  }
}

/** Services of a shard that this site decides. */
function deciding({ mailboxes: store, users, system, log }: Foundation, shard: number): Attached[] {
  return [
    new OutboxWatch({ shard, store, system, log, quarantine: quarantineOf }),
    ...(users ? [new MailboxAccess({ shard, store, users, system, log, ownerOf, grantOf })] : []),
  ];
}

function witnessOf(
  { config: { witness }, transport }: Foundation,
  deployment: string,
): { lease: EtcdWitness; ttlMs: number } | undefined {
  const { etcd: urls, lease_ttl: leaseTtlSeconds } = witness;
  if (!urls) return undefined;
  const tls = transport.witness && { tls: transport.witness };
  const lease = new EtcdWitness({ urls, key: `/${deployment}/active`, leaseTtlSeconds, ...tls });
  return { lease, ttlMs: leaseTtlSeconds * 1000 };
}
