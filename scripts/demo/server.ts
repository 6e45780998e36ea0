/** One orchestrator process of the demo. */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensureSecret, mintToken } from '../../api/token.ts';
import { portTaken } from '../../runtime/embedded/ports.ts';
import { buildRoot } from '../root.ts';
import { guarded, type Say } from './process.ts';

export interface Server {
  api: string;
  metrics: string;
  ended: Promise<unknown>;
  /** Lets it finish what is under way. */
  stop(): Promise<void>;
  /** Ends it at once, as a machine that loses its power. */
  kill(): Promise<void>;
}

const readyDeadlineMs = 60_000;
const stopDeadlineMs = 20_000;

/**
 * Resolves when it serves.
 * @param env settings that hold passwords: arguments are seen by everybody
 * @throws Error with its last words when it ends or is not ready within 60 s
 */
export async function launch(settings: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Server> {
  const program = join(buildRoot, 'scripts/main.js');
  const args = ['logging.format=json', 'logging.level=WARNING', ...settings].flatMap((setting) => ['--set', setting]);
  const child = spawn(...guarded(process.execPath, [program, ...args]), {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    detached: true,
  });
  let words = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    words = (words + chunk.toString()).slice(-4_000);
  });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const ready = await new Promise<{ api: string; metrics: string }>((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`the orchestrator was not ready within ${readyDeadlineMs / 1000} s:\n${words}`));
    }, readyDeadlineMs);
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
  const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null;
  return {
    ...ready,
    ended,
    stop: async () => {
      if (isOver()) return;
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), stopDeadlineMs);
      await ended;
      clearTimeout(timer);
    },
    kill: async () => {
      if (isOver()) return;
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** The wanted port, or what stands in for it where somebody else has it. */
export async function portOr(
  wanted: number,
  what: string,
  say: Say,
  otherwise: () => Promise<number> | number,
): Promise<number> {
  if (!(await portTaken(wanted))) return wanted;
  say(`port ${wanted} is taken: the ${what} gets a free one`);
  return otherwise();
}

export interface DemoToken {
  token: string;
  /** The token in a file of mode 600, for the curl line. */
  tokenFile: string;
}

/** A token that may do everything, for a day; the folder has the secret. */
export function demoToken(folder: string): DemoToken {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const token = mintToken({
    secret: ensureSecret(join(folder, 'secret')),
    issuer: 'supreme-ai-orchestrator',
    audience: 'orchestrator-api',
    subject: 'demo',
    scopes: ['admin'],
    lifetimeSeconds: 24 * 3600,
  });
  const tokenFile = join(folder, 'token');
  writeFileSync(tokenFile, token, { mode: 0o600 });
  return { token, tokenFile };
}
