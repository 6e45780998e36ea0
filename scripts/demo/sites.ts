/**
 * The two sites of `--pair`: an orchestrator each, with a Redis and a PostgreSQL of its own. What stands for a machine here is a
 * folder; a machine that is killed loses all three at once.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../runtime/embedded/ports.ts';
import { findRedisServer, startRedis, type RunningRedis } from '../../runtime/embedded/redis.ts';
import { projectRoot } from '../root.ts';
import type { Say } from './process.ts';
import { demoToken, launch, portOr, type DemoToken, type Server } from './server.ts';

/** What `GET /api/v1/sites` says of a site. */
export interface SiteView {
  site: string;
  self?: boolean;
  role: string | null;
  epoch?: number;
  link?: string;
  lag_entries?: number;
  last_check?: { at: string; equal: boolean };
}

type Json = Record<string, unknown>;

export class Site {
  readonly name: 'primary' | 'secondary';
  readonly api: string;
  readonly #token: string;
  readonly #redis: () => Promise<RunningRedis>;
  readonly #server: () => Promise<Server>;
  #running: { redis: RunningRedis; server: Server | undefined } | undefined;

  constructor(
    name: Site['name'],
    api: string,
    token: string,
    redis: () => Promise<RunningRedis>,
    server: () => Promise<Server>,
  ) {
    this.name = name;
    this.api = api;
    this.#token = token;
    this.#redis = redis;
    this.#server = server;
  }

  /** Its Redis; without it neither site can be started, because each reads the other's. */
  async startRedis(): Promise<string> {
    const redis = await this.#redis();
    this.#running = { redis, server: undefined };
    return redis.url;
  }

  async start(): Promise<void> {
    if (!this.#running) await this.startRedis();
    this.#running!.server = await this.#server();
  }

  async kill(): Promise<void> {
    const { redis, server } = this.#running ?? {};
    this.#running = undefined;
    await Promise.all([server?.kill(), redis?.kill('SIGKILL')]);
  }

  async stop(): Promise<void> {
    const { redis, server } = this.#running ?? {};
    this.#running = undefined;
    await server?.stop();
    await redis?.stop();
  }

  /** @throws Error when it does not answer within 3 s */
  async call(
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<{ status: number; body: Json }> {
    const answer = await fetch(`${this.api}/api/v1${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { Authorization: `Bearer ${this.#token}`, 'Content-Type': 'application/json', ...headers },
      redirect: 'manual',
      signal: AbortSignal.timeout(3_000),
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return { status: answer.status, body: (await answer.json()) as Json };
  }

  /** As it sees itself. */
  async self(): Promise<SiteView> {
    const { body } = await this.call('/sites');
    const self = (body['sites'] as SiteView[] | undefined)?.find((site) => site.self === true);
    if (!self) throw new Error(`the ${this.name} does not say how it is: ${JSON.stringify(body)}`);
    return self;
  }

  /** @throws Error when the site refuses */
  async order(action: string, body: Json = {}): Promise<void> {
    const answer = await this.call(`/sites/${this.name}/${action}`, body);
    if (answer.status >= 300)
      throw new Error(`the ${this.name} does not take ${action}: ${answer.status} ${JSON.stringify(answer.body)}`);
  }
}

export interface Sites extends DemoToken {
  primary: Site;
  secondary: Site;
  stop(): Promise<void>;
}

/** Both sites, begun anew in the folder: the first is active. */
export async function startSites(folder: string, say: Say): Promise<Sites> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const held = demoToken(folder);
  const redisServer = await findRedisServer({ cacheDir: join(projectRoot, '.cache', 'redis') });
  const ports = {
    primary: await portOr(8000, 'API of the primary', say, freePort),
    secondary: await portOr(8010, 'API of the secondary', say, freePort),
  };
  const redisPorts = { primary: await freePort(), secondary: await freePort() };
  const urls: Record<string, string> = {};
  const site = (name: Site['name'], other: Site['name']): Site => {
    const data = join(folder, name);
    const settings = [
      ...[`data.directory=${data}`, `orchestrator.site=${name}`, 'metrics.enabled=false', 'redis.manage_acl=true'],
      ...['primary_server.host=127.0.0.1', `primary_server.port=${ports.primary}`],
      ...['secondary_server.host=127.0.0.1', `secondary_server.port=${ports.secondary}`],
      ...[`auth.secret_file=${join(folder, 'secret')}`, `redis.agent_secret_file=${join(folder, 'agent-secret')}`],
      ...['peer.deployment=demo', `peer.api=http://127.0.0.1:${ports[other]}`],
    ];
    const redis = (): Promise<RunningRedis> =>
      startRedis({
        ...{ server: redisServer, dataDir: join(data, 'redis'), port: redisPorts[name], appendfsync: 'always' },
        aclFile: join(data, 'users.acl'),
      });
    const server = (): Promise<Server> =>
      launch(settings, { ORCHESTRATOR_REDIS__URL: urls[name]!, ORCHESTRATOR_PEER__REDIS: urls[other]! });
    mkdirSync(data, { recursive: true, mode: 0o700 });
    return new Site(name, `http://127.0.0.1:${ports[name]}`, held.token, redis, server);
  };
  const [primary, secondary] = [site('primary', 'secondary'), site('secondary', 'primary')];
  const stop = async (): Promise<void> => {
    await Promise.all([primary.stop(), secondary.stop()]);
  };
  try {
    [urls['primary'], urls['secondary']] = await Promise.all([primary.startRedis(), secondary.startRedis()]);
    await Promise.all([primary.start(), secondary.start()]);
  } catch (error) {
    await stop();
    throw error;
  }
  return { ...held, primary, secondary, stop };
}
