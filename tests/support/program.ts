/** Programs that a test runs in a process of their own, to kill them. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { rootDir } from './folders.ts';

const hook = join(rootDir, 'tests/support/typescript-hook.mjs');

/** Starts a TypeScript file of the repository in a new Node process; stdout is piped, stderr goes to the test's. */
export function startProgram(file: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): ChildProcess {
  return spawn(process.execPath, ['--import', hook, join(rootDir, file), ...args], {
    cwd: rootDir,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

/** The first line that the program prints. Rejects when it ends without one. */
export function firstLine(program: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    if (program.stdout === null) throw new Error('the stdout of this program is not piped');
    createInterface({ input: program.stdout }).once('line', resolve);
    program.once('exit', (code, signal) => reject(new Error(`the program ended (${code ?? signal}) without a line`)));
  });
}

/** True while the process runs; a zombie that nobody has reaped yet counts as gone. Linux only. */
export async function alive(pid: number): Promise<boolean> {
  try {
    return !/^State:\s+Z/m.test(await readFile(`/proc/${pid}/status`, 'utf8'));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return false;
    throw error;
  }
}
