/** The sites of a pair as a machine would run them: a process, a Redis and a PostgreSQL each, all of which can be killed. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { writeFile } from 'node:fs/promises';
import { stringify } from 'smol-toml';
import { mintToken, type Scope } from '../../api/token.ts';
import { projectRoot } from '../../scripts/root.ts';
import { Chance } from './chance.ts';
import { FaultProxy } from './faultproxy.ts';
import { freshFolder } from './folders.ts';
import { freePort } from './freeport.ts';
import { startPrivatePostgres, startPrivateRedis } from './servers.ts';
import type { SiteView } from './pairprogram.ts';

const secret = 'pair-drill-only-pair-drill-only-pair-drill';

export interface SiteProcess {
  readonly name: 'primary' | 'secondary';
  readonly apiUrl: string;
  /** What it wrote, for messages of failed tests. */
  words(): string;
  start(): Promise<void>;
  /** SIGKILL of the process alone; `start` brings it back. */
  end(): Promise<void>;
  /** SIGKILL of the process and both of its servers. */
  kill(): Promise<void>;
  /** After `kill`. */
  revive(): Promise<void>;
  /** @throws Error when nobody answers */
  call(
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
    method?: string,
  ): Promise<{ status: number; body: Answer }>;
  self(): Promise<SiteView>;
}

export type Answer = Record<string, unknown>;

export interface Pair {
  one: SiteProcess;
  two: SiteProcess;
  /** A token for both sites. */
  token(...scopes: Scope[]): string;
  /** Cuts all that the sites say to one another, or lets it through again. */
  cut(yes: boolean): void;
  dispose(): Promise<void>;
}

/** @param etcd address of a witness; without it the mode is manual */
export async function startPair(etcd?: string): Promise<Pair> {
  const folder = await freshFolder('pair');
  const secretFile = join(folder, 'secret');
  await writeFile(secretFile, `${secret}\n`, { mode: 0o600 });
  const apiPorts = [await freePort(), await freePort()];
  const redis = await Promise.all([1, 2].map(() => startPrivateRedis({ appendfsync: 'always' })));
  const postgres = await Promise.all([startPrivatePostgres(), startPrivatePostgres()]);
  const proxies = redis.map(({ port }, index) => new FaultProxy(port, new Chance(index)));
  const proxyPorts = await Promise.all(proxies.map((proxy) => proxy.start()));
  const sites = await Promise.all(
    (['primary', 'secondary'] as const).map(async (name, index) => {
      const other = 1 - index;
      const configFile = join(folder, `${name}.toml`);
      const config = {
        primary_server: { host: '127.0.0.1', port: apiPorts[0] },
        secondary_server: { host: '127.0.0.1', port: apiPorts[1] },
        metrics: { enabled: false },
        orchestrator: { site: name, shards: 2 },
        redis: { url: redis[index]!.url },
        postgres: { url: postgres[index]!.url },
        auth: { secret_file: secretFile },
        data: { directory: join(folder, name) },
        peer: {
          redis: `redis://127.0.0.1:${proxyPorts[other]}`,
          api: `http://127.0.0.1:${apiPorts[other]}`,
          deployment: 'drill',
          mode: etcd === undefined ? 'manual' : 'witness',
          resume_after: 2,
        },
        ...(etcd !== undefined && { witness: { etcd: [etcd], lease_ttl: witnessTtlSeconds } }),
      };
      await writeFile(configFile, stringify(config));
      return siteProcess(name, configFile, `http://127.0.0.1:${apiPorts[index]}`, [redis[index]!, postgres[index]!]);
    }),
  );
  const [one, two] = sites as [SiteProcess, SiteProcess];
  await Promise.all([one.start(), two.start()]);
  return {
    one,
    two,
    token: (...scopes) => tokenWith(scopes),
    cut: (yes) => {
      for (const proxy of proxies) proxy.set({ mode: yes ? 'refuse' : 'pass' });
    },
    dispose: async () => {
      await Promise.all([one.end(), two.end()]);
      await Promise.all(proxies.map((proxy) => proxy.stop()));
      await Promise.all([...redis, ...postgres].map((server) => server.dispose()));
    },
  };
}

function tokenWith(scopes: Scope[]): string {
  return mintToken({
    ...{ secret, issuer: 'supreme-ai-orchestrator', audience: 'orchestrator-api', subject: 'drill' },
    ...{ scopes, lifetimeSeconds: 86_400 },
  });
}

/** Of the witness in these drills. */
export const witnessTtlSeconds = 5;

interface Server {
  kill(signal?: NodeJS.Signals): Promise<void>;
  restart(): Promise<void>;
}

function siteProcess(
  name: SiteProcess['name'],
  configFile: string,
  apiUrl: string,
  servers: readonly Server[],
): SiteProcess {
  let child: ChildProcess | undefined;
  let words = '';
  const headers = {
    Authorization: `Bearer ${tokenWith(['admin'])}`,
    'Content-Type': 'application/json',
  };
  const start = async (): Promise<void> => {
    const started = spawn(process.execPath, [join(projectRoot, '.build/scripts/main.js'), '--config', configFile], {
      env: { ...process.env, NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    child = started;
    for (const stream of [started.stdout, started.stderr])
      stream!.on('data', (chunk: Buffer) => (words = (words + chunk.toString()).slice(-20_000)));
    await new Promise<void>((resolve, reject) => {
      started.once('message', () => {
        resolve();
      });
      started.once('exit', (code, signal) => {
        reject(new Error(`${name} ended (${code ?? signal}): ${words}`));
      });
    });
  };
  const end = async (): Promise<void> => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  };
  const call: SiteProcess['call'] = async (path, body, more = {}, method = body === undefined ? 'GET' : 'POST') => {
    const answer = await fetch(`${apiUrl}/api/v1${path}`, {
      method,
      headers: { ...headers, ...more },
      signal: AbortSignal.timeout(5_000),
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return { status: answer.status, body: (await answer.json()) as Answer };
  };
  return {
    ...{ name, apiUrl, start, end, call },
    words: () => words,
    kill: async () => {
      await Promise.all([end(), ...servers.map((server) => server.kill('SIGKILL'))]);
    },
    revive: async () => {
      await Promise.all(servers.map((server) => server.restart()));
      await start();
    },
    self: async () => {
      const { sites } = (await call('/sites')).body as unknown as { sites: SiteView[] };
      return sites.find(({ self }) => self === true)!;
    },
  };
}

/** Polls until it holds; a site that does not answer holds nothing. */
export async function eventually(
  what: string,
  holds: () => Promise<boolean>,
  deadlineMs: number,
  says: () => string = () => '',
): Promise<void> {
  const end = performance.now() + deadlineMs;
  let last: unknown;
  while (!(await holds().catch((error: unknown) => ((last = error), false)))) {
    if (performance.now() > end)
      throw new Error(`${what}: not within ${deadlineMs} ms. ${says().slice(-3_000)}`, { cause: last });
    await pause(50);
  }
}
