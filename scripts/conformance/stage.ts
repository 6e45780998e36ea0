/**
 * The server, played: registration over HTTP, and a private Redis in which the agent has the account that a site would give
 * it. What the agent sends to Redis is seen by MONITOR, what it reports by reading its outbox.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { findRedisServer, startRedis, type RunningRedis } from '../../runtime/embedded/redis.ts';
import { createSystem } from '../../runtime/host/system.ts';
import { addressFor, passwordFor, userOf } from '../../runtime/protocol/credential.ts';
import { agentGroup, keyspace } from '../../runtime/protocol/keys.ts';
import { RedisUsers } from '../../runtime/redis/users.ts';
import { readEntry, type Report, type SeenEntry } from './report.ts';

export interface Registered {
  body: Record<string, unknown>;
  authorization: string | undefined;
  answered: number;
  generation: number;
}

export interface StageOptions {
  /** Where the Redis of a site is kept, when none is in PATH. */
  cacheDir: string;
  heartbeatMs: number;
}

const shard = 0;
const space = keyspace('');
const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

export class Stage {
  readonly token = `kit-${randomBytes(12).toString('hex')}`;
  readonly registrations: Registered[] = [];
  readonly entries: SeenEntry[] = [];
  /** Commands that the agent sent to Redis, upper case name first. */
  readonly commands: string[][] = [];
  /** Answers to the next registrations, before they are taken. */
  readonly refusals: number[] = [];
  readonly #denied: string[] = [];
  readonly #options: StageOptions;
  readonly #folder: string;
  readonly #redis: RunningRedis;
  readonly #admin: Redis;
  readonly #monitor: Redis;
  readonly #users: RedisUsers;
  readonly #server: Server;
  readonly #secret = randomBytes(32).toString('hex');
  #id = 'a-0-subject';
  #generation = 0;
  #position = '-';

  private constructor(options: StageOptions, folder: string, redis: RunningRedis, admin: Redis, monitor: Redis) {
    this.#options = options;
    this.#folder = folder;
    this.#redis = redis;
    this.#admin = admin;
    this.#monitor = monitor;
    const connection = { url: redis.url, name: 'conformance' };
    this.#users = new RedisUsers({
      ...{ redis: connection, space, system: createSystem(), log: silent, secret: this.#secret },
    });
    monitor.on('monitor', (_time: string, args: string[]) => {
      const [name = '', ...rest] = args.map(String);
      if (rest.some((argument) => argument === this.inbox || argument === this.outbox))
        this.commands.push([name.toUpperCase(), ...rest]);
    });
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((error: unknown) => {
        // The agent asked while the stage was being closed, or went away meanwhile.
        if (response.headersSent) response.destroy();
        else response.writeHead(503, { 'Content-Type': 'application/json' }).end(JSON.stringify(unavailable(error)));
      });
    });
  }

  static async open(options: StageOptions): Promise<Stage> {
    const server = await findRedisServer({ cacheDir: options.cacheDir });
    const folder = await mkdtemp(join(tmpdir(), 'orchestrator-conformance-'));
    const redis = await startRedis({ server, dataDir: folder });
    const admin = new Redis(redis.url);
    const monitor = await admin.monitor();
    // The server ends before they do.
    for (const connection of [admin, monitor]) connection.on('error', () => undefined);
    const stage = new Stage(options, folder, redis, admin, monitor);
    await new Promise<void>((resolve) => stage.#server.listen(0, '127.0.0.1', resolve));
    return stage;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    this.#users.close();
    this.#monitor.disconnect();
    this.#admin.disconnect();
    await this.#redis.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }

  get api(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }
  get id(): string {
    return this.#id;
  }
  get generation(): number {
    return this.#generation;
  }
  get inbox(): string {
    return space.inbox(shard, this.#id);
  }
  get outbox(): string {
    return space.outbox(shard, this.#id);
  }
  get type(): string {
    const { type } = this.registrations.at(-1)?.body ?? {};
    return typeof type === 'string' ? type : '';
  }
  get takesBatches(): boolean {
    return this.registrations.at(-1)?.body['batch'] === true;
  }

  async post(fields: Record<string, string>): Promise<void> {
    await this.#admin.xadd(this.inbox, '*', ...Object.entries({ ...fields, epoch: '11' }).flat());
  }

  /** In the form that the agent asked for when it registered. */
  async assign(task: string, token: string, parameters: string, more: Record<string, string> = {}): Promise<void> {
    const deadline = Date.now() + 3_600_000;
    const about = { kind: 'assign', task, type: this.type, token, ...more };
    if (!this.takesBatches) return this.post({ ...about, attempt: '1', deadline: String(deadline), parameters });
    const message = { ...about, attempt: 1, deadline, parameters: JSON.parse(parameters) as unknown };
    await this.#admin.xadd(this.inbox, '*', 'epoch', '11', 'batch', JSON.stringify([message]));
  }

  /** Reads what came since the last call. */
  async look(): Promise<void> {
    const found = await this.#admin.xrange(this.outbox, this.#position, '+');
    for (const [id, flat] of found) {
      this.#position = `(${id}`;
      this.entries.push(readEntry(flat, Number(id.split('-')[0])));
    }
  }

  reports(): Report[] {
    return this.entries.flatMap(({ reports }) => reports);
  }

  /** Messages that were delivered and not acknowledged, and messages that were not delivered. */
  async unacknowledged(): Promise<number> {
    const [pending] = (await this.#admin.xpending(this.inbox, agentGroup)) as [number];
    const groups = (await this.#admin.xinfo('GROUPS', this.inbox)) as unknown[][];
    const lag = groups[0]?.[groups[0].indexOf('lag') + 1];
    return pending + (typeof lag === 'number' ? lag : 0);
  }

  /** Cuts the connections of the agent; it may come back at once. */
  async cut(): Promise<void> {
    await this.#admin.call('CLIENT', 'KILL', 'USER', userOf('', this.#id));
  }

  async takeAccountAway(): Promise<void> {
    this.#denied.push(...(await this.#denials()));
    await this.#users.revoke(shard, this.#id);
    // What is refused while it goes is not the agent's fault.
    await this.#admin.call('ACL', 'LOG', 'RESET');
  }

  /** What Redis refused to the agent's account for want of rights. */
  async denied(): Promise<string[]> {
    return [...this.#denied, ...(await this.#denials())];
  }

  async #denials(): Promise<string[]> {
    const log = (await this.#admin.call('ACL', 'LOG')) as unknown[][];
    return log.flatMap((flat) => {
      const entry = new Map<unknown, unknown>();
      for (let at = 0; at + 1 < flat.length; at += 2) entry.set(flat[at], flat[at + 1]);
      const denial = `${String(entry.get('reason'))} ${String(entry.get('object'))}`;
      return entry.get('username') === userOf('', this.#id) && entry.get('reason') !== 'auth' ? [denial] : [];
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const answer = (status: number, body: object): void => {
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
    };
    if (request.method !== 'POST' || request.url !== '/api/v1/agents')
      return answer(404, { title: 'Not found', status: 404, code: 'not-found' });
    let body: Record<string, unknown> = {};
    try {
      body = JSON.parse(Buffer.concat(parts).toString('utf8')) as Record<string, unknown>;
    } catch {
      return answer(400, { title: 'Bad request', status: 400, code: 'invalid-json' });
    }
    const refusal = this.refusals.shift();
    const { authorization } = request.headers;
    this.registrations.push({ body, authorization, answered: refusal ?? 201, generation: this.#generation + 1 });
    if (refusal !== undefined) {
      response.setHeader('Retry-After', '1');
      return answer(refusal, { title: 'Unavailable', status: refusal, code: 'unavailable', detail: 'by the kit' });
    }
    if (authorization !== `Bearer ${this.token}` || typeof body['type'] !== 'string')
      return answer(authorization === `Bearer ${this.token}` ? 400 : 401, { title: 'Refused', code: 'refused' });
    answer(201, await this.#register(body));
  }

  async #register(body: Record<string, unknown>): Promise<object> {
    const name = typeof body['id'] === 'string' ? body['id'] : 'subject';
    if (this.#generation === 0) this.#id = name.startsWith('a-0-') ? name : `a-0-${name}`;
    this.#generation += 1;
    await this.#admin.xgroup('CREATE', this.inbox, agentGroup, '0', 'MKSTREAM').catch(existing);
    const grant = String(this.#generation);
    await this.#users.grant(shard, this.#id, grant);
    const password = passwordFor(this.#secret, 'redis', this.#id, grant);
    return {
      ...{ id: this.#id, generation: this.#generation, status: 'IDLE', shard, slots: body['slots'] ?? 1 },
      heartbeat_interval_ms: this.#options.heartbeatMs,
      redis: {
        url: addressFor(this.#redis.url, userOf('', this.#id), password),
        ...{ group: agentGroup, inbox: this.inbox, outbox: this.outbox },
      },
      links: { self: `/api/v1/agents/${this.#id}` },
    };
  }
}

function unavailable(error: unknown): object {
  const detail = error instanceof Error ? error.message : String(error);
  return { title: 'Unavailable', status: 503, code: 'unavailable', detail };
}

function existing(error: Error): void {
  if (!error.message.startsWith('BUSYGROUP')) throw error;
}
