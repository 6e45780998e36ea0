/** What the settings of a pair of sites ask of one another; each problem says what, where, and how to mend it. */
import type { Config } from './schema.ts';
import { isLocal } from './transport.ts';

export type PeerConfig = Config['peer'] & { redis: string; api: string; deployment: string };

/** The other site, where this one is in a pair. */
export function peerOf({ peer }: Config): PeerConfig | undefined {
  const { redis, api, deployment } = peer;
  if (redis === undefined || api === undefined || deployment === undefined) return undefined;
  return { ...peer, redis, api, deployment };
}

/** @returns one sentence for each problem; empty when all is well */
export function pairProblems(config: Config): string[] {
  const { witness, tls, redis, orchestrator } = config;
  const peer = peerOf(config);
  if (!peer)
    return witness.etcd === undefined
      ? []
      : ['witness.etcd: there is no pair without [peer]; set [peer] redis, api and deployment, or remove [witness]'];
  const problems: string[] = [];
  if (peer.mode === 'witness' && witness.etcd === undefined)
    problems.push(
      'peer.mode: "witness" is automatic, and automatic without a witness refuses to start: two sites alone cannot tell that the other died from a link that did; set [witness] etcd, or mode = "manual"',
    );
  if (peer.mode === 'manual' && witness.etcd !== undefined)
    problems.push('witness.etcd: is not asked in mode "manual"; set [peer] mode = "witness", or remove [witness]');
  if (redis.cluster !== undefined)
    problems.push('peer.redis: a site of a pair has one Redis; use [redis] url and not cluster');
  if (peer.redis === redis.url && (peer.prefix ?? redis.prefix) === redis.prefix)
    problems.push('peer.redis: is the Redis of this site; name the one of the other site');
  if (orchestrator.roles.length < 2)
    problems.push(
      'orchestrator.roles: a process of a pair has both, "api" and "runtime": the role of the site decides',
    );
  const open: [string, string][] = [
    ['peer.redis', peer.redis],
    ...(witness.etcd ?? []).map((url): [string, string] => ['witness.etcd', url]),
  ];
  for (const [key, text] of open) {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (!url) problems.push(`${key}: is no address that can be read`);
    else if ((url.protocol === 'redis:' || url.protocol === 'http:') && !isLocal(url.hostname) && !tls.allow_plaintext)
      problems.push(
        `${key}: speaks in the open; use rediss:// and https://, or set [tls] allow_plaintext = true where the network itself is encrypted`,
      );
  }
  if (peer.ca_file !== undefined && !peer.redis.startsWith('rediss://'))
    problems.push('peer.ca_file: holds for an address that begins with rediss:// only');
  return problems;
}
