/** The demo's orchestrator: the real server as a child process, on the usual ports or, when they are taken, free ones. */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensureSecret, mintToken } from '../../api/token.ts';
import { portTaken } from '../../runtime/embedded/ports.ts';
import { buildRoot } from '../root.ts';
import { guarded, type Say } from './process.ts';

export interface Orchestrator {
  site: string;
  api: string;
  metrics: string;
  token: string;
  /** The token in a file of mode 600, for the curl line. */
  tokenFile: string;
  ended: Promise<unknown>;
  stop(): Promise<void>;
}

const readyDeadlineMs = 60_000;
const stopDeadlineMs = 20_000;

export async function startOrchestrator(dataDirectory: string, say: Say): Promise<Orchestrator> {
  mkdirSync(dataDirectory, { recursive: true, mode: 0o700 });
  const port = async (wanted: number, what: string): Promise<number> => {
    if (!(await portTaken(wanted))) return wanted;
    say(`port ${wanted} is taken: the ${what} gets a free one`);
    return 0;
  };
  const settings = [
    `data.directory=${dataDirectory}`,
    `primary_server.port=${await port(8000, 'API')}`,
    `metrics.port=${await port(9090, 'metrics')}`,
    'primary_server.host=127.0.0.1',
    'metrics.host=127.0.0.1',
    'logging.format=json',
    'logging.level=WARNING',
  ];
  const program = join(buildRoot, 'scripts/main.js');
  const args = settings.flatMap((setting) => ['--set', setting]);
  const child = spawn(...guarded(process.execPath, [program, ...args]), {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    detached: true,
  });
  let words = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    words = (words + chunk.toString()).slice(-4_000);
  });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const ready = await new Promise<{ api: string; metrics: string }>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`the orchestrator was not ready within ${readyDeadlineMs / 1000} s:\n${words}`)),
      readyDeadlineMs,
    );
    child.once('message', (message) => {
      clearTimeout(timer);
      resolve(message as { api: string; metrics: string });
    });
    void ended.then((code) => {
      clearTimeout(timer);
      reject(new Error(`the orchestrator ended with code ${code}:\n${words.trim()}`));
    });
  });
  child.disconnect();
  const token = mintToken({
    secret: ensureSecret(join(dataDirectory, 'secret')),
    issuer: 'supreme-ai-orchestrator',
    audience: 'orchestrator-api',
    subject: 'demo',
    scopes: ['admin'],
    lifetimeSeconds: 24 * 3600,
  });
  const tokenFile = join(dataDirectory, 'token');
  writeFileSync(tokenFile, token, { mode: 0o600 });
  return {
    site: 'primary',
    api: ready.api,
    metrics: ready.metrics,
    token,
    tokenFile,
    ended,
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), stopDeadlineMs);
      await ended;
      clearTimeout(timer);
    },
  };
}
