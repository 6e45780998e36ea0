/** The other site of a pair: reachable with what this one was given, and of the same deployment. */
import { peerOf } from '../../config/pair.ts';
import type { Config } from '../../config/schema.ts';
import { createSystem } from '../../runtime/host/system.ts';
import type { Log } from '../../runtime/ports.ts';
import { barrierOf, checkGreeting, mirrorVersion } from '../../runtime/protocol/chain.ts';
import { keyspace } from '../../runtime/protocol/keys.ts';
import { RedisPeer } from '../../runtime/redis/peer.ts';
import { Transport } from '../transport.ts';
import { failed, messageOf, ok, warning, type Diagnosis } from './diagnosis.ts';

const what = 'other site';
const say = (): void => undefined;
/** What the doctor finds is its answer; it writes no log. */
const quiet: Log = { debug: say, info: say, warn: say, error: say };

export async function examinePeer(config: Config): Promise<Diagnosis[]> {
  const peer = peerOf(config);
  if (!peer) return [];
  try {
    return [await greet(config, peer)];
  } catch (error) {
    const detail = messageOf(error);
    return [failed(what, detail, barrierOf(detail)?.remedy ?? `${away}; then it goes on by itself`)];
  }
}

const away = 'look at the network between the two, and whether the Redis of the other site runs and listens';

async function greet(config: Config, peer: NonNullable<ReturnType<typeof peerOf>>): Promise<Diagnosis> {
  const { peer: tls } = new Transport(config);
  const redis = { url: peer.redis, name: 'doctor', ...(tls && { tls }) };
  const space = keyspace(peer.prefix ?? config.redis.prefix);
  const other = new RedisPeer({ redis, space, system: createSystem(), log: quiet });
  try {
    const greeting = await other.greet();
    if (!greeting)
      return warning(what, 'its Redis answers; no orchestrator has begun there', 'start the service of the other site');
    const { shards } = config.orchestrator;
    // Whether the histories are one is said by `site status`: it knows the incarnation of this site.
    const own = { deployment: peer.deployment, version: mirrorVersion, shards, incarnation: greeting.incarnation };
    const refusal = checkGreeting(own, greeting);
    if (refusal) return failed(what, `${refusal.refused}: ${refusal.detail}`, refusal.remedy);
    return ok(what, `${greeting.role}, epoch ${greeting.epoch}, deployment "${greeting.deployment}"`);
  } finally {
    other.close();
  }
}
