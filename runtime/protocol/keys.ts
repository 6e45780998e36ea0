/**
 * The one place that spells Redis keys. All keys of a shard share the hash tag `{sN}`, so one call can commit them
 * together on a single Redis and on a Redis Cluster alike.
 */
export interface ShardKeys {
  /**
   * Hash: owner, epoch, expiry, last committed sequence and its outcome, incarnation; the last link of the journal (head,
   * begins); at a site of a pair the gate (gate_epoch, gate_until, gate_seen) and where a mirror stands (cursor, copying).
   */
  lease: string;
  /** Hash: address -> snapshot JSON. */
  snapshots: string;
  /** Stream: one entry per commit. */
  journal: string;
  /** Stream: commands of the API, what was put off, and of other shards. Group `runtime`. */
  commands: string;
  /** Stream: entries for actors of other shards, moved by the relay. */
  outbound: string;
  /** Hash: source shard -> numbers of the entries taken over from it. */
  relayed: string;
  /** Hash: target shard -> number of the last entry sent to it. */
  sent: string;
  /** Stream: entries that could not be applied, with their reason. */
  setAside: string;
  /** Set: ids that have an inbox and an outbox. */
  mailboxes: string;
  /** Hash: reader of the journal -> last entry it has stored. */
  readers: string;
  /** Hash of a standby: `<to> <id>` -> envelope that the active site has put off. */
  deferred: string;
  /** Stream: what this site wrote in a branch that lost, for the active site to take up. */
  lost: string;
}

export interface Keyspace {
  readonly prefix: string;
  shard(shard: number): ShardKeys;
  inbox(shard: number, id: string): string;
  outbox(shard: number, id: string): string;
  /** Stream of command outcomes for one API process. */
  replies(shard: number, recipient: string): string;
  /** Sorted set: live processes scored by the end of their membership. */
  members: string;
  /** Stream: audit records that PostgreSQL does not have yet. */
  audit: string;
  /** Prefix of the counters of rate limits. */
  budgets: string;
  /** Hash: what a site was born with (number of shards, incarnation). */
  site: string;
}

export const runtimeGroup = 'runtime';
export const agentGroup = 'agent';
/** Reader of journals: the other site of a pair, which says here up to where it has them. */
export const peerReader = 'peer';

/** @param prefix stands before every key; empty in production, fresh for each test file */
export function keyspace(prefix = ''): Keyspace {
  const shards = new Map<number, ShardKeys>();
  const key = (shard: number, name: string) => `${prefix}{s${shard}}:${name}`;
  return {
    prefix,
    shard(shard) {
      let keys = shards.get(shard);
      if (!keys) {
        keys = {
          lease: key(shard, 'lease'),
          snapshots: key(shard, 'snapshots'),
          journal: key(shard, 'journal'),
          commands: key(shard, 'commands'),
          outbound: key(shard, 'outbound'),
          relayed: key(shard, 'relayed'),
          sent: key(shard, 'sent'),
          setAside: key(shard, 'set-aside'),
          mailboxes: key(shard, 'mailboxes'),
          readers: key(shard, 'readers'),
          deferred: key(shard, 'deferred'),
          lost: key(shard, 'lost'),
        };
        shards.set(shard, keys);
      }
      return keys;
    },
    inbox: (shard, id) => key(shard, `inbox:${id}`),
    outbox: (shard, id) => key(shard, `outbox:${id}`),
    replies: (shard, recipient) => key(shard, `replies:${recipient}`),
    members: `${prefix}orchestrator:members`,
    audit: `${prefix}orchestrator:audit`,
    budgets: `${prefix}orchestrator:budgets`,
    site: `${prefix}orchestrator:site`,
  };
}
