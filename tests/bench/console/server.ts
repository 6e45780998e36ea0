/** The product as it is started, in a process of its own, with embedded servers and a data folder that is thrown away. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { mintToken } from '../../../api/token.ts';
import { buildRoot } from '../../../scripts/root.ts';

export interface Server {
  url: string;
  token: string;
  call<Body>(path: string, body?: unknown): Promise<Body>;
  /** User and system time of the server and of the Redis and PostgreSQL under it, in milliseconds. */
  cpuMs(): { process: number; all: number };
  stop(): Promise<void>;
}

const tickMs = 10;

export async function startServer(scratchDir: string): Promise<Server> {
  const dataDir = await mkdtemp(join(scratchDir, `${process.pid}-console-`));
  const settings = {
    'data.directory': dataDir,
    'primary_server.host': '127.0.0.1',
    'primary_server.port': '0',
    'metrics.host': '127.0.0.1',
    'metrics.port': '0',
    'orchestrator.max_agents': '1000',
    'redis.manage_acl': 'false',
    'rate_limits.subject_per_minute': '0',
    'rate_limits.address_per_minute': '0',
    'logging.level': 'WARNING',
  };
  const set = Object.entries(settings).flatMap(([name, value]) => ['--set', `${name}=${value}`]);
  const program = join(buildRoot, 'scripts/main.js');
  const child = spawn(process.execPath, ['--max-semi-space-size=64', program, ...set], {
    env: { ...process.env, NODE_ENV: 'production' },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const exited = once(child, 'exit');
  const ready = await Promise.race([once(child, 'message'), exited.then(() => undefined)]);
  if (ready === undefined) throw new Error('the server ended before it was ready; its words are above');
  const { api: url } = ready[0] as { api: string };
  const secret = readFileSync(join(dataDir, 'secret'), 'utf8').trim().split('\n')[0]!;
  const token = mintToken({
    ...{ secret, issuer: 'supreme-ai-orchestrator', audience: 'orchestrator-api', subject: 'bench' },
    ...{ scopes: ['admin'], lifetimeSeconds: 86_400 },
  });
  return {
    url,
    token,
    call: async <Body>(path: string, body?: unknown): Promise<Body> => {
      const response = await fetch(`${url}/api/v1${path}`, {
        method: body === undefined ? 'GET' : 'POST',
        headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
      return (await response.json()) as Body;
    },
    cpuMs: () => ({ process: cpuOf(child.pid!, false), all: cpuOf(child.pid!, true) }),
    stop: async () => {
      child.kill('SIGTERM');
      await exited;
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** From /proc: field 14 to 17 of stat are the times of the process and of its children that ended. */
function cpuOf(pid: number, withChildren: boolean): number {
  let fields: string[];
  try {
    fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  } catch {
    // It ended between the look at its parent and this one.
    return 0;
  }
  const own = (Number(fields[11]) + Number(fields[12])) * tickMs;
  if (!withChildren) return own;
  const ended = (Number(fields[13]) + Number(fields[14])) * tickMs;
  return childrenOf(pid).reduce((sum, child) => sum + cpuOf(child, true), own + ended);
}

function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}
