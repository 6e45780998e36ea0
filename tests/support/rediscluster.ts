/** A Redis Cluster of real servers: three masters and a replica of each, killed, restarted and resharded under a test. */
import { Redis } from 'ioredis';
import { freePort } from '../../runtime/embedded/ports.ts';
import { startPrivateRedis, type PrivateServer } from './servers.ts';
import type { RunningRedis } from '../../runtime/embedded/redis.ts';

const masters = 3;
const slots = 16_384;
/** Silence after which a master counts as dead. */
const nodeTimeoutMs = 1_000;
const deadlineMs = 30_000;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

class ClusterNode {
  readonly server: PrivateServer<RunningRedis>;
  readonly busPort: number;
  #client: Redis;
  id = '';

  constructor(server: PrivateServer<RunningRedis>, busPort: number) {
    this.server = server;
    this.busPort = busPort;
    this.#client = this.#connect();
  }

  get client(): Redis {
    return this.#client;
  }

  #connect(): Redis {
    const client = new Redis(this.server.url, { retryStrategy: () => 100, maxRetriesPerRequest: 0 });
    client.on('error', () => undefined);
    return client;
  }

  cluster(...words: (string | number)[]): Promise<unknown> {
    return this.#client.call('CLUSTER', ...words);
  }

  async restart(): Promise<void> {
    await this.server.restart();
    this.#client.disconnect();
    this.#client = this.#connect();
  }

  async dispose(): Promise<void> {
    this.#client.disconnect();
    await this.server.dispose();
  }
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    if (await holds().catch(() => false)) return;
    if (performance.now() > end) throw new Error(`the cluster did not get there within ${deadlineMs} ms: ${what}`);
    await pause(50);
  }
}

export class RedisCluster {
  readonly #nodes: readonly ClusterNode[];

  private constructor(nodes: readonly ClusterNode[]) {
    this.#nodes = nodes;
  }

  /** Resolves when every slot is served and every replica has what its master has. */
  static async start(): Promise<RedisCluster> {
    const nodes = await Promise.all(Array.from({ length: 2 * masters }, () => startNode()));
    const cluster = new RedisCluster(nodes);
    try {
      await cluster.#join();
      return cluster;
    } catch (error) {
      await cluster.dispose();
      throw error;
    }
  }

  get urls(): string[] {
    return this.#nodes.map(({ server }) => server.url);
  }

  get size(): number {
    return this.#nodes.length;
  }

  async #join(): Promise<void> {
    const [first, ...others] = this.#nodes as [ClusterNode, ...ClusterNode[]];
    for (const [index, node] of this.#nodes.entries()) {
      node.id = String(await node.cluster('MYID'));
      await node.cluster('SET-CONFIG-EPOCH', index + 1);
    }
    for (const { server, busPort } of others) await first.cluster('MEET', '127.0.0.1', server.port, busPort);
    for (let index = 0; index < masters; index++) {
      const from = Math.floor((slots * index) / masters);
      const to = Math.floor((slots * (index + 1)) / masters) - 1;
      await this.#nodes[index]!.cluster('ADDSLOTSRANGE', from, to);
    }
    for (let index = masters; index < this.#nodes.length; index++) {
      const node = this.#nodes[index]!;
      const master = this.#nodes[index - masters]!;
      await until('a replica knows its master', async () => {
        await node.cluster('REPLICATE', master.id);
        return true;
      });
    }
    await this.whole();
  }

  /** Resolves when every node sees every slot served, and every replica is linked to its master. */
  async whole(): Promise<void> {
    await until('every slot is served and every replica linked', async () => {
      for (const node of this.#nodes) {
        const info = String(await node.cluster('INFO'));
        if (!info.includes('cluster_state:ok') || !info.includes(`cluster_known_nodes:${this.#nodes.length}`))
          return false;
        const replication = await node.client.info('replication');
        if (replication.includes('role:slave') && !replication.includes('master_link_status:up')) return false;
      }
      const roles = await Promise.all(this.#nodes.map((node) => node.client.info('replication')));
      return roles.filter((role) => role.includes('role:master')).length === masters;
    });
  }

  /** The master that has the key at present. */
  async #masterOf(key: string): Promise<{ node: ClusterNode; slot: number }> {
    for (const asked of this.#nodes) {
      if (asked.client.status !== 'ready') continue;
      const slot = Number(await asked.cluster('KEYSLOT', key));
      const ranges = (await asked.cluster('SLOTS')) as [number, number, [string, number, string]][];
      const range = ranges.find(([from, to]) => from <= slot && slot <= to);
      const node = this.#nodes.find(({ server }) => server.port === range?.[2][1]);
      if (node) return { node, slot };
    }
    throw new Error(`no node says who has ${key}`);
  }

  /** Position of the master of the key among the nodes. */
  async masterOf(key: string): Promise<number> {
    return this.#nodes.indexOf((await this.#masterOf(key)).node);
  }

  /** kill -9 of the master that has the key. Resolves with its position when its replica has taken over. */
  async failOver(key: string): Promise<number> {
    const { node } = await this.#masterOf(key);
    await node.server.kill('SIGKILL');
    await until('a replica takes over', async () => {
      const { node: next } = await this.#masterOf(key);
      return next !== node && (await next.client.info('replication')).includes('role:master');
    });
    return this.#nodes.indexOf(node);
  }

  /** Starts a killed node again; it comes back as a replica. */
  async restart(position: number): Promise<void> {
    await this.#nodes[position]!.restart();
  }

  freeze(position: number): void {
    void this.#nodes[position]!.server.kill('SIGSTOP');
  }

  thaw(position: number): void {
    void this.#nodes[position]!.server.kill('SIGCONT');
  }

  /** Forgets functions and users of a node, as one that was set up anew would have none. */
  client(position: number): Redis {
    return this.#nodes[position]!.client;
  }

  /** Moves the slot of the key to another master, key by key, `pauseMs` after each. @returns how many keys were moved */
  async moveSlot(key: string, pauseMs: number): Promise<number> {
    const { node: source, slot } = await this.#masterOf(key);
    let target: ClusterNode | undefined;
    for (const node of this.#nodes)
      if (node !== source && (await node.client.info('replication')).includes('role:master')) target = node;
    if (!target) throw new Error('there is no other master');
    await target.cluster('SETSLOT', slot, 'IMPORTING', source.id);
    await source.cluster('SETSLOT', slot, 'MIGRATING', target.id);
    let moved = 0;
    for (;;) {
      const keys = (await source.cluster('GETKEYSINSLOT', slot, 1)) as string[];
      if (keys.length === 0) break;
      await source.client.call('MIGRATE', '127.0.0.1', target.server.port, '', 0, 5_000, 'KEYS', ...keys);
      moved++;
      await pause(pauseMs);
    }
    await target.cluster('SETSLOT', slot, 'NODE', target.id);
    await source.cluster('SETSLOT', slot, 'NODE', target.id);
    return moved;
  }

  async dispose(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.dispose()));
  }
}

async function startNode(): Promise<ClusterNode> {
  const busPort = await freePort();
  const settings = {
    'cluster-enabled': 'yes',
    'cluster-port': String(busPort),
    'cluster-node-timeout': String(nodeTimeoutMs),
    // Shards on the masters that are there go on while one is away.
    'cluster-require-full-coverage': 'no',
    'repl-diskless-sync-delay': '0',
    'repl-ping-replica-period': '1',
  };
  const server = await startPrivateRedis({
    extraArgs: Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
  });
  return new ClusterNode(server, busPort);
}
