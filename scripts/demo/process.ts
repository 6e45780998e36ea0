/** Child processes of the demo: their last words are kept for the case that they end too early. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';

/** One line for the person who watches. */
export type Say = (words: string) => void;

export interface Running {
  child: ChildProcess;
  /** The last lines it wrote to standard error. */
  lastWords(): string;
  ended: Promise<number | null>;
  stop(): Promise<void>;
}

const stopDeadlineMs = 15_000;

let guard: readonly string[] | undefined;

/** A command whose process is told to end when the demo is killed without a chance to stop it. Linux only. */
export function guarded(command: string, args: readonly string[]): [command: string, args: string[]] {
  guard ??=
    process.platform === 'linux' && spawnSync('setpriv', ['--pdeathsig', 'TERM', 'true']).status === 0
      ? ['setpriv', '--pdeathsig', 'TERM']
      : [];
  const [first = command, ...rest] = [...guard, command, ...args];
  return [first, rest];
}

/** @param env is merged into the environment; secrets go there and not into arguments, which everybody sees */
export function run(command: string, args: readonly string[], env: Record<string, string>): Running {
  // A group of its own: the terminal's Ctrl-C reaches the demo, which stops its children in order.
  const child = spawn(...guarded(command, args), {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  });
  let words = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    words = (words + chunk.toString()).slice(-4_000);
  });
  let over = false;
  const ended = new Promise<number | null>((resolve) => {
    child.once('error', (error) => {
      words += error.message;
      over = true;
      resolve(null);
    });
    child.once('exit', (code) => {
      over = true;
      resolve(code);
    });
  });
  return {
    child,
    ended,
    lastWords: () => words.trim().split('\n').slice(-12).join('\n'),
    stop: async () => {
      if (over) return;
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), stopDeadlineMs);
      await ended;
      clearTimeout(timer);
    },
  };
}
